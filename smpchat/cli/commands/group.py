"""``group``: commands for one group: make, join, change, leave and end it, and decide about its members."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from smpchat.cli.arguments import GROUP, JOINED_GROUP, MEMBER, QR, QR_FILE, SERVER, WHO, YES, Shown
from smpchat.cli.clipboard import copy as copy_to_clipboard
from smpchat.cli.command_line import examples, group
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import CommandFailed, ExitStatus
from smpchat.cli.group_options import ALIAS, DESCRIPTION, NAME, ROLE, ROLE_HELP, WELCOME, Said, switch
from smpchat.cli.questions import agrees, can_ask
from smpchat.cli.running import run
from smpchat.cli.streams import argument_text
from smpchat.cli.text import quoted, shortened

if TYPE_CHECKING:
    from smpchat.chat.service.connecting import ChatService
    from smpchat.chat.service.views import GroupLinkView, GroupView, MemberView

_SAVED = "Your answer is saved. The next command that goes online sends it."

app = group("Make, join, change and leave groups.", "smpchat group create team", "smpchat group members team")


@app.command("join", epilog=examples("smpchat group join 2", "smpchat group join hikers --alias hike"))
def join(
    context: typer.Context,
    who: str = GROUP,
    alias: str | None = ALIAS,
) -> None:
    """Accept an invitation to a group."""
    run(context, lambda environment: _join(environment, who, alias))


async def _join(environment: Environment, who: str, alias: str | None) -> int:
    """Join a group, and stay online until the person who invited us has let us in, or a time limit is reached."""
    from smpchat.chat.online.patience import Patience, RelayDown
    from smpchat.chat.online.presence import online
    from smpchat.chat.online.waiting import flush, until
    from smpchat.cli.connecting import interrupted, unreachable
    from smpchat.cli.views.groups import show_group

    with closing(environment.open()) as service:
        joined = service.join_group(who, alias)
        assert joined.alias is not None
        name, down = joined.alias, None

        def look() -> GroupView | None:
            now = service.group(name)
            return None if now.standing == "joining" else now

        with interrupted("Interrupted.", lambda: _SAVED):
            async with online(service, environment.relay()):
                try:
                    found = await until(service, look, Patience(), service.contact(name).contact.connection_id)
                except RelayDown as error:
                    found, down = None, error
                await flush(service)
        if down is not None:
            raise unreachable(down, _SAVED)
        show_group(environment, found or service.group(name))
        if found is None:
            environment.notice("You will be in the group when the person who invited you comes online.")
        return ExitStatus.OK


@app.command("leave", epilog=examples("smpchat group leave team", "smpchat group leave 2"))
def leave(context: typer.Context, who: str = GROUP, yes: bool = YES) -> None:
    """Leave a group, or decline an invitation.

    The conversation stays on this computer; `smpchat delete` removes it. If you are the only owner, smpchat asks first.
    """
    run(context, lambda environment: _ask_and_leave(environment, who, sure=yes))


def _ask_and_leave(environment: Environment, who: str, *, sure: bool) -> int | Coroutine[Any, Any, int]:
    """Leave a group. If the user is its only owner, first say what leaving means; at a terminal, also ask."""
    if not sure:
        from smpchat.cli.views.groups import about_only_owner

        with closing(environment.open()) as service:
            group = service.group(who)
        meaning, alias = about_only_owner(group), group.alias or ""
        if meaning and not can_ask(environment):
            environment.notice(meaning)
        elif meaning and not agrees(f"Leave {shortened(alias)}?", meaning):
            owner = f"`smpchat group role {shlex.quote(alias)} MEMBER owner`"
            environment.notice(f"You are still in {shortened(alias)}. To make somebody else an owner: {owner}.")
            return ExitStatus.OK
    return _leave(environment, who)


async def _leave(environment: Environment, who: str) -> int:
    """Leave a group, and try to tell the members at once."""
    from smpchat.cli.views.groups import show_group

    with closing(environment.open()) as service:
        before = service.leave_group(who)
        if before.alias is None:
            environment.notice("Declined. The person who invited you is not told.")
            return ExitStatus.OK
        show_group(environment, before)
        await _tell(environment, service)
        return ExitStatus.OK


@app.command("members", epilog=examples("smpchat group members team", "smpchat group members team --all"))
def members(
    context: typer.Context,
    who: str = JOINED_GROUP,
    everybody: bool = typer.Option(False, "--all", help="Also list members who left or were removed."),
) -> None:
    """List the members of a group."""
    run(context, lambda environment: _members(environment, who, everybody))


def _members(environment: Environment, who: str, everybody: bool) -> int:
    from smpchat.cli.views.groups import show_group, show_members

    with closing(environment.open()) as service:
        found = service.group(who)
        if found.alias is None:
            raise CommandFailed(
                ExitStatus.INPUT,
                f"You are not in the group {found.name!r} yet.",
                f"Join first: `smpchat group join {found.id}`.",
            )
        if not environment.json and environment.attended:
            show_group(environment, found)
        show_members(environment, found, all_of_them=everybody)
    return ExitStatus.OK


# -- your own groups --------------------------------------------------------------------------------------------------

_LINK_SAVED = "The next command that goes online will make the link; then `smpchat group link` prints it."
_INVITATION_SAVED = "The next command that goes online sends the invitation."
_SENT_LATER = "The next command that goes online tells the other members."


@app.command("create", epilog=examples("smpchat group create team", "smpchat group create Hikers --alias hike"))
def create(
    context: typer.Context,
    name: str = NAME,
    alias: str | None = ALIAS,
    description: str | None = DESCRIPTION,
    welcome: str | None = WELCOME,
) -> None:
    """Make a group of your own."""
    run(context, lambda environment: _create(environment, name, alias, Said(None, description, welcome)))


def _create(environment: Environment, name: str, alias: str | None, said: Said) -> int:
    """Store a new group; nothing is sent."""
    from smpchat.cli.views.groups import show_group

    texts = said.checked()
    with closing(environment.open()) as service:
        made = service.create_group(
            argument_text(name), alias=alias, description=texts["description"] or "", welcome=texts["welcome"] or ""
        )
        show_group(environment, made)
        who = shlex.quote(made.alias or "")
        environment.notice(
            f"To invite a contact: `smpchat group invite {who} WHO`. For a link: `smpchat group link {who}`."
        )
        return ExitStatus.OK


@app.command("invite", epilog=examples("smpchat group invite team bob", "smpchat group invite team bob --role admin"))
def invite(
    context: typer.Context,
    who: str = JOINED_GROUP,
    contact: str = WHO,
    role: str = ROLE,
) -> None:
    """Invite a contact to a group."""
    run(context, lambda environment: _invite(environment, who, contact, role))


async def _invite(environment: Environment, who: str, contact: str, role: str) -> int:
    """Invite a contact, and stay online until the invitation is sent, or a time limit is reached."""
    from smpchat.chat.online.patience import Patience, RelayDown
    from smpchat.chat.online.presence import online
    from smpchat.chat.online.waiting import flush, until
    from smpchat.cli.connecting import interrupted, start_relay, unreachable
    from smpchat.cli.views.groups import show_member

    with closing(environment.open()) as service:
        if not service.servers():
            await start_relay(environment.relay())
        invited, down = service.invite_to_group(who, contact, role), None

        def look() -> bool | None:
            found = [member for member in service.group(who).members if member.name == invited.name]
            return None if any(member.connection == "making" for member in found) else True

        with interrupted("Interrupted.", lambda: _INVITATION_SAVED):
            async with online(service, environment.relay()):
                try:
                    sent = await until(service, look, Patience(), service.contact(contact).contact.connection_id)
                except RelayDown as error:
                    sent, down = None, error
                await flush(service)
        if sent is None:
            raise unreachable(down, _INVITATION_SAVED)
        group, alias = service.group(who), service.contact(contact).alias
        line = f"{shortened(alias)} is invited to {shortened(group.alias or '')} as {invited.role}."
        show_member(environment, group, invited, line)
        environment.notice(f"{shortened(alias)} can join while you are online: `smpchat listen` or `smpchat chat`.")
        return ExitStatus.OK


@app.command("link", epilog=examples("smpchat group link team", "smpchat group link team --delete"))
def link(
    context: typer.Context,
    who: str = JOINED_GROUP,
    role: str | None = typer.Option(
        None, "--role", metavar="ROLE", help="Role of people who join: member or observer (default: member)."
    ),
    delete: bool = typer.Option(False, "--delete", help="Delete the link; members who joined with it stay."),
    server: str | None = SERVER,
    qr: bool | None = QR,
    qr_file: Path | None = QR_FILE,
    copy: bool = typer.Option(False, "--copy", help="Copy the link to the clipboard."),
) -> None:
    """Make or show a link with which anybody can join."""
    if delete:
        run(context, lambda environment: _delete_link(environment, who))
    else:
        run(context, lambda environment: _link(environment, who, role, server, Shown(qr, qr_file, copy)))


async def _link(environment: Environment, who: str, role: str | None, server: str | None, shown: Shown) -> int:
    """Print the group's link; make it first if there is none."""
    from smpchat.chat.online.patience import Patience, RelayDown
    from smpchat.chat.online.presence import online
    from smpchat.chat.online.waiting import flush, until
    from smpchat.chat.store.leftovers import picture_of
    from smpchat.cli.connecting import start_relay, unreachable, warn_if_local
    from smpchat.cli.qr import check_free, save_qr, show_qr
    from smpchat.cli.views.groups import show_group_link

    check_free(shown.qr_file)
    with closing(environment.open()) as service:
        if server is None and not service.servers():
            await start_relay(environment.relay())
        asked, down = service.make_group_link(who, role, server=server), None
        made = _with_text(asked)
        if made is None:
            async with online(service, environment.relay()):
                try:
                    made = await until(
                        service, lambda: _with_text(service.group_link(who)), Patience(), asked.connection
                    )
                except RelayDown as error:
                    down = error
                await flush(service)
        if made is None:
            raise unreachable(down, _LINK_SAVED)
        show_group_link(environment, service.group(who), made)
        text = made.short or made.full or ""
        if environment.attended if shown.qr is None else shown.qr:
            show_qr(environment, text, picture_of(service.folder, None))
        if shown.qr_file is not None:
            save_qr(environment, text, shown.qr_file)
        if shown.copy:
            copy_to_clipboard(environment, text, "link")
        warn_if_local(environment, service, made.connection, "link")
        return ExitStatus.OK


