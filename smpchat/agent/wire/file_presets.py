"""The file relays that are built into SimpleX apps, as data. This table has a module of its own, so that commands
that only compare a link with the message relays (`presets`) need not load it.
"""

from __future__ import annotations

from smpchat.protocol.address import FileServer, parse_file_server

FILE_SERVERS = tuple(
    parse_file_server(f"xftp://{one}").server
    for one in """
da1aH3nOT-9G8lV7bWamhxpDYdJ1xmW7j3JpGaDR5Ug=@xftp1.simplex.im
5vog2Imy1ExJB_7zDZrkV1KDWi96jYFyy9CL6fndBVw=@xftp2.simplex.im
PYa32DdYNFWi0uZZOprWQoQpIk5qyjRJ3EF7bVpbsn8=@xftp3.simplex.im
k_GgQl40UZVV0Y4BX9ZTyMVqX5ZewcLW0waQIl7AYDE=@xftp4.simplex.im
-bIo6o8wuVc4wpZkZD3tH-rCeYaeER_0lz1ffQcSJDs=@xftp5.simplex.im
6nSvtY9pJn6PXWTAIMNl95E1Kk1vD7FM2TeOA64CFLg=@xftp6.simplex.im
""".split()
)
"""Public file relays to which apps upload (xftp-wire 6; simplex-chat, ``FileTransfer/Client/Presets.hs``)."""

PRESET_FILE_SERVERS: tuple[FileServer, ...] = FILE_SERVERS + tuple(
    parse_file_server(f"xftp://{one}.simplexonflux.com").server
    for one in """
92Sctlc09vHl_nAqF2min88zKyjdYJ9mgxRCJns5K2U=@xftp1
YBXy4f5zU1CEhnbbCzVWTNVNsaETcAGmYqGNxHntiE8=@xftp2
ARQO74ZSvv2OrulRF3CdgwPz_AMy27r0phtLSq5b664=@xftp3
ub2jmAa9U0uQCy90O-fSUNaYCj6sdhl49Jh3VpNXP58=@xftp4
Rh19D5e4Eez37DEE9hAlXDB3gZa1BdFYJTPgJWPO9OI=@xftp5
0AznwoyfX8Od9T_acp1QeeKtxUi676IBIiQjXVwbdyU=@xftp6
""".split()
)
"""All file relays that are built into apps, including those of a second operator (Flux). Apps download files from these
relays without asking the user."""
