"""The command tree, and what becomes of an error. Commands import what they need when they run: help stays quick."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from enum import Enum
from functools import cache, partial
from pathlib import Path
from typing import Any

import typer

from smpchat.cli.command_line import (
    CONNECT,
    INSIDE,
    PEOPLE,
    SETTINGS,
    TALK,
    GroupWithPanels,
    Program,
    UsageError,
    examples,
    globals_first,
    number,
    port,
    seconds,
    wants_json,
)
from smpchat.cli.environment import Environment, make_environment
from smpchat.cli.exit_status import CommandFailed, ExitStatus
from smpchat.cli.streams import argument_text, read_text, tolerate_any_text
from smpchat.relay.options import BY_NAME


def _typer(help_text: str, *lines: str) -> Program:
    return Program(
        cls=GroupWithPanels,
        help=help_text,
        epilog=examples(*lines) if lines else None,
        rich_markup_mode=None,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


app = _typer(
    "Terminal chat over the SimpleX Messaging Protocol: use a link and you can write at once.\n\n"
    "The options may also stand after the command."
)
profile_app = _typer("Your name, and your profiles.", "smpchat profile list")
address_app = _typer("Your address, for many people to use: each sends a request.", "smpchat address create")
key_app = _typer("The passphrase that your profile is encrypted with.", "smpchat key set")
server_app = _typer("Relays for new invitations.", "smpchat server use simplex")
relay_app = _typer("The relay that comes with smpchat.", "smpchat relay status")


class Handshake(Enum):
    """What `invite --handshake` may ask for."""

    INSTANT = "instant"
    THREE_STEP = "three-step"
    STANDARD = "standard"


class Wait(Enum):
    """What `send` and `reply` may wait for."""

    SENT = "sent"
    DELIVERED = "delivered"
    NONE = "none"


class WaitChange(Enum):
    """What changes of a message may wait for: apps send no receipts for them."""

    SENT = "sent"
    NONE = "none"


def _aliases(context: typer.Context, incomplete: str) -> list[str]:
    """For completion in the shell: the contacts of the profile that the line names so far."""
    from smpchat.cli.commands.people import aliases

    named = context.find_root().params
    home = named.get("home")  # not converted yet while a line is completed
    try:
        environment = make_environment(Path(home) if home else None, named.get("profile"))
    except CommandFailed:
        return []
    return [alias for alias in aliases(environment) if alias.startswith(incomplete) and _is_inert(alias)]


def _is_inert(alias: str) -> bool:
    """Whether no shell takes any of it for more than a letter.

    Shells put what is completed into the line without quotes, zsh evaluates it even before, and an alias may be a name
    that somebody else chose: ``bob;reboot`` must not be offered.
    """
    return all(c > "\x7f" or c.isalnum() or c in "@+:,./_-" for c in alias)


_WHO = typer.Argument(metavar="WHO", help="The contact's alias.", autocompletion=_aliases)
_MESSAGE = typer.Argument(metavar="MESSAGE", help="Number of the message; `history` shows it.")
_WAIT_HELP = "What to wait for: sent if not given; none only stores it."
_WAIT = typer.Option(None, "--wait", help=_WAIT_HELP)
_WAIT_CHANGE = typer.Option(None, "--wait", help=_WAIT_HELP)
_TIMEOUT = typer.Option(None, "--timeout", parser=seconds, metavar="SECONDS", help="How long to wait (20).")


_ALONE = (
    "To try it alone, in two terminals: `smpchat -p alice invite` in one, and in the other the command that it prints,"
    " with -p bob added."
)


@app.callback(
    epilog=examples("smpchat invite", "smpchat connect LINK --alias bob -m hello", "smpchat chat bob") + f"\n\n{_ALONE}"
)
def options(
    context: typer.Context,
    home: Path | None = typer.Option(
        None, "--home", metavar="FOLDER", envvar="SMPCHAT_HOME", help="Where all data is kept."
    ),
    profile: str | None = typer.Option(
        None,
        "-p",
        "--profile",
        metavar="NAME",
        envvar="SMPCHAT_PROFILE",
        help="Whose data to use; else that of `profile switch`.",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object per line."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="No notices."),
    verbose: bool = typer.Option(False, "-v", "--verbose", help="Log what happens to standard error."),
    socks: str | None = typer.Option(
        None,
        "--socks",
        metavar="HOST:PORT|off",
        envvar="SMPCHAT_SOCKS",
        help="A SOCKS5 proxy for this run, or off.",
    ),
    trace: bool = typer.Option(False, "--trace", help="Name every protocol frame on standard error, with its time."),
    no_color: bool = typer.Option(False, "--no-color", help="No colours; the variable NO_COLOR does the same."),
    plain: bool = typer.Option(False, "--plain", help="Words for symbols, nothing redrawn: for screen readers."),
    key_file: Path | None = typer.Option(
        None,
        "--key-file",
        metavar="FILE",
        envvar="SMPCHAT_KEY_FILE",
        help="File whose first line is the profile's passphrase.",
    ),
    key_command: str | None = typer.Option(
        None,
        "--key-command",
        metavar="CMD",
        envvar="SMPCHAT_KEY_COMMAND",
        help="Command that prints the profile's passphrase.",
    ),
) -> None:
    """The options of every command."""
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
    except CommandFailed as error:  # which profile was chosen cannot be read: no command runs as another one
        make("").error(error.status, str(error), error.hint)
        raise typer.Exit(int(error.status)) from None


def _environment(context: typer.Context) -> Environment:
    environment = context.obj
    assert isinstance(environment, Environment)
    return environment


def _run(context: typer.Context, command: Callable[[Environment], int | Coroutine[Any, Any, int]]) -> None:
    """Runs a command; an error becomes its two sentences and its exit status."""
    environment = _environment(context)
    if environment.verbose or environment.trace:
        from smpchat.cli.logs import start_logs

        start_logs(environment)
    try:
        outcome = command(environment)
        status = run_loop(outcome) if isinstance(outcome, Coroutine) else outcome
    except KeyboardInterrupt:
        environment.notice("Interrupted. What was stored is kept: go on with `smpchat listen`.")
        status = ExitStatus.INTERRUPTED
    except Exception as error:  # the top of the program: whatever it is, a person reads a sentence
        status = _end(environment, error)
    raise typer.Exit(int(status))


def _end(environment: Environment, error: Exception) -> int:
    """The exit status of a command that failed, once its sentences are printed."""
    from smpchat.cli.errors import explain, first_of

    if isinstance(first_of(error), BrokenPipeError):  # whoever read our output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains while it exits
        return ExitStatus.OK
    if environment.verbose:
        import traceback

        traceback.print_exception(error)
    explained = explain(error)
    environment.error(explained.status, explained.message, explained.hint)
    return explained.status


def run_loop(command: Coroutine[Any, Any, int]) -> int:
    """Run a command that waits for something."""
    import asyncio

    return asyncio.run(command)


@app.command(rich_help_panel=CONNECT, epilog=examples("smpchat invite --note bob"))
def invite(
    context: typer.Context,
    note: str | None = typer.Option(None, "--note", metavar="ALIAS", help="Alias of whoever uses the link."),
    server: str | None = typer.Option(None, "--server", metavar="ADDRESS", help="Relay for this invitation alone."),
    handshake: Handshake = typer.Option(
        Handshake.INSTANT.value, "--handshake", show_default=False, help="How to connect (instant)."
    ),
    wait: bool | None = typer.Option(None, "--wait/--no-wait", help="Wait until connected; on a terminal: yes."),
    timeout: float | None = typer.Option(
        None, "--timeout", parser=seconds, metavar="SECONDS", help="How long to wait; for ever if not given."
    ),
    qr: bool | None = typer.Option(None, "--qr/--no-qr", help="Show a QR code; on a terminal: yes."),
    copy: bool = typer.Option(False, "--copy", help="Put the command for them on the terminal's clipboard."),
) -> None:
    """Make a one-time link, and watch it being used.

    It is for one person. On a terminal the three steps are shown until both are connected; Ctrl-C ends the waiting,
    and the link stays valid.
    """
    from smpchat.cli.commands import handshake as commands

    _run(context, lambda env: commands.invite(env, note, server, handshake.value, wait, timeout, qr, copy))


@app.command(
    rich_help_panel=CONNECT, epilog=examples("smpchat connect LINK --alias bob -m hello", "xsel | smpchat connect -")
)
def connect(
    context: typer.Context,
    link: str = typer.Argument(metavar="LINK", help="The link; - reads it from standard input."),
    alias: str | None = typer.Option(
        None, "--alias", metavar="ALIAS", help="What you call them; asked for on a terminal."
    ),
    message: list[str] = typer.Option([], "-m", metavar="TEXT", help="A text to send at once; may be repeated."),
    wait: bool = typer.Option(False, "--wait/--no-wait", show_default=False, help="Wait until they have answered."),
    timeout: float = typer.Option(
        20.0, "--timeout", parser=seconds, metavar="SECONDS", show_default=False, help="How long to wait (20)."
    ),
) -> None:
    """Use a link; you can write at once.

    Whoever made it need not be online. On a terminal you are asked what to call them unless --alias says so.
    """
    from smpchat.cli.commands import handshake as commands

    _run(context, lambda env: commands.connect(env, link, alias, message, wait, timeout))


@app.command(rich_help_panel=CONNECT)
def requests(context: typer.Context) -> None:
    """List who asks to be a contact. Example: smpchat requests"""
    from smpchat.cli.commands import address

    _run(context, address.requests)


_REQUEST = typer.Argument(metavar="WHO", help="Number of the request, or the name in it; `requests` shows both.")


@app.command(rich_help_panel=CONNECT)
def accept(
    context: typer.Context,
    who: str = _REQUEST,
    alias: str | None = typer.Option(
        None, "--alias", metavar="ALIAS", help="What you call them; their own name if not given."
    ),
) -> None:
    """Accept a request. Example: smpchat accept 3 --alias bob"""
    from smpchat.cli.commands import address

    _run(context, lambda env: address.accept(env, who, alias))


@app.command(rich_help_panel=CONNECT)
def reject(context: typer.Context, who: str = _REQUEST) -> None:
    """Forget a request; its sender is told nothing. Example: smpchat reject 3"""
    from smpchat.cli.commands import address

    _run(context, lambda env: address.reject(env, who))


@app.command(rich_help_panel=TALK)
def chat(
    context: typer.Context,
    who: str | None = typer.Argument(
        None, metavar="[WHO]", help="The contact's alias; without it, whoever wrote last."
    ),
) -> None:
    """Talk in this terminal. Example: smpchat chat bob"""
    from smpchat.cli.commands import chat as commands

    _run(context, lambda env: commands.chat(env, who))


@app.command(
    rich_help_panel=TALK,
    epilog=examples("smpchat send bob see you at noon", "date | smpchat send bob - --wait delivered"),
)
def send(
    context: typer.Context,
    who: str = _WHO,
    text: list[str] = typer.Argument(metavar="TEXT...", help="The text; - reads it from standard input."),
    wait: Wait | None = _WAIT,
    timeout: float | None = _TIMEOUT,
) -> None:
    """Send a message."""
    from smpchat.cli.commands import messages

    _run(context, lambda env: messages.send(env, who, _body(text), wait and wait.value, timeout))


def _body(words: list[str]) -> str:
    return read_text() if words == ["-"] else argument_text(" ".join(words))


@app.command(rich_help_panel=TALK)
def reply(
    context: typer.Context,
    message: int = _MESSAGE,
    text: list[str] = typer.Argument(metavar="TEXT...", help="The text; - reads it from standard input."),
    wait: Wait | None = _WAIT,
    timeout: float | None = _TIMEOUT,
) -> None:
    """Answer a message. Example: smpchat reply 12 yes, at noon"""
    from smpchat.cli.commands import messages

    _run(context, lambda env: messages.send(env, None, _body(text), wait and wait.value, timeout, reply_to=message))


@app.command(rich_help_panel=TALK)
def edit(
    context: typer.Context,
    message: int = _MESSAGE,
    text: list[str] = typer.Argument(metavar="TEXT...", help="The new text; - reads it from standard input."),
    wait: WaitChange | None = _WAIT_CHANGE,
    timeout: float | None = _TIMEOUT,
) -> None:
    """Give a message of yours another text. Example: smpchat edit 12 see you at one"""
    from smpchat.cli.commands import messages

    def change(env: Environment) -> Coroutine[Any, Any, int]:
        body = _body(text)
        return messages.change(env, lambda s: s.edit(message, body), wait and wait.value, timeout)

    _run(context, change)


@app.command(rich_help_panel=TALK)
def retract(
    context: typer.Context,
    message: int = _MESSAGE,
    wait: WaitChange | None = _WAIT_CHANGE,
    timeout: float | None = _TIMEOUT,
) -> None:
    """Take a message of yours back, within 78 hours. Example: smpchat retract 12"""
    from smpchat.cli.commands import messages

    _run(context, lambda env: messages.change(env, lambda s: s.retract(message), wait and wait.value, timeout))


@app.command(rich_help_panel=TALK)
def react(
    context: typer.Context,
    message: int = _MESSAGE,
    emoji: str = typer.Argument(metavar="EMOJI", help="One of eight emoji."),
    remove: bool = typer.Option(False, "--remove", help="Take it away again."),
    wait: WaitChange | None = _WAIT_CHANGE,
    timeout: float | None = _TIMEOUT,
) -> None:
    """React to a message with an emoji. Example: smpchat react 12 👍"""
    from smpchat.cli.commands import messages

    _run(
        context,
        lambda env: messages.change(
            env, lambda s: s.react(message, emoji, add=not remove), wait and wait.value, timeout
        ),
    )


@app.command(
    rich_help_panel=TALK,
    epilog=examples("smpchat --json listen --count 1", "smpchat listen --exec ./bot.sh"),
)
def listen(
    context: typer.Context,
    timeout: float | None = typer.Option(
        None, "--timeout", parser=seconds, metavar="SECONDS", help="End after so long."
    ),
    count: int | None = typer.Option(
        None, "--count", parser=number(1), metavar="N", help="End after so many messages."
    ),
    command: str | None = typer.Option(
        None, "--exec", metavar="CMD", help="Run this for each message: an object on its input, SMPCHAT_TEXT and so on."
    ),
) -> None:
    """Stay online and print what comes.

    With --exec, CMD runs for each message, one after the other, and a message counts as shown once CMD ended with 0;
    otherwise listening ends with 1. CMD gets the message as a JSON object on its standard input, and as SMPCHAT_TYPE,
    SMPCHAT_CONTACT, SMPCHAT_ID and SMPCHAT_TEXT. What it prints is not sent: it may run `smpchat send`.
    """
    from smpchat.cli.commands import listen as commands

    _run(context, lambda env: commands.listen(env, timeout, count, command))


@app.command(rich_help_panel=TALK)
def history(
    context: typer.Context,
    who: str = _WHO,
    last: int = typer.Option(
        50, "-n", parser=number(1), metavar="N", show_default=False, help="At most so many messages (50)."
    ),
    search: str | None = typer.Option(None, "--search", metavar="TEXT", help="Only those that contain this."),
) -> None:
    """Print a conversation. Example: smpchat history bob -n 10"""
    from smpchat.cli.commands import history as commands

    _run(context, lambda env: commands.history(env, who, last, search))


@app.command(rich_help_panel=PEOPLE)
def contacts(context: typer.Context) -> None:
    """List contacts. Example: smpchat contacts"""
    from smpchat.cli.commands import people

    _run(context, people.contacts)


@app.command(rich_help_panel=PEOPLE)
def status(
    context: typer.Context,
    who: str | None = typer.Argument(None, metavar="[WHO]", help="The contact's alias.", autocompletion=_aliases),
) -> None:
    """Show invitations, handshakes and relays. Example: smpchat status"""
    from smpchat.cli.commands import people

    _run(context, lambda env: people.status(env, who))


@app.command(rich_help_panel=PEOPLE)
def rename(
    context: typer.Context,
    who: str = _WHO,
    alias: str = typer.Argument(metavar="ALIAS", help="The new one; only you see it."),
) -> None:
    """Give a contact another alias. Example: smpchat rename contact_2 bob"""
    from smpchat.cli.commands import people

    _run(context, lambda env: people.rename(env, who, alias))


@app.command(rich_help_panel=PEOPLE, epilog=examples("smpchat verify bob", "smpchat verify bob 10305 73042 21841 ..."))
def verify(
    context: typer.Context,
    who: str = _WHO,
    code: list[str] = typer.Argument(None, metavar="[CODE]", help="The code they see; only its digits count."),
) -> None:
    """Show the security code, or compare it with theirs."""
    from smpchat.cli.commands import people

    _run(context, lambda env: people.verify(env, who, " ".join(code) if code else None))


@app.command(rich_help_panel=PEOPLE)
def resync(context: typer.Context, who: str = _WHO) -> None:
    """Negotiate encryption anew where messages can't be read. Example: smpchat resync bob"""
    from smpchat.cli.commands import people

    _run(context, lambda env: people.resync(env, who))