def _with_text(link: GroupLinkView | None) -> GroupLinkView | None:
    return link if link is not None and link.full else None


async def _delete_link(environment: Environment, who: str) -> int:
    """Delete the group's link, here and at its relay."""
    from smpchat.chat.online.patience import Patience, RelayDown
    from smpchat.chat.online.presence import online
    from smpchat.chat.online.waiting import until

    with closing(environment.open()) as service:
        connection = service.remove_group_link(who)
        async with online(service, environment.relay()):
            try:
                gone = await until(service, lambda: service.is_forgotten(connection) or None, Patience(5.0), connection)
            except RelayDown:
                gone = None
        if gone:
            environment.notice("Deleted. Members who joined with it stay.")
        else:
            environment.notice("Deleted here. The next command that reaches the relay deletes the link there too.")
        return ExitStatus.OK


@app.command("accept", epilog=examples("smpchat group accept team dan"))
def accept(
    context: typer.Context,
    who: str = JOINED_GROUP,
    member: str = MEMBER,
    role: str = ROLE,
) -> None:
    """Let in a person who is waiting for approval.

    `group members` shows who is waiting. `group remove` turns the person away.
    """

    def change(service: ChatService) -> tuple[MemberView, str]:
        changed = service.accept_member(who, member, role)
        return changed, f"{shortened(changed.name)}: {changed.role}"

    run(context, lambda environment: _change(environment, who, change))


