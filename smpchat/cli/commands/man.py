"""``man``: the manual page, written from the commands themselves."""

from __future__ import annotations

import re
from typing import Any

import typer

from smpchat import __version__
from smpchat.cli.command_line import Program, examples, loaded
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run
from smpchat.cli.text import sentence

app = Program()
_ENVIRONMENT = {
    "SMPCHAT_HOME": "Where all data is kept, unless --home says otherwise.",
    "SMPCHAT_PROFILE": "The profile, unless -p names one.",
    "SMPCHAT_KEY": "The profile's passphrase, if it is encrypted.",
    "SMPCHAT_KEY_FILE, SMPCHAT_KEY_COMMAND": "As --key-file and --key-command.",
    "SMPCHAT_NEW_KEY": "The passphrase that `key change` sets.",
    "SMPCHAT_PASSPHRASE": "The passphrase of an exported file.",
    "SMPCHAT_SOCKS": "As --socks.",
    "SMPCHAT_RELAY_PASSWORD": "As --password of `relay run` and `relay start`.",
    "NO_COLOR": "With any value: no colours.",
    "VISUAL, EDITOR": "What /editor and Ctrl-X Ctrl-E open in chat.",
}


_FILES = {
    "~/.config/smpchat/config.toml": "Settings, one a line, which `smpchat config list` shows; `smpchat config path`"
    " prints where the file is on this system. A home named with --home has its own, and each profile one more.",
}


@app.command(epilog=examples("smpchat man | man -l -"))
def man(context: typer.Context) -> None:
    """Print the manual page."""
    run(context, lambda _: _man(context), reads_config=False)


def _man(context: typer.Context) -> int:
    """Print the page."""
    print(manual(context.find_root().command), end="", flush=True)
    return ExitStatus.OK


def manual(program: Any) -> str:
    """The page ``smpchat(1)`` in roff."""
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
        ".SH FILES",
        *(line for name, text in _FILES.items() for line in (".TP", f".I {name}", _roff(text))),
        ".SH EXAMPLES",
        *_examples(program.epilog),
    ]
    return "\n".join(lines) + "\n"


def _commands(group: Any, before: str = "") -> list[tuple[str, Any]]:
    """All commands below a group, by their full names."""
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
    """An epilog: lines ``Example: …`` as they are typed, and perhaps a paragraph."""
    typed, _, more = (text or "").replace("\b", "").partition("\n\n")
    lines = [line.strip().removeprefix("Example:").strip() for line in typed.splitlines()]
    shown = [".PP", ".nf", *(f".B {_roff(line)}" for line in lines if line), ".fi"] if any(lines) else []
    return shown + (_paragraphs(more) if more else [])


def _paragraphs(text: str | None) -> list[str]:
    return [
        line for part in re.split(r"\n\s*\n", (text or "").strip()) for line in (".PP", _roff(" ".join(part.split())))
    ]


def _roff(text: str) -> str:
    """Text that roff takes for nothing else."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text