@app.command(rich_help_panel=PEOPLE)
def delete(
    context: typer.Context,
    who: str = typer.Argument(metavar="WHO", help="An alias, or the note, number or link of an invitation."),
) -> None:
    """Delete a contact, or cancel an invitation. Example: smpchat delete bob"""
    from smpchat.cli.commands import people

    _run(context, lambda env: people.delete(env, who))


_PASSPHRASE_FILE = typer.Option(
    None, "--passphrase-file", metavar="FILE", help="File whose first line is the passphrase."
)


@app.command(
    rich_help_panel=SETTINGS,
    epilog=examples("smpchat export alice.smpchat", "smpchat -p alice export --move alice.smpchat"),
)
def export(
    context: typer.Context,
    file: Path = typer.Argument(metavar="FILE", help="A new file."),
    passphrase_file: Path | None = _PASSPHRASE_FILE,
    move: bool = typer.Option(False, "--move", help="Leave the profile offline here for good."),
) -> None:
    """Write the whole profile to one encrypted file.

    The passphrase is asked for, or read from --passphrase-file or the variable SMPCHAT_PASSPHRASE. It cannot be
    recovered. Use the profile in one place only from now on: two copies in use break each other's encryption, and
    messages are lost. With --move the profile never goes online here again, which makes sure of that.
    """
    from smpchat.cli.commands import profiles

    _run(context, lambda env: profiles.export(env, file, passphrase_file, move=move))