@app.command("role", help=ROLE_HELP, epilog=examples("smpchat group role team bob admin"))
def role(
    context: typer.Context,
    who: str = JOINED_GROUP,
    member: str = MEMBER,
    role: str = typer.Argument(metavar="ROLE", help="One of the roles above."),
) -> None:
    """Change a member's role."""

    def change(service: ChatService) -> tuple[MemberView, str]:
        changed = service.set_member_role(who, member, role)
        return changed, f"{shortened(changed.name)}: {changed.role}"

    run(context, lambda environment: _change(environment, who, change))


@app.command("remove", epilog=examples("smpchat group remove team bob"))
def remove(
    context: typer.Context,
    who: str = JOINED_GROUP,
    member: str = MEMBER,
    messages: bool = typer.Option(False, "--messages", help="Also delete the member's messages, for everybody."),
) -> None:
    """Remove a member, or cancel an invitation."""

    def change(service: ChatService) -> tuple[MemberView, str]:
        changed = service.remove_member(who, member, messages=messages)
        return changed, f"{shortened(changed.name)}: removed"

    run(context, lambda environment: _change(environment, who, change))


@app.command("block", epilog=examples("smpchat group block team bob"))
def block(context: typer.Context, who: str = JOINED_GROUP, member: str = MEMBER) -> None:
    """Hide a member's new messages from everybody.

    The member is not told, and still sees what others write.
    """

    def change(service: ChatService) -> tuple[MemberView, str]:
        changed = service.block_member(who, member)
        return changed, f"{shortened(changed.name)}: blocked for everybody"

    run(context, lambda environment: _change(environment, who, change))


