"""The program ``smpchat``: the options that all commands share, and the handling of faulty command lines.

`smpchat.cli.table` lists the commands; each is implemented in ``commands/NAME.py``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import typer

from smpchat.cli.arguments import profiles
from smpchat.cli.command_line import (
    GroupWithPanels,
    LazyGroup,
    Program,
    UsageError,
    examples,
    globals_first,
    wants_json,
)
from smpchat.cli.environment import Environment, make_environment
from smpchat.cli.exit_status import CommandFailed, ExitStatus
from smpchat.cli.streams import tolerate_any_text

app = Program(
    cls=LazyGroup,
    help=(
        "Terminal chat over the SimpleX Messaging Protocol: open a link and start writing at once.\n\nOn a terminal,"
        " `smpchat` without a command opens the chat. The options below also work after the command."
    ),
    invoke_without_command=True,
    add_completion=True,
)
_ALONE = (
    "To try smpchat alone, use two terminals. In one, run `smpchat -p alice invite`. In the other, run the command that"
    " the first terminal shows, with -p bob added."
)


@app.callback(
    epilog=examples("smpchat invite", "smpchat connect LINK --alias bob -m hello", "smpchat chat bob") + f"\n\n{_ALONE}"
)
def options(
    context: typer.Context,
    home: Path | None = typer.Option(
        None,
        "--home",
        metavar="FOLDER",
        envvar="SMPCHAT_HOME",
        help="Folder for all data; `doctor` prints its path.",
    ),
    profile: str | None = typer.Option(
        None,
        "-p",
        "--profile",
        metavar="NAME",
        envvar="SMPCHAT_PROFILE",
        help="Profile to use (default: chosen by `profile switch`).",
        autocompletion=profiles,
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object per line."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="Suppress notices."),
    verbose: bool = typer.Option(False, "-v", "--verbose", help="Print a detailed log on standard error."),
    socks: str | None = typer.Option(
        None,
        "--socks",
        metavar="HOST:PORT|off",
        envvar="SMPCHAT_SOCKS",
        help="SOCKS5 proxy for this command, or off (default: set by `server socks`).",
    ),
    trace: bool = typer.Option(False, "--trace", help="Print every protocol frame's name and time on standard error."),
    no_color: bool = typer.Option(False, "--no-color", help="No colours. The variable NO_COLOR does the same."),
    version: bool = typer.Option(
        False, "--version", help=("Print the versions of smpchat, Python, libraries and protocols.")
    ),
    plain: bool = typer.Option(False, "--plain", help="Plain text for screen readers."),
    key_file: Path | None = typer.Option(
        None,
        "--key-file",
        metavar="FILE",
        envvar="SMPCHAT_KEY_FILE",
        help="File with the profile's passphrase in its first line (asked if omitted).",
    ),
    key_command: str | None = typer.Option(
        None,
        "--key-command",
        metavar="CMD",
        envvar="SMPCHAT_KEY_COMMAND",
        help="Command that prints the profile's passphrase.",
    ),
) -> None:
    """The options that all commands share."""
    now = context.obj if callable(context.obj) else time.time
    make = partial(
        make_environment,
        home,
        json=as_json,
        quiet=quiet,
        verbose=verbose,
        socks=socks,
        trace=trace,
        plain=plain,
        color=not no_color,
        now=now,
        key_file=key_file,
        key_command=key_command,
    )
    try:
        context.obj = make(profile)
    except CommandFailed as error:  # the chosen profile cannot be read: do not run with another one
        make("").error(error.status, str(error), error.hint)
        raise typer.Exit(int(error.status)) from None
    if context.invoked_subcommand is None and not version:
        _without_command(context)


def _without_command(context: typer.Context) -> None:
    """On a terminal, open the chats; for scripts and pipes, raise a usage error."""
    from smpchat.cli.questions import can_ask

    if not can_ask(context.obj):
        raise UsageError("Missing command.", ctx=context)
    from smpchat.cli.commands.chat import open_chats

    open_chats(context)


@cache
def program() -> GroupWithPanels:
    """The parser of the whole command line, with all commands."""
    commands = typer.main.get_command(app)
    assert isinstance(commands, GroupWithPanels)
    return commands


def main(arguments: Sequence[str] | None = None, *, now: Callable[[], float] = time.time) -> None:
    """Run the program ``smpchat``; ends with `SystemExit`.

    Args:
        arguments: The command line without the program's name; if None, the command line of this process.
        now: Returns the current time in POSIX seconds.
    """
    tolerate_any_text()
    commands = program()
    ordered = globals_first(sys.argv[1:] if arguments is None else arguments, commands)
    try:
        # typer's standalone mode is off: in that mode, typer prints errors in its own way, and uses exit statuses of
        # its own.
        status = commands.main(ordered, prog_name="smpchat", standalone_mode=False, obj=now)
    except UsageError as error:
        status = _explain_usage(error, ordered)
    except (typer.Abort, KeyboardInterrupt):
        status = ExitStatus.INTERRUPTED
    except Exception as error:  # raised by an option, before the command ran
        status = _explain_error(error, ordered)
    sys.exit(int(status or 0))


def _explain_error(error: Exception, arguments: Sequence[str]) -> int:
    from smpchat.cli.errors import explain

    explained = explain(error)
    environment = Environment(Path(), "", json=wants_json(arguments))
    environment.error(explained.status, explained.message, explained.hint)
    return explained.status


def _explain_usage(error: UsageError, arguments: Sequence[str]) -> int:
    """Handle a command line that cannot be understood; if it names no command, print the help."""
    context: Any = error.ctx
    command = context.command_path if context else "smpchat"
    if not wants_json(arguments) and context and isinstance(context.command, GroupWithPanels) and not context.args:
        if len(arguments) <= command.count(" "):
            print(context.get_help())
            return ExitStatus.USAGE
    message, hint = error.format_message(), f"`{command} --help` shows how to use the command."
    environment = Environment(Path(), "", json=wants_json(arguments))
    environment.error(ExitStatus.USAGE, message, hint)
    return ExitStatus.USAGE