@app.command("import", rich_help_panel=SETTINGS, epilog=examples("smpchat import alice.smpchat"))
def import_(
    context: typer.Context,
    file: Path = typer.Argument(metavar="FILE", help="What `smpchat export` made."),
    passphrase_file: Path | None = _PASSPHRASE_FILE,
) -> None:
    """Make a profile of an exported file.

    It gets its own name, or the one of -p. Import a file once, and use the profile nowhere else: two copies in use
    break each other's encryption, and messages are lost. The passphrase is asked for, or read from --passphrase-file or
    the variable SMPCHAT_PASSPHRASE.
    """
    from smpchat.cli.commands import profiles

    name = context.find_root().params["profile"]
    _run(context, lambda env: profiles.import_file(env, file, passphrase_file, name))


app.add_typer(address_app, name="address", rich_help_panel=CONNECT)
app.add_typer(profile_app, name="profile", rich_help_panel=SETTINGS)
app.add_typer(key_app, name="key", rich_help_panel=SETTINGS)
app.add_typer(server_app, name="server", rich_help_panel=SETTINGS)
app.add_typer(relay_app, name="relay", rich_help_panel=SETTINGS)


@app.command(rich_help_panel=INSIDE)
def demo(context: typer.Context) -> None:
    """Watch two people connect on a relay in this process. Example: smpchat demo"""
    from smpchat.cli.commands import demo as commands

    _run(context, commands.demo)


