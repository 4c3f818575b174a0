"""``contacts``, ``status``, ``rename``, ``verify``, ``resync``, ``delete`` and ``profile``.

Most only read: what goes online, and the relay, are imported by the few that need them.
"""

from __future__ import annotations

import shlex
from contextlib import closing

from smpchat.agent.errors import AgentError
from smpchat.chat.errors import ChatError
from smpchat.chat.service.reading import ContactView, Status, StoredProfile
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.qr import qr_image
from smpchat.cli.steps import Progress, draw, steps_table
from smpchat.cli.text import printable, shortened
from smpchat.cli.times import since
from smpchat.cli.views.connections import show_state
from smpchat.cli.views.contacts import FIRST_STEPS, show_contacts, show_view, verification_lines
from smpchat.cli.views.links import own_alias, show_address, show_invitation
from smpchat.cli.views.messages import pending_line
from smpchat.cli.views.relay import show_relay
from smpchat.encoding.record import replace

_DELETE_TIMEOUT = 5.0


def contacts(environment: Environment) -> int:
    """Print all contacts."""
    if environment.is_used():
        with closing(environment.open_as(StoredProfile)) as service:
            found = service.contacts()
            show_contacts(environment, found)
            if found:
                return ExitStatus.OK
    if environment.attended:
        environment.notice(FIRST_STEPS)
    return ExitStatus.OK


def aliases(environment: Environment) -> list[str]:
    """Every alias of the profile, for completion; none if its store cannot be read, or asks for a passphrase."""
    try:
        if not environment.is_used() or environment.is_encrypted():
            return []
        with closing(environment.open_as(StoredProfile)) as service:
            return [view.alias for view in service.contacts()]
    except (AgentError, ChatError):
        return []


# -- status -----------------------------------------------------------------------------------------------------------


def status(environment: Environment, who: str | None) -> int:
    """Print invitations, handshakes and relays, or all about one contact."""
    if not environment.is_used():
        if environment.attended:
            environment.notice(FIRST_STEPS)
        return ExitStatus.OK
    with closing(environment.open_as(StoredProfile)) as service:
        if who is not None:
            _show_one(environment, service, service.contact(who))
        else:
            _show_all(environment, service, service.status())
        return ExitStatus.OK


def _show_one(environment: Environment, service: StoredProfile, view: ContactView) -> None:
    if environment.json:
        show_state(environment, view.state)
    else:
        environment.show(steps_table(draw(Progress(view.state), view.alias, environment)))
    if view.state.reason:
        environment.notice(view.state.reason)
    if view.pending:
        environment.notice(pending_line(view.alias, view.pending))
    relay = service.relay_of(view.contact.connection_id)
    trouble = service.troubles().get(relay) if relay else None
    if trouble:
        environment.notice(_trouble_line(environment, trouble.server, trouble.error, trouble.next_try_at))


def _show_all(environment: Environment, service: StoredProfile, found: Status) -> None:
    waiting = {invitation.connection for invitation in found.invitations}
    for invitation in found.invitations:
        if invitation.link:
            if not environment.json:
                note = f" for {printable(invitation.note)}" if invitation.note else ""
                environment.show(f"Invitation {invitation.connection}{note}, not used yet:\n")
            show_invitation(environment, invitation, own_alias(service))
    if found.address is not None and found.address.link:
        if not environment.json:
            environment.show("Your address:\n")
        show_address(environment, found.address, own_alias(service))
    for state in found.connections:
        if environment.json or state.connection not in waiting:
            show_state(environment, state)
        if service.is_held(state.connection):
            name = shortened(state.alias or "")
            environment.notice(f"{name} waits for a name of your choice: `smpchat rename`, or `connect` once more.")
    for alias, pending in found.pending.items():
        environment.notice(pending_line(alias, pending))
    for trouble in found.troubles.values():
        environment.notice(_trouble_line(environment, trouble.server, trouble.error, trouble.next_try_at))
    show_relay(environment)


def _trouble_line(environment: Environment, server: str, error: str, next_try_at: float | None) -> str:
    now = environment.now()
    again = f" Next try: {since(next_try_at, now)}." if next_try_at is not None and next_try_at > now else ""
    return f"{shortened(server, 100)} cannot be reached: {printable(error).rstrip('.')}.{again}"


# -- one contact ------------------------------------------------------------------------------------------------------


def rename(environment: Environment, who: str, alias: str) -> int:
    """Give a contact another alias."""
    with closing(environment.open()) as service:
        contact = service.rename(who, alias)
        show_view(environment, service.contact(contact.alias))
        return ExitStatus.OK


def verify(environment: Environment, who: str, code: str | None) -> int:
    """Print the security code, or compare it with the one that the contact sees."""
    with closing(environment.open_as(StoredProfile)) as service:
        found = service.verification(who) if code is None else service.verify(who, code)
        typed = environment.as_typed(f"`smpchat verify {shlex.quote(who)} CODE`")
        environment.emit(
            "verification",
            {"contact": found.contact, "code": found.code, "verified": found.verified},
            verification_lines(found, asked=code is None, command=typed.strip("`")),
        )
        return ExitStatus.OK


async def resync(environment: Environment, who: str) -> int:
    """Negotiate the encryption with a contact anew."""
    from smpchat.chat.online.presence import online
    from smpchat.cli.waiting import flush

    with closing(environment.open()) as service:
        contact = service.resync(who)
        async with online(service, environment.relay()):
            await flush(service)
        show_view(environment, service.contact(contact.alias))
        environment.notice(
            "Asked for new keys. What you write waits until their app answers; then the security code is another one."
        )
        return ExitStatus.OK


async def delete(environment: Environment, who: str) -> int:
    """Delete a contact or cancel an invitation, here and at its relay."""
    from smpchat.chat.online.presence import online
    from smpchat.cli.waiting import RelayDown, until

    with closing(environment.open()) as service:
        connection = service.delete(who)
        qr_image(environment, connection).unlink(missing_ok=True)
        async with online(service, environment.relay()):
            try:
                gone = await until(service, lambda: service.is_forgotten(connection) or None, _DELETE_TIMEOUT)
            except RelayDown:
                gone = None
        if gone:
            environment.notice("Deleted.")
        else:
            environment.notice("Deleted here; its relay is told by the next command that reaches it.")
        return ExitStatus.OK


# -- profiles ---------------------------------------------------------------------------------------------------------


def profile_show(environment: Environment, name: str | None = None) -> int:
    """Print the profile, after giving it another name if one is given."""
    with closing(environment.open()) as service:
        profile = service.own_profile() if name is None else service.set_profile(name)
        show_profile(environment, environment.profile, profile.display_name)
        return ExitStatus.OK


def profile_list(environment: Environment) -> int:
    """Print all profiles of this home."""
    folder = environment.home / "profiles"
    for path in sorted(folder.iterdir()) if folder.exists() else []:
        other = replace(environment, profile=path.name)
        if other.is_used():
            show_profile(environment, path.name, display_name(other))
    return ExitStatus.OK


def display_name(environment: Environment) -> str | None:
    """What contacts of the profile are told; None if it takes a passphrase to know."""
    if environment.is_encrypted():
        return None
    with closing(environment.open_as(StoredProfile)) as service:
        return service.own_profile().display_name


def show_profile(environment: Environment, name: str, told: str | None) -> None:
    """A ``profile`` object, or ``* alice: Alice``; the star marks the one that is used."""
    active = name == environment.profile
    environment.emit(
        "profile",
        {"name": name, "display_name": told, "active": active},
        f"{'*' if active else ' '} {printable(name)}: {'(encrypted)' if told is None else printable(told)}",
    )
