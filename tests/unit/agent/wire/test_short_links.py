from __future__ import annotations

import re

import pytest

from smpchat.agent.errors import LinkError
from smpchat.agent.wire.links import parse_link
from smpchat.agent.wire.presets import PRESET_SERVERS, RETIRED_SERVERS, SIMPLEX_SERVERS
from smpchat.agent.wire.short_links import (
    ContactType,
    ShortContact,
    ShortInvitation,
    ShortLink,
    format_short_link,
    is_shortened,
    parse_short_link,
    resolve,
    short_link,
    shorten,
)
from smpchat.encoding.reader import DecodeError, EncodeError
from smpchat.encoding.record import replace
from smpchat.protocol.address import SMPServer, format_server
from smpchat.protocol.server_text import read_server

HASH = bytes(range(32))
ID, KEY = bytes(24), bytes([0xFF] * 32)
ID_TEXT, KEY_TEXT, HASH_TEXT = "A" * 32, "_" * 42 + "8", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
SERVER = SMPServer(("smp.example.org",), "", HASH)
ONION = "abcdefghij234567abcdefghij234567abcdefghij234567abcdefgh.onion"

LINKS: list[tuple[str, ShortLink]] = [
    (f"https://smp.example.org/i#{ID_TEXT}/{KEY_TEXT}?c={HASH_TEXT}", ShortInvitation(SERVER, ID, KEY)),
    (
        f"simplex:/i#{ID_TEXT}/{KEY_TEXT}?h=smp.example.org&c={HASH_TEXT}",
        ShortInvitation(SERVER, ID, KEY, web=False),
    ),
    (
        f"https://smp.example.org/i#{ID_TEXT}/{KEY_TEXT}?h={ONION}&p=443&c={HASH_TEXT}",
        ShortInvitation(SMPServer(("smp.example.org", ONION), "443", HASH), ID, KEY),
    ),
    (
        f"simplex:/a#{KEY_TEXT}?h=smp.example.org%2C{ONION}&c={HASH_TEXT}",
        ShortContact(SMPServer(("smp.example.org", ONION), "", HASH), KEY, web=False),
    ),
    (
        f"https://[::1]/c#{KEY_TEXT}?p=5223&c={HASH_TEXT}",
        ShortContact(SMPServer(("::1",), "5223", HASH), KEY, ContactType.CHANNEL),
    ),
    (
        f"https://smp8.simplex.im/r#{KEY_TEXT}",
        ShortContact(SMPServer(("smp8.simplex.im",), "", b""), KEY, ContactType.RELAY),
    ),
    (f"https://smp.example.org/g#{KEY_TEXT}?c={HASH_TEXT}", ShortContact(SERVER, KEY, ContactType.GROUP)),
]


@pytest.mark.parametrize(("text", "link"), LINKS)
def test_text_form(text: str, link: ShortLink) -> None:
    assert parse_short_link(text) == link
    assert format_short_link(link) == text
    assert parse_link(f"  {text}\n") == link


@pytest.mark.parametrize(("text", "link"), LINKS)
def test_binary_form_is_without_scheme(text: str, link: ShortLink) -> None:
    assert short_link.decode(short_link.encode(link)) == replace(link, web=True)


@pytest.mark.parametrize(
    "text",
    [
        f"https://smp.example.org/A#{KEY_TEXT}?c={HASH_TEXT}",
        f"https://smp.example.org/a/#{KEY_TEXT}?c={HASH_TEXT}",
        f"https://smp.example.org/a#{KEY_TEXT}?c={HASH_TEXT}=",
        f"https://smp.example.org/a#{KEY_TEXT}=?c={HASH_TEXT}",
        f"https://smp.example.org/a#{KEY_TEXT}?x=1&c={HASH_TEXT}&y=%FF%20&c=again".replace("%FF", "%C3%BF"),
    ],
)
def test_tolerated_forms(text: str) -> None:
    assert parse_link(text) == ShortContact(SERVER, KEY)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (f"https://smp.example.org/I#{ID_TEXT}/{KEY_TEXT}", "unknown kind"),
        (f"https://smp.example.org/x#{KEY_TEXT}", "unknown kind"),
        (f"https://smp.example.org/i#{KEY_TEXT}", "the id or the key"),
        (f"https://smp.example.org/i#{ID_TEXT}/{KEY_TEXT[:-1]}", "key is invalid"),
        (f"https://smp.example.org/i#{ID_TEXT}A/{KEY_TEXT}", "key is invalid"),
        (f"https://smp.example.org/i#/{KEY_TEXT}", "key is invalid"),
        (f"https://smp.example.org/a#{ID_TEXT}/{KEY_TEXT}", "one part too many"),
        (f"https://smp.example.org/a#{KEY_TEXT[:-1]}!", "key is invalid"),
        ("https://smp.example.org/a#", "key is invalid"),
        (f"simplex:/a#{KEY_TEXT}", "does not name its relay"),
        (f"simplex:/a#{KEY_TEXT}?h=", "does not name its relay"),
        (f"simplex:/a#{KEY_TEXT}?h=a,,b", "address of its relay"),
        (f"simplex:/a#{KEY_TEXT}?h=a%20b", "address of its relay"),
        (f"simplex:/a#{KEY_TEXT}?h=a&p=65536", "address of its relay"),
        (f"simplex:/a#{KEY_TEXT}?h=a&p=x", "address of its relay"),
        (f"simplex:/a#{KEY_TEXT}?h=a&c=!", "fingerprint of its relay"),
        (f"simplex:/a#{KEY_TEXT}?h=%FF", "not UTF-8"),
        (f"https://smp.example.org:443/a#{KEY_TEXT}", "a port where"),
        (f"https://smp.example.org/a#{KEY_TEXT}?c= {HASH_TEXT}", "space"),
        (f"https://smp.example.org/a#{KEY_TEXT[:20]}\n{KEY_TEXT[20:]}", "space"),
    ],
)
def test_malformed_part_is_named(text: str, part: str) -> None:
    with pytest.raises(LinkError, match=part):
        parse_link(text)