@app.command(rich_help_panel=INSIDE)
def doctor(context: typer.Context) -> None:
    """Check this installation, profile and relays. Example: smpchat doctor"""
    from smpchat.cli.commands import doctor as commands

    _run(context, commands.doctor)


def _topics(incomplete: str) -> list[str]:
    """For completion in the shell: the names of what can be explained."""
    from smpchat.cli.explanations import topics

    return sorted({topic.name for topic in topics() if topic.name.startswith(incomplete)})


@app.command(rich_help_panel=INSIDE, epilog=examples("smpchat explain 4", "smpchat explain ready"))
def explain(
    context: typer.Context,
    code: str | None = typer.Argument(
        None, metavar="[CODE]", help="An exit code or a state; all if left out.", autocompletion=_topics
    ),
) -> None:
    """Say what an exit code or a state means, and whose move is next."""
    from smpchat.cli.commands import explain as commands

    _run(context, lambda env: commands.explain(env, code))


@app.command(rich_help_panel=INSIDE, epilog=examples("smpchat man | man -l -"))
def man(context: typer.Context) -> None:
    """Print the manual page."""
    from smpchat.cli.man import manual

    print(manual(context.find_root().command), end="")


_QR = typer.Option(None, "--qr/--no-qr", help="Show a QR code; on a terminal: yes.")
_COPY = typer.Option(False, "--copy", help="Put the link on the terminal's clipboard.")


