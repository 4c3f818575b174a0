"""``receive``: fetches the file of a message or of a link, and saves it on this computer."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from smpchat.cli.arguments import FILE_TIMEOUT, aliases
from smpchat.cli.command_line import Program, examples
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import CommandFailed, ExitStatus
from smpchat.cli.questions import agrees, can_ask
from smpchat.cli.running import run

if TYPE_CHECKING:
    from smpchat.chat.service.writing import WritingProfile

app = Program()


@app.command(
    epilog=examples(
        "smpchat receive 12",
        "smpchat receive bob --to ~/Pictures",
        "smpchat receive 'simplex:/file#/?desc=…' --to film.mp4",
    )
)
def receive(
    context: typer.Context,
    message: str = typer.Argument(
        metavar="MESSAGE",
        help="The message's number, the alias of a contact or group (for its last file), or a link to a file.",
        autocompletion=aliases,
    ),
    to: Path | None = typer.Option(None, "--to", metavar="PATH", help="Save in this folder, or as this new file."),
    approve: bool = typer.Option(
        False,
        "--approve",
        help="Also fetch from file relays that you do not use yourself; they see your IP address (asked if omitted).",
    ),
    timeout: float | None = FILE_TIMEOUT,
) -> None:
    """Receive a file.

    The file is saved in your downloads folder, in a subfolder named smpchat, unless --to, --home or the setting
    files-folder chooses another place. If that folder has a file with the same name, a number is added to the new name;
    nothing is overwritten. The new file appears when it is complete and every check has passed. If a contact has sent
    no file yet, smpchat waits 5 seconds for one.
    """
    run(context, lambda environment: _receive(environment, message, to, timeout, approve=approve))


async def _receive(
    environment: Environment, which: str, to: Path | None, patience: float | None, *, approve: bool
) -> int:
    """Receive a file, and stay online until it has arrived. ``which``: the number of the file's message, the alias of a
    contact or group, or a link to a file."""
    if is_file_link(which):
        return await _fetch(environment, which, to, patience, approve=approve)
    from smpchat.chat.errors import NoFileOffered
    from smpchat.chat.online.moving import until_offered
    from smpchat.chat.online.presence import online
    from smpchat.chat.service.writing import WritingProfile
    from smpchat.cli.transferring import bar, until_moved
    from smpchat.cli.views.files import show_file

    with closing(environment.open_as(WritingProfile)) as service:
        try:
            number = message_number(service, which)
        except NoFileOffered:  # the message with the file may still be at the relay
            async with online(service, environment.relay()):
                number = await until_offered(service, which)
        own = environment.relay().owns_files
        relays = () if approve else service.relays_to_approve(number, own)
        if relays:
            _ask(environment, relays, f"If you agree: `smpchat receive {number} --approve`.")
        asked = service.receive_file(number, to, approved=approve or bool(relays), own=own)
        assert asked.file is not None
        with bar(environment, asked.file.name, asked.file.size) as tell:
            async with online(service, environment.relay()):
                message = await until_moved(environment, service, number, patience, tell)
        show_file(environment, message)
        return ExitStatus.OK


async def _fetch(environment: Environment, link: str, to: Path | None, patience: float | None, *, approve: bool) -> int:
    """Fetch the file that a link leads to. This process fetches it even if another one is online for the profile."""
    from smpchat.chat.online.fetching import LinkFetcher
    from smpchat.chat.service.writing import WritingProfile
    from smpchat.cli.transferring import bar
    from smpchat.cli.views.files import show_fetched
    from smpchat.xftp.description import FileDescription

    with closing(environment.open_as(WritingProfile)) as service:
        own, place, agreed = environment.relay().owns_files, service.place_for(to), approve

        def agree(described: FileDescription) -> None:
            nonlocal agreed
            relays = () if agreed else service.relays_of(described, own)
            if relays:
                _ask(environment, relays, "If you agree, add --approve.")
                agreed = True

        first = service.read_file_link(link)
        agree(first)
        try:
            fetcher = LinkFetcher(service, environment.relay(), agreed=agreed, patience=patience)
            described = await fetcher.description(first)
            agree(described)
            fetcher = LinkFetcher(service, environment.relay(), agreed=agreed, patience=patience)
            with bar(environment, "the file", described.size) as tell:
                path = await fetcher.file(described, place, tell)
        except TimeoutError:
            raise CommandFailed(
                ExitStatus.TIMEOUT,
                "The file has not arrived completely yet.",
                "Run the command again, with a larger --timeout.",
            ) from None
        show_fetched(environment, path)
        return ExitStatus.OK


def is_file_link(text: str) -> bool:
    """Whether a text begins like a link to a file. An alias never begins like this."""
    return re.match(r"\s*(?:simplex:/+file|https://[^/\s]+/file/?#)", text, re.IGNORECASE) is not None


def message_number(service: WritingProfile, which: str) -> int:
    """The number of the message whose file the user wants. For an alias, this is the contact's last message with a
    file that can be received.

    Raises:
        NoFileOffered: The contact has sent no file that can be received.
        InputError: No contact has the alias that the user typed.
    """
    number = which.removeprefix("#")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 16 else service.offered_by(which)


def _ask(environment: Environment, relays: tuple[str, ...], hint: str) -> None:
    """Ask whether the file relays that a sender chose may see our IP address. Raises `CommandFailed` unless a person
    agrees."""
    what = (
        f"The sender put the file at {', '.join(relays)}, which you do not use. These relays would see your IP address."
    )
    if can_ask(environment) and agrees(f"{what}\nFetch it?"):
        return
    raise CommandFailed(
        ExitStatus.INPUT,
        what,
        f"{hint} `--socks` hides your IP address.",
    )