@pytest.mark.parametrize("data", [b"", b"I", b"X", b"CX", b"CA", short_link.encode(LINKS[0][1]) + b"x"])
def test_malformed_binary_form(data: bytes) -> None:
    with pytest.raises(DecodeError):
        short_link.decode(data)


def test_unknown_contact_letter_in_binary_form() -> None:
    data = short_link.encode(ShortContact(SERVER, KEY))
    with pytest.raises(DecodeError, match="contact type"):
        short_link.decode(b"CZ" + data[2:])


def test_key_of_a_wrong_size_is_not_written() -> None:
    with pytest.raises(EncodeError):
        short_link.encode(ShortContact(SERVER, KEY[1:]))


def test_key_stays_out_of_repr() -> None:
    for _, link in LINKS:
        assert re.search("link_key|ff", repr(link)) is None


class TestPresets:
    preset = SIMPLEX_SERVERS[0]

    @pytest.mark.parametrize("port", ["", "443", "5223"])
    def test_link_to_a_preset_relay_is_shortened_and_resolved(self, port: str) -> None:
        link = ShortInvitation(replace(self.preset, port=port), ID, KEY)
        short = shorten(link)
        assert format_short_link(short) == f"https://smp8.simplex.im/i#{ID_TEXT}/{KEY_TEXT}"
        assert is_shortened(short)
        assert resolve(parse_short_link(format_short_link(short))) == replace(link, server=self.preset)

    @pytest.mark.parametrize(
        "server",
        [
            SERVER,
            SMPServer(("smp8.simplex.im",), "", HASH),
            SMPServer(("smp8.simplex.im",), "5224", SIMPLEX_SERVERS[0].key_hash),
            SMPServer(("smp8.simplex.im", ONION), "", SIMPLEX_SERVERS[0].key_hash),
            SMPServer(("smp9.simplex.im",), "", SIMPLEX_SERVERS[0].key_hash),
        ],
    )
    def test_other_links_stay_whole(self, server: SMPServer) -> None:
        link = ShortContact(server, KEY)
        assert shorten(link) == link
        assert resolve(link) == link

    def test_scheme_with_hosts_keeps_the_first(self) -> None:
        full = SMPServer(("smp8.simplex.im", ONION), "", self.preset.key_hash)
        short = shorten(ShortContact(full, KEY, web=False), [full])
        assert format_short_link(short) == f"simplex:/a#{KEY_TEXT}?h=smp8.simplex.im"
        assert resolve(short, [full]).server == full

    def test_unknown_relay_without_fingerprint(self) -> None:
        with pytest.raises(LinkError, match=r"smp\.example\.org without its fingerprint"):
            resolve(ShortContact(SMPServer(("smp.example.org",), "", b""), KEY))

    def test_one_that_the_shell_cut_is_not_taken_for_another_relay_on_that_host(self) -> None:
        mine = SMPServer(("127.0.0.1",), "40853", HASH)
        cut = parse_short_link(f"simplex:/i#{ID_TEXT}/{KEY_TEXT}?h=127.0.0.1")
        with pytest.raises(LinkError, match="cut off after h="):
            resolve(cut, [*PRESET_SERVERS, mine])
        assert resolve(replace(cut, web=True), [mine]).server == mine

    def test_table(self) -> None:
        assert len(PRESET_SERVERS) == len({server.key_hash for server in PRESET_SERVERS}) == 21
        assert len({host for server in PRESET_SERVERS for host in server.hosts}) == 42
        assert all(read_server(format_server(server)).server == server for server in PRESET_SERVERS)

    def test_new_queues_are_made_where_apps_make_them_and_in_their_order(self) -> None:
        numbers = [8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19]
        assert [server.hosts[0] for server in SIMPLEX_SERVERS] == [f"smp{number}.simplex.im" for number in numbers]
        assert [server.hosts[0] for server in RETIRED_SERVERS] == [f"smp{number}.simplex.im" for number in (4, 5, 6)]
        assert PRESET_SERVERS[:14] == SIMPLEX_SERVERS + RETIRED_SERVERS

    def test_each_is_an_onion_service_too(self) -> None:
        for server in PRESET_SERVERS:
            _, onion = server.hosts
            assert re.fullmatch(r"[a-z2-7]{56}\.onion", onion)

    def test_a_link_to_a_relay_that_takes_no_new_queues_still_leads_there(self) -> None:
        link = resolve(parse_short_link(f"https://smp4.simplex.im/a#{KEY_TEXT}"))
        assert link.server == RETIRED_SERVERS[0]