@address_app.command("create")
def address_create(
    context: typer.Context,
    auto_accept: bool | None = typer.Option(
        None, "--auto-accept/--no-auto-accept", help="Accept each request at once; of an existing address, changes it."
    ),
    server: str | None = typer.Option(None, "--server", metavar="ADDRESS", help="Relay for this address alone."),
    qr: bool | None = _QR,
    copy: bool = _COPY,
) -> None:
    """Make your address. Example: smpchat address create"""
    from smpchat.cli.commands import address

    _run(context, lambda env: address.create(env, auto_accept, server, qr, copy))


@address_app.command("show")
def address_show(context: typer.Context, qr: bool | None = _QR, copy: bool = _COPY) -> None:
    """Show your address. Example: smpchat address show"""
    from smpchat.cli.commands import address

    _run(context, lambda env: address.show(env, qr, copy))


@address_app.command("delete")
def address_delete(context: typer.Context) -> None:
    """Delete your address with its open requests; contacts stay. Example: smpchat address delete"""
    from smpchat.cli.commands import address

    _run(context, address.delete)


@profile_app.command("show")
def profile_show(context: typer.Context) -> None:
    """Show your profile. Example: smpchat profile show"""
    from smpchat.cli.commands import people

    _run(context, people.profile_show)


@profile_app.command("set")
def profile_set(context: typer.Context, name: str = typer.Argument(metavar="NAME")) -> None:
    """Change the name that new contacts are told. Example: smpchat profile set Alice"""
    from smpchat.cli.commands import people

    _run(context, lambda env: people.profile_show(env, name))


