"""``man``: makes the manual page from the help texts of the commands, and shows it in a pager, prints it as roff, or
installs it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

from smpchat import __version__
from smpchat.cli.chat.slash_table import COMMANDS as SLASH_COMMANDS
from smpchat.cli.chat.slash_table import ELSEWHERE, KEYS, Command
from smpchat.cli.command_line import Program, examples, loaded
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run
from smpchat.cli.text import sentence

app = Program()
_ENVIRONMENT = {
    "SMPCHAT_HOME": "Folder for all data (--home overrides it).",
    "SMPCHAT_PROFILE": "Profile to use (-p overrides it).",
    "SMPCHAT_KEY": "Passphrase of an encrypted profile.",
    "SMPCHAT_KEY_FILE, SMPCHAT_KEY_COMMAND": "Same as --key-file and --key-command.",
    "SMPCHAT_NEW_KEY": "New passphrase for `key change`.",
    "SMPCHAT_PASSPHRASE": "Passphrase of an exported file.",
    "SMPCHAT_SOCKS": "Same as --socks.",
    "SMPCHAT_RELAY_PASSWORD": "Same as --password of `relay run` and `relay start`.",
    "NO_COLOR": "Turns colours off, unless it is empty.",
    "VISUAL, EDITOR": "Editor that /editor and Ctrl-X Ctrl-E open in chat.",
}


_FILES = {
    "~/.config/smpchat/config.toml": (
        "Settings, one per line. `smpchat config list` shows them, and `smpchat config path` prints where the file is"
        " on this system. A folder given with --home has its own file, and each profile can have one more."
    ),
    "~/.local/share/smpchat": (
        "The folder for all data, called SMPCHAT_HOME below. `smpchat doctor` prints where it is on this system."
    ),
    "SMPCHAT_HOME/profiles/NAME/smpchat.db": (
        "One profile: keys, contacts, messages, links, settings. With a passphrase, the file is called"
        " smpchat.db.encrypted."
    ),
    "SMPCHAT_HOME/profiles/NAME/config.toml": "Settings of this profile.",
    "SMPCHAT_HOME/relay": "The embedded relay: its queues, certificates and relay.log.",
}
_PAGE = "smpchat.1"


@app.command(epilog=examples("smpchat man", "smpchat man --install"))
def man(
    context: typer.Context,
    install: bool = typer.Option(False, "--install", help="Put the page where `man smpchat` finds it."),
) -> None:
    """Show the manual page.

    On a terminal the page opens in the pager of `man`. In a pipe or file it is written as roff.
    """
    run(context, lambda environment: _man(environment, context, install), reads_config=False)


def _man(environment: Environment, context: typer.Context, install: bool) -> int:
    """Show, print or install the manual page."""
    page = manual(context.find_root().command)
    if install:
        _install(environment, page)
    elif not (environment.attended and _paged(page)):
        print(page, end="", flush=True)
    return ExitStatus.OK


def _paged(page: str) -> bool:
    """Show the manual page with the program `man`. Returns False if there is no such program, or if it fails."""
    import tempfile

    program = shutil.which("man")
    if program is None:
        return False
    with tempfile.TemporaryDirectory(prefix="smpchat-") as folder:
        file = Path(folder) / _PAGE
        file.write_text(page, encoding="utf-8")
        # With every version of `man`, an argument with / in it is the path of a page.
        return subprocess.call([program, str(file)]) == 0


def _install(environment: Environment, page: str) -> None:
    """Write the page into the user's own folder of manual pages. If `man` does not look there, tell the user how to
    change that."""
    share = os.environ.get("XDG_DATA_HOME") or ""
    pages = (Path(share) if os.path.isabs(share) else Path.home() / ".local" / "share") / "man"
    file = pages / "man1" / _PAGE
    file.parent.mkdir(parents=True, exist_ok=True)
    under_way = file.with_name(f".{_PAGE}.{os.getpid()}")
    under_way.write_text(page, encoding="utf-8")
    under_way.replace(file)
    print(file, flush=True)
    if _is_searched(pages):
        environment.notice("Read it with `man smpchat`.")
    else:
        environment.notice(
            f"`man` does not look there yet. Put this line into your shell's start file:\nexport MANPATH={pages}:"
        )


def _is_searched(pages: Path) -> bool:
    """Whether `man` looks for pages in this folder, according to the program `manpath` or, without this program,
    to the variable MANPATH."""
    found = os.environ.get("MANPATH", "")
    program = shutil.which("manpath")
    if program is not None:
        # `manpath` knows more folders than MANPATH: by rules of its own, it also derives some from the folders in PATH
        found = subprocess.run([program, "-q"], capture_output=True, text=True, check=False).stdout or found
    return any(entry and Path(entry).resolve() == pages.resolve() for entry in found.strip().split(":"))


def manual(program: Any) -> str:
    """The manual page ``smpchat(1)``, in roff."""
    lines = [
        f'.TH SMPCHAT 1 "" "smpchat {__version__}" "User commands"',
        ".SH NAME",
        "smpchat \\- terminal chat over the SimpleX Messaging Protocol",
        ".SH SYNOPSIS",
        ".B smpchat",
        "[\\fIoptions\\fR] \\fIcommand\\fR [\\fIarguments\\fR]",
        ".SH DESCRIPTION",
        *_paragraphs(program.help),
        ".SH OPTIONS",
        *_options(program),
        ".SH COMMANDS",
        *(line for name, command in _commands(program) for line in _command(name, command)),
        ".SH EXIT STATUS",
        *(line for status in ExitStatus for line in (".TP", str(int(status)), _roff(sentence(status.meaning)))),
        ".SH ENVIRONMENT",
        *(line for name, text in _ENVIRONMENT.items() for line in (".TP", f".B {name}", _roff(text))),
        ".SH KEYS",
        _roff("In `smpchat chat`:"),
        *_table(KEYS),
        ".SH SLASH COMMANDS",
        _roff(
            "In `smpchat chat`. A command for a message takes its number; without a number, it applies to the last"
            " message."
        ),
        *_table((*SLASH_COMMANDS.values(), *ELSEWHERE)),
        ".SH FILES",
        *(line for name, text in _FILES.items() for line in (".TP", f".I {name}", _roff(text))),
        ".SH EXAMPLES",
        *_examples(program.epilog),
    ]
    return "\n".join(lines) + "\n"


def _commands(group: Any, before: str = "") -> list[tuple[str, Any]]:
    """All commands below a group: for each, its full name and the command itself."""
    found = []
    for name, listed in group.commands.items():
        if not listed.hidden:
            command = loaded(listed)
            full = f"{before}{name}"
            found += _commands(command, f"{full} ") if hasattr(command, "commands") else [(full, command)]
    return found


def _command(name: str, command: Any) -> list[str]:
    arguments = [p.metavar or p.name.upper() for p in command.params if p.param_type_name == "argument"]
    return [
        f".SS {_roff(' '.join([name, *arguments]))}",
        *_paragraphs(command.help),
        *_options(command),
        *_examples(command.epilog),
    ]


def _table(rows: Iterable[Command]) -> list[str]:
    """A list of keys or slash commands and what each of them does, in roff."""
    return [line for row in rows for line in (".TP", f".B {_roff(row.usage)}", _roff(sentence(row.does)))]


def _options(command: Any) -> list[str]:
    lines = []
    for option in command.params:
        if option.param_type_name != "option" or option.hidden:
            continue
        names = ", ".join([*option.opts, *option.secondary_opts]).strip(" ,")
        choices = "|".join(map(str, getattr(option.type, "choices", ())))
        value = "" if option.is_flag else f" \\fI{_roff(choices or option.metavar or option.name.upper())}\\fR"
        lines += [".TP", f"\\fB{_roff(names)}\\fR{value}", _roff(option.help or "")]
    return lines


def _examples(text: str | None) -> list[str]:
    """The end of a command's help text, in roff: examples, and the paragraph after them if there is one."""
    typed, _, more = (text or "").replace("\b", "").partition("\n\n")
    lines = [line.strip().removeprefix("Example:").strip() for line in typed.splitlines()]
    shown = [".PP", ".nf", *(f".B {_roff(line)}" for line in lines if line), ".fi"] if any(lines) else []
    return shown + (_paragraphs(more) if more else [])


def _paragraphs(text: str | None) -> list[str]:
    return [line for part in re.split(r"\n\s*\n", (text or "").strip()) for line in _paragraph(part)]


def _paragraph(part: str) -> list[str]:
    """A paragraph of a command's help text, in roff. The pager wraps the paragraph, unless it is a table. In the help
    text, a table begins with a backspace."""
    if not part.lstrip(" \n").startswith("\b"):
        return [".PP", _roff(" ".join(part.split()))]
    return [".PP", ".nf", *(_roff(line.strip()) for line in part.replace("\b", "").splitlines() if line.strip()), ".fi"]


def _roff(text: str) -> str:
    """``text``, escaped so that roff finds no commands in it."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text