@app.command("unblock", epilog=examples("smpchat group unblock team bob"))
def unblock(context: typer.Context, who: str = JOINED_GROUP, member: str = MEMBER) -> None:
    """Show a member's new messages to everybody again."""

    def change(service: ChatService) -> tuple[MemberView, str]:
        changed = service.block_member(who, member, blocked=False)
        return changed, f"{shortened(changed.name)}: not blocked"

    run(context, lambda environment: _change(environment, who, change))


async def _change(environment: Environment, who: str, change: Callable[[ChatService], tuple[MemberView, str]]) -> int:
    """Make a change that affects one member, and try to tell the other members at once."""
    from smpchat.cli.views.groups import show_member

    with closing(environment.open()) as service:
        member, line = change(service)
        show_member(environment, service.group(who), member, line)
        await _tell(environment, service)
        return ExitStatus.OK


async def _tell(environment: Environment, service: ChatService) -> None:
    """Try to tell the members about a change at once. If this fails, say that a later command tells them."""
    from smpchat.chat.online.presence import online
    from smpchat.chat.online.waiting import flush

    if service.is_idle():
        return
    async with online(service, environment.relay()):
        await flush(service)
    if not service.is_idle():
        environment.notice(_SENT_LATER)


@app.command(
    "set", epilog=examples("smpchat group set team --name Hikers", "smpchat group set team --allow reactions=off")
)
def set_(
    context: typer.Context,
    who: str = JOINED_GROUP,
    name: str | None = typer.Option(None, "--name", metavar="NAME", help="The group's name, which members see."),
    description: str | None = DESCRIPTION,
    welcome: str | None = WELCOME,
    allow: list[str] = typer.Option(
        [],
        "--allow",
        metavar="WHAT=on|off",
        help="What members may use: reactions, voice, files, links, direct, fulldelete or history; may be repeated.",
    ),
    disappear: str | None = typer.Option(
        None, "--disappear", metavar="TIME", help="Messages disappear after this time, such as 30m or 2w; off: never."
    ),
    review: bool | None = typer.Option(
        None, "--review/--no-review", help="Moderators must approve each person who joins with the link."
    ),
) -> None:
    """Change a group's name, its texts, and what members may do.

    What you leave out stays as it is. Three words of --allow need an explanation. With direct, members may write to
    each other privately. With fulldelete, a deleted message leaves no trace. With history, people who join see the last
    messages.
    """
    said = Said(name, description, welcome)
    if said == Said(None, None, None) and not allow and disappear is None and review is None:
        raise typer.BadParameter("say what to change, for example --name, --welcome or --allow.")
    run(context, lambda environment: _set(environment, who, said, [switch(each) for each in allow], disappear, review))


async def _set(
    environment: Environment,
    who: str,
    said: Said,
    allowed: list[tuple[str, bool]],
    disappear: str | None,
    review: bool | None,
) -> int:
    """Make the changes that the options of `group set` ask for, and try to tell the members at once."""
    from smpchat.chat.wire.durations import parse_duration
    from smpchat.cli.views.groups import about_rules, show_group

    seconds = None if disappear is None else 0 if disappear.lower() == "off" else parse_duration(disappear)
    with closing(environment.open()) as service:
        service.change_group(who, **said.checked(), allow=dict(allowed), disappear=seconds, review=review)
        changed = service.group(who)
        name = shortened(changed.alias or "")
        show_group(
            environment, changed, f"The name of the group {name} is {quoted(changed.name)}. {about_rules(changed)}"
        )
        await _tell(environment, service)
        return ExitStatus.OK


@app.command("delete", epilog=examples("smpchat group delete team"))
def delete(
    context: typer.Context,
    who: str = JOINED_GROUP,
    yes: bool = YES,
) -> None:
    """End a group for everybody in it.

    The conversation stays on this computer; `smpchat delete` removes it.
    """
    run(context, lambda environment: _ask_and_delete(environment, who, sure=yes))


def _ask_and_delete(environment: Environment, who: str, *, sure: bool) -> int | Coroutine[Any, Any, int]:
    """End a group; at a terminal, ask first."""
    if not sure and can_ask(environment):
        with closing(environment.open()) as service:
            group = service.group(who)
        if not agrees(f"End the group {shortened(group.alias or group.name)} for everybody in it?"):
            environment.notice("Nothing was deleted.")
            return ExitStatus.OK
    return _delete(environment, who)


async def _delete(environment: Environment, who: str) -> int:
    """End a group, and try to tell the members at once."""
    from smpchat.cli.views.groups import show_group

    with closing(environment.open()) as service:
        show_group(environment, service.delete_group(who))
        await _tell(environment, service)
        return ExitStatus.OK