@profile_app.command("list")
def profile_list(context: typer.Context) -> None:
    """List your profiles. Example: smpchat profile list"""
    from smpchat.cli.commands import people

    _run(context, people.profile_list)


@profile_app.command("switch")
def profile_switch(
    context: typer.Context, name: str = typer.Argument(metavar="NAME", help="As `profile list` shows it.")
) -> None:
    """Choose the profile of later commands without -p. Example: smpchat profile switch alice"""
    from smpchat.cli.commands import profiles

    _run(context, lambda env: profiles.switch(env, name))


@key_app.command("set", epilog=examples("smpchat key set", "smpchat -p work --key-command 'pass smpchat' key set"))
def key_set(context: typer.Context) -> None:
    """Encrypt the profile with a passphrase.

    It is asked for, or comes from --key-file, --key-command or the variable SMPCHAT_KEY, as in every command from then
    on. It cannot be recovered. Other commands of the profile must have ended.
    """
    from smpchat.cli.commands import key

    _run(context, key.set_)


@key_app.command("change")
def key_change(
    context: typer.Context,
    file: Path | None = typer.Option(
        None, "--new-key-file", metavar="FILE", help="File whose first line is the new passphrase."
    ),
    command: str | None = typer.Option(
        None, "--new-key-command", metavar="CMD", help="Command that prints the new passphrase."
    ),
) -> None:
    """Change the passphrase; SMPCHAT_NEW_KEY may hold the new one. Example: smpchat key change"""
    from smpchat.cli.commands import key

    _run(context, lambda env: key.change(env, file, command))


@key_app.command("remove")
def key_remove(context: typer.Context) -> None:
    """Decrypt the profile: whoever reads the disk reads it. Example: smpchat key remove"""
    from smpchat.cli.commands import key

    _run(context, key.remove)


@key_app.command("test")
def key_test(context: typer.Context) -> None:
    """Tell whether the passphrase is right. Example: smpchat key test --key-file secret.txt"""
    from smpchat.cli.commands import key

    _run(context, key.test)


@server_app.command("list")
def server_list(context: typer.Context) -> None:
    """List relays. Example: smpchat server list"""
    from smpchat.cli.commands import server

    _run(context, server.show_all)


_ADDRESS = typer.Argument(metavar="ADDRESS", help="smp://FINGERPRINT@HOST or smp://FINGERPRINT@HOST:PORT.")
_TRANSPORT_OPTION = typer.Option(
    None, "--transport", metavar="tls|websocket|auto", help="How to reach it; auto: TLS, else WebSocket."
)
_ITS_WS_PORT_OPTION = typer.Option(None, "--ws-port", parser=port, metavar="PORT", help="Where its WebSocket is (443).")


@server_app.command("add")
def server_add(
    context: typer.Context,
    address: str = _ADDRESS,
    transport: str | None = _TRANSPORT_OPTION,
    ws_port: int | None = _ITS_WS_PORT_OPTION,
) -> None:
    """Add a relay for new invitations. Example: smpchat server add smp://FINGERPRINT@HOST"""
    from smpchat.cli.commands import server

    _run(context, lambda env: server.add(env, address, transport, ws_port))


@server_app.command("remove")
def server_remove(context: typer.Context, address: str = _ADDRESS) -> None:
    """Remove a relay. Example: smpchat server remove smp://FINGERPRINT@HOST"""
    from smpchat.cli.commands import server

    _run(context, lambda env: server.remove(env, address))


@server_app.command("use")
def server_use(
    context: typer.Context,
    address: str = _ADDRESS,
    private_routing: bool | None = typer.Option(
        None, "--private-routing/--no-private-routing", help="Send to other people's relays through yours."
    ),
) -> None:
    """Use only this relay: an address, simplex or embedded. Example: smpchat server use simplex"""
    from smpchat.cli.commands import server

    _run(context, lambda env: server.use(env, address, private_routing))


@server_app.command("test")
def server_test(
    context: typer.Context,
    address: str | None = typer.Argument(
        None, metavar="[ADDRESS]", help="A relay; without it, those for new invitations."
    ),
    transport: str | None = _TRANSPORT_OPTION,
    ws_port: int | None = _ITS_WS_PORT_OPTION,
) -> None:
    """Send a message through each relay and time the steps. Example: smpchat server test"""
    from smpchat.cli.commands import server

    _run(context, lambda env: server.test(env, address, transport, ws_port))


