"""Parses command lines, in which global options may be anywhere. Prints the help, which lists commands in panels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from smpchat.cli.table import COMMANDS, PANELS, declared

if TYPE_CHECKING:

    class UsageError(Exception):
        """The command line cannot be understood."""

        ctx: Any

        def __init__(self, message: str, ctx: Any = None) -> None: ...

        def format_message(self) -> str: ...

else:
    UsageError = typer.BadParameter.__base__  # `UsageError` of the click that this typer uses

_OTHER = "More"


class Program(typer.Typer):
    """A typer app: the whole program, a group of commands (`group`), or one command (a `CommandWithExample`)."""

    def __init__(self, **settings: Any) -> None:
        names = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
        # typer's own report of an exception can show local variables, which may contain keys and messages.
        defaults = {"rich_markup_mode": None, "pretty_exceptions_enable": False, "context_settings": names}
        super().__init__(**{"add_completion": False, **defaults, **settings})

    def command(self, *args: Any, **settings: Any) -> Callable[[Any], Any]:
        """Register a function as a command, as typer does, but as a `CommandWithExample`."""
        return super().command(*args, **{"cls": CommandWithExample, **settings})


def group(help_text: str, *lines: str) -> Program:
    """A group of commands, with examples in its help."""
    return Program(cls=GroupWithPanels, help=help_text, epilog=examples(*lines), no_args_is_help=True)


class CommandWithExample(TyperCommand):
    """A command whose help ends with the example from its docstring, the text after ``Example:``."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        text, found, example = (settings.get("help") or "").partition("Example:")
        if found:
            settings |= {"help": text.rstrip(), "epilog": examples(" ".join(example.split()))}
        super().__init__(*args, **settings)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The usage line with ``WHO`` for a required argument, where typer would write ``{WHO}``."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]


def examples(*lines: str) -> str:
    """The last paragraph of a help text: examples, whose lines are not wrapped."""
    return "\b\n" + "\n".join(f"{'Example:' if n == 0 else '        '} {line}" for n, line in enumerate(lines))


class GroupWithPanels(TyperGroup):
    """A group of commands. The group's help lists the commands before the options, in panels: sections with a heading.

    Completion also works in a line with global options after the command.
    """

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Make click's context for a command line. If a shell is completing the line, first move the program's own
        options in front of the command, so that completion uses the profile that these options name."""
        if parent is None and extra.get("resilient_parsing"):
            asks_for_value = bool(args) and _options(self).get(args[-1], False)
            # If the shell completes the value of one of the program's own options, the command is left out of the
            # arguments, because the command does not have this option.
            args = _parted(args[:-1], self)[0] if asks_for_value else globals_first(args, self)
        return super().make_context(info_name, args, parent, **extra)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, then the options."""
        self.format_commands(ctx, formatter)
        options: Any = TyperCommand.format_options  # TyperGroup's own would write the commands again
        options(self, ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each panel: its name, then its commands."""
        panels: dict[str, list[tuple[str, Any]]] = {panel: [] for panel in PANELS}
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                panel = getattr(command, "rich_help_panel", None)
                panels.setdefault(panel if isinstance(panel, str) else _OTHER, []).append((name, command))
        width = max((len(name) for commands in panels.values() for name, _ in commands), default=0)
        panels = {panel: commands for panel, commands in panels.items() if commands}
        for panel, commands in panels.items():
            with formatter.section("Commands" if len(panels) == 1 else panel):
                limit = formatter.width - 6 - width
                formatter.write_dl([(name.ljust(width), c.get_short_help_str(limit)) for name, c in commands])


class Listed(TyperCommand):
    """Stands for a command of `smpchat.cli.table`. The command's module is imported only when something is needed that
    the table does not contain."""

    def __init__(self, name: str) -> None:
        entry = COMMANDS[name]
        super().__init__(name, help=entry.help, rich_help_panel=entry.panel)

    @cached_property
    def command(self) -> Any:
        """The command that this object stands for. The command's module is imported at the first access."""
        return typer.main.get_command(declared(str(self.name)))

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Make the context of the command that this object stands for. In this context, the command runs, prints its
        help, or completes words."""
        return self.command.make_context(info_name, args, parent, **extra)


def loaded(command: Any) -> Any:
    """The command that ``command`` stands for, if ``command`` is a `Listed`; otherwise ``command`` unchanged."""
    return command.command if isinstance(command, Listed) else command


class LazyGroup(GroupWithPanels):
    """All commands of `smpchat.cli.table`; their modules are not imported yet."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": {name: Listed(name) for name in COMMANDS}})

    def invoke(self, ctx: Any) -> Any:
        """With ``--version`` no command is needed, and none runs."""
        if ctx.params.get("version"):
            from smpchat.cli.versions import show

            show(as_json=ctx.params.get("as_json", False))
            return 0
        return super().invoke(ctx)


def globals_first(arguments: Sequence[str], program: TyperGroup) -> list[str]:
    """The arguments, with the program's own options moved in front of the command.

    The program's own options may be anywhere before ``--``. A word that is the value of another option is not moved:
    ``-m -v`` sends the text ``-v``.
    """
    front, rest = _parted(arguments, program)
    return front + rest


def _parted(arguments: Sequence[str], program: TyperGroup) -> tuple[list[str], list[str]]:
    """Two lists: the program's own options with their values, and all other arguments."""
    own = _options(program)
    command: Any = program
    front: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        name, has_value = argument.partition("=")[0], "=" in argument
        others = _options(command)
        if argument == "--":
            # All arguments after -- stay as they are: none of them is an option.
            rest += [argument, *waiting]
        elif name in own and name not in ("--help", "-h"):
            front += [argument, *_value(own[name] and not has_value, waiting)]
        elif name in others:
            rest += [argument, *_value(others[name] and not has_value, waiting)]
        elif argument[:2] in own and own[argument[:2]] and not argument.startswith("--"):
            front.append(argument)  # -pbob
        else:
            rest.append(argument)
            if not argument.startswith("-"):
                command = loaded(getattr(command, "commands", {}).get(argument, command))
    return front, rest


def _options(command: Any) -> dict[str, bool]:
    """Every option of a command, and whether it takes a value."""
    return {
        name: not parameter.is_flag
        for parameter in command.params
        if parameter.param_type_name == "option"
        for name in (*parameter.opts, *parameter.secondary_opts)
    }


def _value(expected: bool, waiting: Iterator[str]) -> list[str]:
    following = next(waiting, None) if expected else None
    return [] if following is None else [following]


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether ``--json`` is among the arguments, before ``--`` if there is one. The other arguments need not be valid.

    Args:
        arguments: As `globals_first` returns them.
    """
    return "--json" in arguments[: arguments.index("--")] if "--" in arguments else "--json" in arguments
