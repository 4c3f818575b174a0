"""``contacts``, ``status``, ``rename``, ``delete`` and ``profile``."""

from __future__ import annotations

from smpchat.chat.online import online
from smpchat.cli import views
from smpchat.cli.commands.relay import show_relay
from smpchat.cli.environment import Environment, printable
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.waiting import RelayDown, until

_DELETE_TIMEOUT = 5.0


def contacts(environment: Environment) -> int:
    """Print all contacts."""
    service = environment.open()
    try:
        for view in service.contacts():
            views.show_view(environment, view)
        return ExitStatus.OK
    finally:
        service.close()


def status(environment: Environment, who: str | None) -> int:
    """Print invitations, handshakes and relays."""
    service = environment.open()
    try:
        if who is not None:
            view = service.contact(who)
            views.show_state(environment, view.state)
            if view.state.reason:
                environment.notice(printable(view.state.reason))
            if view.pending:
                environment.notice(f"{view.pending} pending")
            return ExitStatus.OK
        found = service.status()
        for invitation in found.invitations:
            if invitation.link:
                views.show_invitation(environment, invitation)
        for state in found.connections:
            views.show_state(environment, state)
        for alias, pending in found.pending.items():
            environment.notice(f"{printable(alias)}: {pending} pending")
        for trouble in found.troubles.values():
            environment.notice(f"{trouble.server} cannot be reached: {printable(trouble.error)}")
        show_relay(environment)
        return ExitStatus.OK
    finally:
        service.close()


def rename(environment: Environment, who: str, alias: str) -> int:
    """Give a contact another alias."""
    service = environment.open()
    try:
        contact = service.rename(who, alias)
        views.show_view(environment, service.contact(contact.alias))
        return ExitStatus.OK
    finally:
        service.close()


async def delete(environment: Environment, who: str) -> int:
    """Delete a contact or cancel an invitation, here and at its relay."""
    service = environment.open()
    try:
        connection = service.delete(who)
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
    finally:
        service.close()


def profile_show(environment: Environment, name: str | None = None) -> int:
    """Print the profile, after giving it another name if one is given."""
    service = environment.open()
    try:
        profile = service.own_profile() if name is None else service.set_profile(name)
        _show_profile(environment, environment.profile, profile.display_name)
        return ExitStatus.OK
    finally:
        service.close()


def profile_list(environment: Environment) -> int:
    """Print all profiles of this home."""
    from dataclasses import replace

    folder = environment.home / "profiles"
    for path in sorted(folder.iterdir()) if folder.exists() else []:
        service = replace(environment, profile=path.name).open()
        try:
            _show_profile(environment, path.name, service.own_profile().display_name)
        finally:
            service.close()
    return ExitStatus.OK


def _show_profile(environment: Environment, name: str, display_name: str) -> None:
    active = name == environment.profile
    environment.emit(
        "profile",
        {"name": name, "display_name": display_name, "active": active},
        f"{'*' if active else ' '} {printable(name)}: {printable(display_name)}",
    )