@server_app.command("socks")
def server_socks(
    context: typer.Context,
    proxy: str | None = typer.Argument(None, metavar="[PROXY]", help="HOST:PORT, or off; shown if left out."),
) -> None:
    """Reach relays through a SOCKS5 proxy. Example: smpchat server socks 127.0.0.1:9050"""
    from smpchat.cli.commands import server

    _run(context, lambda env: server.socks(env, proxy))


@server_app.command("private-routing")
def server_private_routing(
    context: typer.Context,
    setting: str | None = typer.Argument(None, metavar="[on|off]", help="on or off; shown if left out."),
) -> None:
    """Send to other people's relays through yours. Example: smpchat server private-routing on"""
    from smpchat.cli.commands import server

    _run(context, lambda env: server.private_routing(env, setting))


def _relay_option(name: str, envvar: str | None = None) -> Any:
    option = BY_NAME[name]
    return typer.Option(None, option.flag, metavar=option.metavar, envvar=envvar, help=option.help)


_RELAY_HOST = _relay_option("host")
_RELAY_PORT = typer.Option(
    0,
    "--port",
    parser=number(0, 65535),
    metavar="PORT",
    show_default=False,
    help="Port; if not given, the one used before, or any.",
)
_RELAY_WS_PORT = typer.Option(
    None,
    "--ws-port",
    metavar="PORT|off",
    help="Serve WebSocket on this port too; 0 for any, off for none. It is remembered.",
)
_RELAY_PASSWORD = _relay_option("password", "SMPCHAT_RELAY_PASSWORD")
_RELAY_PROXY = _relay_option("proxy")
_RELAY_NEW_QUEUES = _relay_option("new_queues")
_RELAY_QUOTA = _relay_option("quota")
_RELAY_KEEP_DAYS = _relay_option("keep_days")
_RELAY_MAX_CONNECTIONS = _relay_option("max_connections")
_RELAY_MAX_PER_ADDRESS = _relay_option("max_connections_per_address")
_RELAY_MAX_NEW_QUEUES = _relay_option("max_new_queues")
_RELAY_MAX_UNSENT = _relay_option("max_unsent")
_RELAY_HANDSHAKE_TIME = _relay_option("handshake_time")
_RELAY_WRITE_TIME = _relay_option("write_time")
_RELAY_IDLE_TIME = _relay_option("idle_time")
_RELAY_METRICS_PORT = _relay_option("metrics_port")


@relay_app.command("run")
def relay_run(
    context: typer.Context,
    host: str | None = _RELAY_HOST,
    port: int = _RELAY_PORT,
    ws_port: str | None = _RELAY_WS_PORT,
    versions: str | None = typer.Option(
        None, "--smp-versions", metavar="FIRST-LAST", help="SMP versions to offer, such as 7-14."
    ),
    no_extensions: bool = typer.Option(False, "--no-extensions", help="Offer nothing beyond standard SMP."),
    password: str | None = _RELAY_PASSWORD,
    proxy: str | None = _RELAY_PROXY,
    new_queues: str | None = _RELAY_NEW_QUEUES,
    quota: str | None = _RELAY_QUOTA,
    keep_days: str | None = _RELAY_KEEP_DAYS,
    max_connections: str | None = _RELAY_MAX_CONNECTIONS,
    max_connections_per_address: str | None = _RELAY_MAX_PER_ADDRESS,
    max_new_queues: str | None = _RELAY_MAX_NEW_QUEUES,
    max_unsent: str | None = _RELAY_MAX_UNSENT,
    handshake_time: str | None = _RELAY_HANDSHAKE_TIME,
    write_time: str | None = _RELAY_WRITE_TIME,
    idle_time: str | None = _RELAY_IDLE_TIME,
    metrics_port: str | None = _RELAY_METRICS_PORT,
    reset: bool = typer.Option(False, "--reset", help="Go by the defaults, not by what `relay start` kept."),
) -> None:
    """Run the relay in this terminal, and log there. Example: smpchat relay run --host 0.0.0.0"""
    from smpchat.cli.commands import relay

    typed = _typed_options(context)
    _run(context, lambda env: relay.run(env, typed, port, ws_port, versions, not no_extensions, reset))


