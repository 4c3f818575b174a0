"""``config``: reads and writes the settings in the config files, for all profiles or for one."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from smpchat.cli.command_line import examples, group
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run
from smpchat.cli.text import printable
from smpchat.config import KEYS, ConfigRefused, Configuration, Key, Value, content, read, stored_text, values

if TYPE_CHECKING:
    from collections.abc import Iterator

app = group("Settings in a config file.", "smpchat config list")


def _keys(incomplete: str) -> list[str]:
    return [name for name in KEYS if name.startswith(incomplete)]


def _values(context: typer.Context, incomplete: str) -> list[str]:
    key = KEYS.get(context.params.get("key") or "")
    return [value for value in key.values if value.startswith(incomplete)] if key else []


KEY = typer.Argument(metavar="SETTING", help="Name of the setting; `config list` shows all.", autocompletion=_keys)
PROFILE_ONLY = typer.Option(
    False, "--profile-only", help="Use the profile's own file (default: the file for all profiles)."
)
PATH_PROFILE_ONLY = typer.Option(False, "--profile-only", help="Print only the path of the profile's own file.")
READ_PROFILE_ONLY = typer.Option(
    False,
    "--profile-only",
    help="Show only what the profile's own file sets (default: the values in use, wherever set).",
)


@app.command("list")
def list_(context: typer.Context, profile_only: bool = READ_PROFILE_ONLY) -> None:
    """List every setting, and where it is set. Example: smpchat config list"""
    run(context, lambda environment: _list(environment, profile_only), reads_config=False)


def _list(environment: Environment, profile_only: bool) -> int:
    """Print every setting with its value in use; with ``profile_only``, only the settings in the profile's own file."""
    if profile_only:
        path = _files(environment)[1]
        text = content(path)
        for name, value in values(path, text).items() if text is not None else ():
            _show(environment, KEYS[name], value, "profile")
        return ExitStatus.OK
    for key, value, source in _in_force(environment, tuple(KEYS.values())):
        _show(environment, key, value, source)
    return ExitStatus.OK


@app.command("get")
def get(context: typer.Context, key: str = KEY, profile_only: bool = READ_PROFILE_ONLY) -> None:
    """Print one setting. Example: smpchat config get time-format"""
    run(context, lambda environment: _get(environment, key, profile_only), reads_config=False)


def _get(environment: Environment, name: str, profile_only: bool) -> int:
    """Print the value of one setting."""
    from smpchat.chat.errors import InputError
    from smpchat.cli.config_file import known

    key = KEYS[known(name)]
    if profile_only:
        found = read(_files(environment)[1:]).said.get(name)
        if found is None:
            raise InputError(
                f"{name} is not set in the profile's own file.", f"`smpchat config get {name}` shows the value in use."
            )
        _show(environment, key, found, "profile", alone=True)
        return ExitStatus.OK
    for _, value, source in _in_force(environment, (key,)):
        _show(environment, key, value, source, alone=True)
    return ExitStatus.OK


@app.command(
    "set",
    epilog=examples("smpchat config set time-format 12h", "smpchat -p work config set receipts off --profile-only"),
)
def set_(
    context: typer.Context,
    key: str = KEY,
    value: list[str] = typer.Argument(
        metavar="VALUE...",
        help=("The new value. For `servers` and `file-servers`: one or more addresses, or the word none."),
        autocompletion=_values,
    ),
    profile_only: bool = PROFILE_ONLY,
) -> None:
    """Write one setting into the config file.

    Other lines and comments stay as they are. Command options and environment variables override the file. The
    profile's own file overrides the file for all profiles.
    """
    run(context, lambda environment: _set(environment, key, value, profile_only), reads_config=False)


def _set(environment: Environment, name: str, words: list[str], profile_only: bool) -> int:
    """Write a setting into a config file. With ``profile_only``, also delete any value that a command such as
    `server use` has stored in the profile, because that value would override the file."""
    from smpchat.cli.config_file import known, set_in, typed

    value = typed(known(name), words)
    if name == "private-routing" and value is True and routes_through_nothing(environment, on=True):
        from smpchat.cli.commands.server import no_relay_of_yours

        raise no_relay_of_yours()
    set_in(_files(environment)[profile_only], name, value)
    return _changed(environment, name, profile_only)


def routes_through_nothing(environment: Environment, *, on: bool = False) -> bool:
    """Whether private routing is on although the user has no relay of their own.

    An encrypted profile is not opened, because that would need the passphrase. The result is then False.

    Args:
        on: Whether private routing is about to be turned on.
    """
    from smpchat.chat.service.reading import StoredProfile

    config = read(_files(environment))
    if config.value("servers") or not (on or config.value("private-routing")):
        return False
    if not environment.is_used():
        return True
    if environment.is_encrypted():
        return False
    with closing(environment.open_as(StoredProfile)) as service:
        return (on or service.private_routing()) and not service.servers()


