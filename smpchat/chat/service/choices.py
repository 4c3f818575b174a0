"""The profile's own choice of relays, and of how they are reached. Settings that the profile has not chosen come from
the config files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from smpchat.agent.store import connections, consents, moves
from smpchat.chat.errors import InputError
from smpchat.chat.service.messages import StoredMessages
from smpchat.chat.store import settings
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record
from smpchat.protocol.address import SMPServer, SMPServerAddress, format_server, masked, parse_server

if TYPE_CHECKING:  # imported where they are used: most commands that only read need no network settings
    from smpchat.chat.store.servers import ConfiguredFileServer, ConfiguredServer
    from smpchat.client.routes import Transport
    from smpchat.protocol.address import FileServer, FileServerAddress
    from smpchat.transport.socks_address import SocksProxy

NO_PROXY = "off"


class OwnChoices(Record):
    """The profile's own settings for relays and the network, without those of the config files.

    Attributes:
        servers: Addresses of the relays for new queues, without passwords. None if the profile has not chosen any;
            empty if the profile has chosen the embedded relay.
        proxy: ``HOST:PORT``, or ``off``. None if the profile has not chosen a proxy.
        private_routing: Whether messages to other people's relays go through the profile's own relays. None if the
            profile has not chosen this.
        strangers_anywhere: Whether relays that other people name may also be on this computer or in its networks.
        receives_at: Relays of the profile's own queues, where contacts' messages arrive; smpchat connects to them as
            soon as the profile is online.
        file_servers: Addresses of the file relays for uploads. None and empty mean the same as for ``servers``.
    """

    servers: tuple[str, ...] | None
    proxy: str | None
    private_routing: bool | None
    strangers_anywhere: bool
    receives_at: tuple[str, ...]
    file_servers: tuple[str, ...] | None = None

    @property
    def says_something(self) -> bool:
        """Whether the profile has chosen any of these settings. ``receives_at`` is not a choice, but the list of the
        relays where the profile has queues."""
        chosen = (self.servers, self.proxy, self.private_routing, self.file_servers)
        return self.strangers_anywhere or any(one is not None for one in chosen)


class StoredChoices(StoredMessages):
    """The part of a profile that manages its relays, and how they are reached.

    Attributes:
        socks: A SOCKS proxy that overrides the profile's setting.
    """

    __slots__ = ()
    socks: str | None

    def servers(self) -> list[ConfiguredServer]:
        """The configured relays. New queues are made at those relays that are marked as preferred; if no relay is
        preferred, new queues are made at the embedded relay."""
        from smpchat.chat.store.servers import ConfiguredServer
        from smpchat.client.routes import Route, Transport

        own = [
            ConfiguredServer(parse_server(row.address), row.preferred, Route(Transport(row.transport), row.ws_port))
            for row in settings.servers(self._tx)
        ]
        if self.has_chosen(settings.SERVERS):
            return own
        usual = [ConfiguredServer(address, True, Route()) for address in self._usual_servers()]
        listed = {entry.address.server for entry in usual}
        return usual + [entry for entry in own if entry.address.server not in listed]

    def _usual_servers(self) -> list[SMPServerAddress]:
        """The relays that the config files name for new queues."""
        from smpchat.chat.store.servers import relay_address

        found: list[SMPServerAddress] = []
        for address in (settings.default(self._tx, settings.SERVERS) or "").split():
            if address == "simplex":
                from smpchat.agent.wire.presets import SIMPLEX_SERVERS

                found += map(SMPServerAddress, SIMPLEX_SERVERS)
            else:
                found.append(relay_address(address))
        return list(dict.fromkeys(found))

    # -- file relays ---------------------------------------------------------------------------------------------------

    def file_servers(self) -> list[ConfiguredFileServer]:
        """The configured file relays. Files are uploaded to those that are marked as preferred; if no file relay is
        preferred, files are uploaded to the embedded relay."""
        from smpchat.chat.store.servers import ConfiguredFileServer
        from smpchat.protocol.address import parse_file_server

        rows = settings.file_servers(self._tx)
        own = [ConfiguredFileServer(parse_file_server(address), preferred) for address, preferred in rows]
        if self.has_chosen(settings.FILE_SERVERS):
            return own
        usual = [ConfiguredFileServer(address, True) for address in self._usual_file_servers()]
        listed = {entry.address.server for entry in usual}
        return usual + [entry for entry in own if entry.address.server not in listed]

    def _usual_file_servers(self) -> list[FileServerAddress]:
        """The file relays that the config files name for uploads. If the config files name the public message relays
        and have no setting for file relays, the public file relays are used."""
        from smpchat.chat.store.servers import file_relay_address

        said = settings.default(self._tx, settings.FILE_SERVERS)
        if said is None and "simplex" in (settings.default(self._tx, settings.SERVERS) or "").split():
            said = "simplex"
        found: list[FileServerAddress] = []
        for address in (said or "").split():
            found += public_file_servers() if address == "simplex" else [file_relay_address(address)]
        return list(dict.fromkeys(found))

    def add_file_server(self, address: str) -> FileServerAddress:
        """Add a file relay: from now on, files are uploaded to it. Raises `InputError`."""
        from smpchat.chat.store.servers import file_relay_address

        server = file_relay_address(address)
        with self.database.transaction() as tx:
            settings.save_setting(tx, settings.FILE_SERVERS, "own")
            settings.add_file_server(tx, format_server(server))
        return server

    def remove_file_server(self, address: str) -> None:
        """Removes a file relay from the list; files that are at this relay stay there. Raises `InputError`."""
        from smpchat.chat.store.servers import file_relay_address

        stored = format_server(file_relay_address(address))
        with self.database.transaction() as tx:
            if not settings.remove_file_server(tx, stored):
                raise InputError("This file relay is not in your list.", "`smpchat server list` shows your relays.")
            settings.save_setting(tx, settings.FILE_SERVERS, "own")

    def use_file_servers(self, addresses: Sequence[FileServerAddress]) -> None:
        """From now on, files are uploaded only to these relays; if none is given, to the embedded relay."""
        with self.database.transaction() as tx:
            settings.save_setting(tx, settings.FILE_SERVERS, "own")
            settings.prefer_no_file_server(tx)
            for server in addresses:
                settings.add_file_server(tx, format_server(server))

    def knows_file_relay(self, server: FileServer) -> bool:
        """Whether a file relay is in the user's own list, is a public one, or belongs to a message relay that has
        the user's queues.

        Any other file relay was chosen by the sender of a file. If we downloaded from it, it would learn this
        computer's address.
        """
        from smpchat.agent.wire.file_presets import PRESET_FILE_SERVERS

        known = [entry.address.server for entry in self.file_servers()]
        if any(map(server.is_within, [*known, *PRESET_FILE_SERVERS])):
            return True
        # A relay that has the user's queues already knows this computer's address. The file relay belongs to this relay
        # if both have the same fingerprint, and all host names of the file relay are also names of this relay.
        at = [queue.server for queue in moves.every_queue(self._tx)]
        return any(server.key_hash == own.key_hash and set(server.hosts) <= set(own.hosts) for own in at)

    def has_chosen(self, name: str) -> bool:
        """Whether the profile has a value of its own for this setting, so that the config files do not count."""
        if name == settings.SERVERS and any(row.preferred for row in settings.servers(self._tx)):
            return True
        if name == settings.FILE_SERVERS and any(preferred for _, preferred in settings.file_servers(self._tx)):
            return True
        return settings.setting(self._tx, name) is not None

    def forget_choice(self, name: str) -> None:
        """Removes the profile's own value of a setting, so that the config files decide again."""
        with self.database.transaction() as tx:
            if name == settings.SERVERS:
                settings.prefer_no_server(tx)
            if name == settings.FILE_SERVERS:
                settings.prefer_no_file_server(tx)
            settings.delete_setting(tx, name)

    def setting(self, name: str) -> str | None:
        """The present value of a setting that config files can contain; None if it is set nowhere."""
        if name == settings.SERVERS:
            return " ".join(str(entry.address.server) for entry in self.servers() if entry.preferred)
        if name == settings.FILE_SERVERS:
            return " ".join(str(entry.address.server) for entry in self.file_servers() if entry.preferred)
        return settings.in_force(self._tx, name)

    def add_server(
        self, address: str, transport: Transport | None = None, ws_port: int | None = None
    ) -> SMPServerAddress:
        """Add a relay, or change how a relay is reached. From now on, new queues are made at this relay.

        Args:
            transport: How to connect to the relay. If None, the transport that was set for this relay before is used;
                if none was set, TLS.
            ws_port: The relay's WebSocket port. If None, the port that was set for this relay before is used; if none
                was set, `smpchat.client.network.DEFAULT_WS_PORT`.
        Raises:
            InputError: The address or the port is invalid.
        """
        from smpchat.chat.store.servers import relay_address

        server = relay_address(address)
        if ws_port is not None and not 0 < ws_port < 65536:
            raise InputError(f"{ws_port} is not a port.", "Give a number from 1 to 65535.")
        with self.database.transaction() as tx:
            settings.save_setting(tx, settings.SERVERS, "own")
            settings.add_server(tx, _text(server), preferred=True)
            settings.set_route(tx, _text(server), transport, ws_port)
        return server

    def remove_server(self, address: str) -> None:
        """Remove a relay from the list; contacts whose queues are at this relay keep these queues. Raises
        `InputError`."""
        from smpchat.chat.store.servers import relay_address

        with self.database.transaction() as tx:
            # The addresses are compared as texts first, because an older version of smpchat may have stored an address
            # that is invalid today.
            known = {row.address for row in settings.servers(tx)}
            stored = address.strip() if address.strip() in known else _text(relay_address(address))
            if not settings.remove_server(tx, stored):
                if any(_text(address) == stored for address in self._usual_servers()):
                    raise InputError(
                        "This relay is set in a config file.",
                        "`smpchat config list` shows which file; remove it there.",
                    )
                raise InputError("This relay is not in your list.", "`smpchat server list` shows your relays.")
            settings.save_setting(tx, settings.SERVERS, "own")

    def use_servers(self, addresses: Sequence[str]) -> None:
        """From now on, new queues are made only at these relays; if none is given, at the embedded relay. Raises
        `InputError`."""
        from smpchat.chat.store.servers import relay_address

        servers = [relay_address(address) for address in addresses]
        with self.database.transaction() as tx:
            settings.save_setting(tx, settings.SERVERS, "own")
            settings.prefer_no_server(tx)
            for server in servers:
                settings.add_server(tx, _text(server), preferred=True)

    def private_routing(self) -> bool:
        """Whether messages to other people's relays go through the profile's own relays."""
        return settings.in_force(self._tx, "private_routing") == "on"

    def set_private_routing(self, on: bool) -> None:
        """Turns private routing on or off for new sessions; sessions that are already open stay as they are."""
        with self.database.transaction() as tx:
            settings.save_setting(tx, "private_routing", "on" if on else "off")

    def strangers_anywhere(self) -> bool:
        """Whether relays that other people name may have any address, also on this computer and in its networks."""
        return consents.anywhere(self._tx)

    def set_strangers_anywhere(self, on: bool) -> None:
        """Sets whether relays that other people name may have any address: see `strangers_anywhere`."""
        with self.database.transaction() as tx:
            consents.save_anywhere(tx, on)

    def own_choices(self) -> OwnChoices:
        """The profile's own settings for relays and the network."""
        routing = settings.setting(self._tx, "private_routing")
        servers = [masked(format_server(e.address)) for e in self.servers() if e.preferred]
        files = [masked(format_server(e.address)) for e in self.file_servers() if e.preferred]
        return OwnChoices(
            servers=tuple(servers) if self.has_chosen(settings.SERVERS) else None,
            proxy=settings.setting(self._tx, "socks"),
            private_routing=None if routing is None else routing == "on",
            strangers_anywhere=consents.anywhere(self._tx),
            receives_at=tuple(sorted({str(queue.server) for queue in moves.every_queue(self._tx)})),
            file_servers=tuple(files) if self.has_chosen(settings.FILE_SERVERS) else None,
        )

    def is_local(self, connection_id: int) -> bool:
        """Whether the relay of our queue for a connection can be reached only from this computer."""
        queue = connections.receive_queue(self._tx, connection_id)
        return queue is not None and queue.server.is_on_loopback

    def answers_stay_here(self, connection_id: int) -> bool:
        """Whether the contact's answers cannot arrive: our relay can be reached only from this computer, but the
        contact's relay is on another computer."""
        queue = connections.send_queue(self._tx, connection_id)
        return queue is not None and not queue.server.is_on_loopback and self.is_local(connection_id)

    def is_own_relay(self, server: SMPServer) -> bool:
        """Whether the relay is in the user's own list, or has or will get queues of this profile."""
        own = [entry.address.server for entry in self.servers()]
        own += connections.wanted_relays(self._tx) + moves.wanted_relays(self._tx)
        own += [queue.server for queue in moves.every_queue(self._tx)]
        return any(map(server.is_within, own))

    def proxy(self) -> SocksProxy | None:
        """The SOCKS proxy for all connections except those to the embedded relay; None if no proxy is used. The
        attribute ``socks`` overrides the setting."""
        text = self.socks or settings.in_force(self._tx, "socks") or NO_PROXY
        return None if text == NO_PROXY else parsed_proxy(text)

    def set_proxy(self, text: str) -> None:
        """Saves the setting of the SOCKS proxy: ``HOST:PORT``, or ``off`` for none. Raises `InputError`."""
        with self.database.transaction() as tx:
            settings.save_setting(tx, "socks", text if text == NO_PROXY else str(parsed_proxy(text)))


def public_file_servers() -> list[FileServerAddress]:
    """The file relays of SimpleX; the word `simplex` in settings stands for them."""
    from smpchat.agent.wire.file_presets import FILE_SERVERS
    from smpchat.protocol.address import FileServerAddress

    return [FileServerAddress(server) for server in FILE_SERVERS]


def parsed_proxy(text: str) -> SocksProxy:
    """The SOCKS proxy at the address ``text``, which has the form ``HOST:PORT``. Raises `InputError`."""
    from smpchat.transport.socks_address import parse_proxy

    try:
        return parse_proxy(text)
    except DecodeError:
        raise InputError(
            f"{text!r} is not the address of a SOCKS proxy.", "Give HOST:PORT, such as 127.0.0.1:9050 for Tor, or off."
        ) from None


def _text(address: SMPServerAddress) -> str:
    return format_server(address)