@relay_app.command("start")
def relay_start(
    context: typer.Context,
    host: str | None = _RELAY_HOST,
    port: int = _RELAY_PORT,
    ws_port: str | None = _RELAY_WS_PORT,
    password: str | None = _RELAY_PASSWORD,
    proxy: str | None = _RELAY_PROXY,
    new_queues: str | None = _RELAY_NEW_QUEUES,
    quota: str | None = _RELAY_QUOTA,
    keep_days: str | None = _RELAY_KEEP_DAYS,
    max_connections: str | None = _RELAY_MAX_CONNECTIONS,
    max_connections_per_address: str | None = _RELAY_MAX_PER_ADDRESS,
    max_new_queues: str | None = _RELAY_MAX_NEW_QUEUES,
    max_unsent: str | None = _RELAY_MAX_UNSENT,
    handshake_time: str | None = _RELAY_HANDSHAKE_TIME,
    write_time: str | None = _RELAY_WRITE_TIME,
    idle_time: str | None = _RELAY_IDLE_TIME,
    metrics_port: str | None = _RELAY_METRICS_PORT,
    reset: bool = typer.Option(False, "--reset", help="Forget what earlier starts kept."),
) -> None:
    """Start the relay in the background. Its options are kept. Example: smpchat relay start --quota 500"""
    from smpchat.cli.commands import relay

    typed = _typed_options(context)
    _run(context, lambda env: relay.start(env, typed, port, ws_port, reset))


def _typed_options(context: typer.Context) -> dict[str, str | None]:
    """Those of the table, by name."""
    return {name: context.params[name] for name in BY_NAME}


@relay_app.command("stop")
def relay_stop(context: typer.Context) -> None:
    """Stop the relay and its starting on demand. Example: smpchat relay stop"""
    from smpchat.cli.commands import relay

    _run(context, relay.stop)


@relay_app.command("stats")
def relay_stats(context: typer.Context) -> None:
    """Show what the running relay counts. Example: smpchat --json relay stats"""
    from smpchat.cli.commands import relay

    _run(context, relay.stats)


@relay_app.command("rotate-certificate")
def relay_rotate(context: typer.Context) -> None:
    """Make a new online certificate; the address stays. Example: smpchat relay rotate-certificate"""
    from smpchat.cli.commands import relay

    _run(context, relay.rotate_certificate)


@relay_app.command("backup")
def relay_backup(
    context: typer.Context, file: Path = typer.Argument(metavar="FILE", help="A tar file that does not exist yet.")
) -> None:
    """Copy the relay into a file, also while it runs. Example: smpchat relay backup relay.tar"""
    from smpchat.cli.commands import relay

    _run(context, lambda env: relay.back_up(env, file))


@relay_app.command("restore")
def relay_restore(
    context: typer.Context, file: Path = typer.Argument(metavar="FILE", help="What `relay backup` wrote.")
) -> None:
    """Make the relay from a backup, where there is none yet. Example: smpchat relay restore relay.tar"""
    from smpchat.cli.commands import relay

    _run(context, lambda env: relay.restore(env, file))


@relay_app.command("status")
def relay_status(context: typer.Context) -> None:
    """Show whether the relay runs. Example: smpchat relay status"""
    from smpchat.cli.commands import relay

    _run(context, relay.status)


@cache
def program() -> GroupWithPanels:
    """All commands as the parser sees them."""
    commands = typer.main.get_command(app)
    assert isinstance(commands, GroupWithPanels)
    return commands


def main(arguments: Sequence[str] | None = None, *, now: Callable[[], float] = time.time) -> None:
    """The program ``smpchat``; ends with `SystemExit`.

    Args:
        arguments: Those of this process if None.
        now: POSIX seconds.
    """
    tolerate_any_text()
    commands = program()
    ordered = globals_first(sys.argv[1:] if arguments is None else arguments, commands)
    try:
        status = commands.main(ordered, prog_name="smpchat", standalone_mode=False, obj=now)
    except UsageError as error:
        status = _explain_usage(error, ordered)
    except (typer.Abort, KeyboardInterrupt):
        status = ExitStatus.INTERRUPTED
    sys.exit(int(status or 0))


def _explain_usage(error: UsageError, arguments: Sequence[str]) -> int:
    """A command line that cannot be understood; one without a command gets the help."""
    context: Any = error.ctx
    command = context.command_path if context else "smpchat"
    if not wants_json(arguments) and context and isinstance(context.command, GroupWithPanels) and not context.args:
        if len(arguments) <= command.count(" "):
            print(context.get_help())
            return ExitStatus.USAGE
    message, hint = error.format_message(), f"`{command} --help` shows how the command is used."
    environment = Environment(Path(), "", json=wants_json(arguments))
    environment.error(ExitStatus.USAGE, message, hint)
    return ExitStatus.USAGE