@app.command("unset")
def unset(context: typer.Context, key: str = KEY, profile_only: bool = PROFILE_ONLY) -> None:
    """Remove one setting from the config file. Example: smpchat config unset time-format"""
    run(context, lambda environment: _unset(environment, key, profile_only), reads_config=False)


def _unset(environment: Environment, name: str, profile_only: bool) -> int:
    """Remove a setting from a config file; with ``profile_only``, also any value that a command has stored in the
    profile."""
    from smpchat.cli.config_file import known, unset_in

    unset_in(_files(environment)[profile_only], known(name))
    return _changed(environment, name, profile_only)


def _changed(environment: Environment, name: str, profile_only: bool) -> int:
    """After a config file was changed, print the value that is now in use.

    With ``profile_only``, the value that is stored in the profile is deleted first. Otherwise, a notice is printed if
    the profile still has its own value.
    """
    from smpchat.chat.service.reading import StoredProfile

    key = KEYS[name]
    if profile_only and key.stored is not None and environment.is_used():
        with closing(environment.open_as(StoredProfile)) as service:
            service.forget_choice(key.stored)
    try:
        in_force = list(_in_force(environment, (key,), ask=False))
    except ConfigRefused:
        environment.notice(f"Your change of {name} is saved, but another line is wrong:")
        raise
    for _, value, source in in_force:
        _show(environment, key, value, source)
        if not profile_only and source in ("profile", "stored"):
            by = f"by {key.chosen_by}" if source == "stored" else "in its own config file"
            environment.notice(
                f"This profile still uses its own value, because {name} was set for it {by}. `smpchat config unset"
                f" {name} --profile-only` removes that value."
            )
    return ExitStatus.OK


@app.command("path")
def path_(context: typer.Context, profile_only: bool = PATH_PROFILE_ONLY) -> None:
    """Print the paths of the config files. Example: smpchat config path"""
    run(context, lambda environment: _path(environment, profile_only), reads_config=False)


def _path(environment: Environment, profile_only: bool) -> int:
    """Print the paths of the config files, also of those that do not exist yet."""
    for scope, path in list(zip(("everything", "profile"), _files(environment), strict=True))[profile_only:]:
        fields = {"scope": scope, "path": str(path), "exists": path.exists()}
        environment.emit("config-file", fields, printable(str(path)))
    return ExitStatus.OK


def _files(environment: Environment) -> tuple[Path, Path]:
    return environment.config_files()


def _in_force(environment: Environment, keys: tuple[Key, ...], *, ask: bool = True) -> Iterator[tuple[Key, Value, str]]:
    """Yields each setting, its value in use, and where the value comes from: an option, the store, a file, or the
    default.

    Args:
        ask: Whether to ask for the passphrase of an encrypted profile; otherwise its store is not read.
    """
    config = read(_files(environment))
    chosen = _chosen(environment, keys) if ask or not environment.is_encrypted() else {}
    for key in keys:
        option = environment.said_otherwise(key.name)
        if option is not None:
            yield key, Value(option), "option"
        elif key.name in chosen:
            yield key, Value(chosen[key.name]), "stored"
        else:
            yield key, config.said.get(key.name, Value(key.default)), _source(environment, config, key)


def _source(environment: Environment, config: Configuration, key: Key) -> str:
    found = config.said.get(key.name)
    if found is None:
        return "default"
    return "profile" if found.path == _files(environment)[1] else "everything"


def _chosen(environment: Environment, keys: tuple[Key, ...]) -> dict[str, Any]:
    """The settings for which the profile's store has a value: each name with its value."""
    from smpchat.chat.service.reading import StoredProfile

    stored = [(key.name, key.stored) for key in keys if key.stored is not None]
    if not stored or not environment.is_used():
        return {}
    with closing(environment.open_as(StoredProfile)) as service:
        own = [(name, as_stored) for name, as_stored in stored if service.has_chosen(as_stored)]
        return {name: _value(name, service.setting(as_stored)) for name, as_stored in own}


def _value(name: str, text: str | None) -> bool | str | tuple[str, ...]:
    match KEYS[name].default:
        case bool():
            return text == "on"
        case tuple():
            return tuple((text or "").split())
    return text or ""


def _show(environment: Environment, key: Key, value: Value, source: str, *, alone: bool = False) -> None:
    fields: dict[str, Any] = {
        "key": key.name,
        "value": list(value.value) if isinstance(value.value, tuple) else value.value,
        "source": source,
    }
    if value.path is not None:
        fields |= {"path": str(value.path), "line": value.line}
    shown = printable(stored_text(value.value))
    where = {
        "default": "default",
        "option": "set by this command's options",
        "stored": f"set by {key.chosen_by.replace('`', '')}",
    }.get(source) or f"{value.path}, line {value.line}"
    line = shown if alone else f"{key.name:<16} {shown or 'none':<12} ({printable(where)})"
    environment.emit("config", fields, line)
