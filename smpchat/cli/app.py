"""The command tree, and what becomes of an error. Commands import what they need when they run: help stays quick."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import typer

from smpchat.cli.environment import Environment, globals_first
from smpchat.cli.exit_status import CommandFailed, ExitStatus

app = typer.Typer(rich_markup_mode=None, add_completion=True, no_args_is_help=True, pretty_exceptions_enable=False)
profile_app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Your name, and your profiles.")
server_app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Relays for new invitations.")
relay_app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="The relay that comes with smpchat.")
app.add_typer(profile_app, name="profile")
app.add_typer(server_app, name="server")
app.add_typer(relay_app, name="relay")


@app.callback()
def options(
    context: typer.Context,
    home: Path | None = typer.Option(None, "--home", envvar="SMPCHAT_HOME", help="Where all data is kept."),
    profile: str = typer.Option("default", "-p", "--profile", envvar="SMPCHAT_PROFILE", help="Whose data to use."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object per line."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="No notices."),
    verbose: bool = typer.Option(False, "-v", "--verbose", help="Log what happens to standard error."),
    socks: str | None = typer.Option(
        None, "--socks", envvar="SMPCHAT_SOCKS", help="HOST:PORT of a SOCKS5 proxy for this run, or off."
    ),
    no_color: bool = typer.Option(False, "--no-color", envvar="NO_COLOR", help="No colours; there are none yet."),
) -> None:
    """Terminal chat over the SimpleX Messaging Protocol: use a link and you can write at once.

    Example: smpchat invite
    """
    context.obj = Environment.make(home, profile, as_json, quiet, verbose, socks)


def _environment(context: typer.Context) -> Environment:
    environment = context.obj
    assert isinstance(environment, Environment)
    return environment


def _run(context: typer.Context, command: Callable[[Environment], int | Coroutine[Any, Any, int]]) -> None:
    """Runs a command; an expected error becomes its two sentences and its exit status."""
    environment = _environment(context)
    if environment.verbose:
        import logging

        logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    try:
        outcome = command(environment)
        status = asyncio.run(outcome) if isinstance(outcome, Coroutine) else outcome
    except KeyboardInterrupt:
        environment.notice("Interrupted. What was stored is kept, an invitation stays valid: go on with smpchat listen")
        status = ExitStatus.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains while it exits
        status = ExitStatus.OK
    except Exception as error:  # the top of the program: whatever it is, a person reads a sentence
        if environment.verbose:
            raise
        status = _explain(environment, error)
    raise typer.Exit(int(status))


def _explain(environment: Environment, error: Exception) -> int:
    from smpchat.agent.errors import AgentError
    from smpchat.chat.errors import ChatError
    from smpchat.relay.errors import RelayError

    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    match error:
        case CommandFailed():
            status, hint = error.status, error.hint
        case RelayError():
            status, hint = ExitStatus.NETWORK, error.hint
        case AgentError() | ChatError():
            status, hint = ExitStatus.INPUT, error.hint
        case _:
            environment.error(
                ExitStatus.INPUT,
                f"smpchat failed unexpectedly ({type(error).__name__}).",
                "Run the command again with -v, and report what it prints.",
            )
            return ExitStatus.INPUT
    environment.error(status, str(error), hint)
    return status


@app.command()
def invite(
    context: typer.Context,
    note: str | None = typer.Option(None, "--note", help="Alias of whoever uses the link."),
    server: str | None = typer.Option(None, "--server", help="Relay for this and later invitations."),
    handshake: str = typer.Option("instant", "--handshake", help="instant, three-step or standard."),
    wait: bool | None = typer.Option(None, "--wait/--no-wait", help="Wait until the link was used."),
    timeout: float | None = typer.Option(None, "--timeout", help="Seconds to wait."),
    qr: bool | None = typer.Option(None, "--qr/--no-qr", help="Show a QR code."),
) -> None:
    """Make a one-time link. Example: smpchat invite --note bob"""
    from smpchat.cli.commands import handshake as commands

    _run(context, lambda env: commands.invite(env, note, server, handshake, wait, timeout, qr))


@app.command()
def connect(
    context: typer.Context,
    link: str = typer.Argument(help="The link; - reads it from standard input."),
    alias: str | None = typer.Option(None, "--alias", help="What you call them."),
    message: list[str] = typer.Option([], "-m", help="A text to send at once; may be repeated."),
    wait: bool = typer.Option(False, "--wait/--no-wait", help="Wait until they have answered."),
    timeout: float = typer.Option(20.0, "--timeout", help="Seconds to wait."),
) -> None:
    """Use a link and write at once. Example: smpchat connect LINK --alias bob -m hello"""
    from smpchat.cli.commands import handshake as commands

    text = sys.stdin.read() if link == "-" else link
    if alias is None and sys.stdin.isatty() and not _environment(context).json:
        alias = typer.prompt("What do you call them?", err=True)
    _run(context, lambda env: commands.connect(env, text.strip(), alias, message, wait, timeout))


@app.command()
def send(
    context: typer.Context,
    who: str = typer.Argument(help="The contact's alias."),
    text: list[str] = typer.Argument(help="The text; - reads it from standard input."),
    wait: str | None = typer.Option(None, "--wait", help="sent (default), delivered or none: store it only."),
    timeout: float | None = typer.Option(None, "--timeout", help="Seconds to wait (20)."),
) -> None:
    """Send a message. Example: smpchat send bob see you at noon"""
    from smpchat.cli.commands import messages

    body = _body(text)
    _run(context, lambda env: messages.send(env, who, body, wait, timeout))


_WAIT_CHANGE = typer.Option(None, "--wait", help="sent (default) or none: store it only.")
_TIMEOUT = typer.Option(None, "--timeout", help="Seconds to wait (20).")
_MESSAGE = typer.Argument(help="Number of the message; `history` shows it.")


@app.command()
def reply(
    context: typer.Context,
    message: int = _MESSAGE,
    text: list[str] = typer.Argument(help="The text; - reads it from standard input."),
    wait: str | None = typer.Option(None, "--wait", help="sent (default), delivered or none: store it only."),
    timeout: float | None = _TIMEOUT,
) -> None:
    """Answer a message. Example: smpchat reply 12 yes, at noon"""
    from smpchat.cli.commands import messages

    body = _body(text)
    _run(context, lambda env: messages.send(env, None, body, wait, timeout, reply_to=message))


@app.command()
def edit(
    context: typer.Context,
    message: int = _MESSAGE,
    text: list[str] = typer.Argument(help="The new text; - reads it from standard input."),
    wait: str | None = _WAIT_CHANGE,
    timeout: float | None = _TIMEOUT,
) -> None:
    """Give a message of yours another text. Example: smpchat edit 12 see you at one"""
    from smpchat.cli.commands import messages

    body = _body(text)
    _run(context, lambda env: messages.change(env, lambda service: service.edit(message, body), wait, timeout))


@app.command()
def retract(
    context: typer.Context,
    message: int = _MESSAGE,
    wait: str | None = _WAIT_CHANGE,
    timeout: float | None = _TIMEOUT,
) -> None:
    """Take a message of yours back, within 78 hours. Example: smpchat retract 12"""
    from smpchat.cli.commands import messages

    _run(context, lambda env: messages.change(env, lambda service: service.retract(message), wait, timeout))


@app.command()
def react(
    context: typer.Context,
    message: int = _MESSAGE,
    emoji: str = typer.Argument(help="One of eight emoji."),
    remove: bool = typer.Option(False, "--remove", help="Take it away again."),
    wait: str | None = _WAIT_CHANGE,
    timeout: float | None = _TIMEOUT,
) -> None:
    """React to a message with an emoji. Example: smpchat react 12 👍"""
    from smpchat.cli.commands import messages

    _run(
        context,
        lambda env: messages.change(env, lambda service: service.react(message, emoji, add=not remove), wait, timeout),
    )


def _body(words: list[str]) -> str:
    return sys.stdin.read().rstrip("\n") if words == ["-"] else " ".join(words)


@app.command()
def listen(
    context: typer.Context,
    timeout: float | None = typer.Option(None, "--timeout", help="End after so many seconds."),
    count: int | None = typer.Option(None, "--count", min=1, help="End after so many messages."),
) -> None:
    """Stay online and print what comes. Example: smpchat --json listen --count 1"""
    from smpchat.cli.commands import messages

    _run(context, lambda env: messages.listen(env, timeout, count))


@app.command()
def chat(context: typer.Context, who: str | None = typer.Argument(None, help="The contact's alias.")) -> None:
    """Talk in this terminal. Example: smpchat chat bob"""
    from smpchat.cli.commands import chat as commands

    _run(context, lambda env: commands.chat(env, who))


@app.command()
def contacts(context: typer.Context) -> None:
    """List contacts. Example: smpchat contacts"""
    from smpchat.cli.commands import people

    _run(context, people.contacts)


@app.command()
def history(
    context: typer.Context,
    who: str = typer.Argument(help="The contact's alias."),
    number: int = typer.Option(50, "-n", min=1, help="At most so many messages."),
    search: str | None = typer.Option(None, "--search", help="Only those that contain this."),
) -> None:
    """Print a conversation. Example: smpchat history bob -n 10"""
    from smpchat.cli.commands import messages

    _run(context, lambda env: messages.history(env, who, number, search))


@app.command()
def status(context: typer.Context, who: str | None = typer.Argument(None, help="The contact's alias.")) -> None:
    """Show invitations, handshakes and relays. Example: smpchat status"""
    from smpchat.cli.commands import people

    _run(context, lambda env: people.status(env, who))


@app.command()
def rename(context: typer.Context, who: str, alias: str) -> None:
    """Give a contact another alias. Example: smpchat rename contact_2 bob"""
    from smpchat.cli.commands import people

    _run(context, lambda env: people.rename(env, who, alias))


@app.command()
def delete(
    context: typer.Context, who: str = typer.Argument(help="An alias, or the note, number or link of an invitation.")
) -> None:
    """Delete a contact, or cancel an invitation. Example: smpchat delete bob"""
    from smpchat.cli.commands import people

    _run(context, lambda env: people.delete(env, who))


@app.command()
def demo(context: typer.Context) -> None:
    """Watch two people connect on a relay in this process. Example: smpchat demo"""
    from smpchat.cli.commands import demo as commands

    _run(context, commands.demo)


@profile_app.command("show")
def profile_show(context: typer.Context) -> None:
    """Show your profile. Example: smpchat profile show"""
    from smpchat.cli.commands import people

    _run(context, people.profile_show)


@profile_app.command("set")
def profile_set(context: typer.Context, name: str) -> None:
    """Change the name that new contacts are told. Example: smpchat profile set Alice"""
    from smpchat.cli.commands import people

    _run(context, lambda env: people.profile_show(env, name))


@profile_app.command("list")
def profile_list(context: typer.Context) -> None:
    """List your profiles. Example: smpchat profile list"""
    from smpchat.cli.commands import people

    _run(context, people.profile_list)


@server_app.command("list")
def server_list(context: typer.Context) -> None:
    """List relays. Example: smpchat server list"""
    from smpchat.cli.commands import server

    _run(context, server.show_all)


_TRANSPORT_OPTION = typer.Option(None, "--transport", help="tls, websocket or auto: TLS, else WebSocket.")
_ITS_WS_PORT_OPTION = typer.Option(None, "--ws-port", min=1, max=65535, help="Where its WebSocket is (443).")


@server_app.command("add")
def server_add(
    context: typer.Context,
    address: str,
    transport: str | None = _TRANSPORT_OPTION,
    ws_port: int | None = _ITS_WS_PORT_OPTION,
) -> None:
    """Add a relay for new invitations. Example: smpchat server add smp://FINGERPRINT@HOST"""
    from smpchat.cli.commands import server

    _run(context, lambda env: server.add(env, address, transport, ws_port))


@server_app.command("remove")
def server_remove(context: typer.Context, address: str) -> None:
    """Remove a relay. Example: smpchat server remove smp://FINGERPRINT@HOST"""
    from smpchat.cli.commands import server

    _run(context, lambda env: server.remove(env, address))


@server_app.command("use")
def server_use(context: typer.Context, address: str) -> None:
    """Use only this relay: an address, simplex or embedded. Example: smpchat server use simplex"""
    from smpchat.cli.commands import server

    _run(context, lambda env: server.use(env, address))


@server_app.command("test")
def server_test(
    context: typer.Context,
    address: str | None = typer.Argument(None, help="A relay; without it, those for new invitations."),
    transport: str | None = _TRANSPORT_OPTION,
    ws_port: int | None = _ITS_WS_PORT_OPTION,
) -> None:
    """Send a message through each relay and time the steps. Example: smpchat server test"""
    from smpchat.cli.commands import server

    _run(context, lambda env: server.test(env, address, transport, ws_port))


@server_app.command("socks")
def server_socks(
    context: typer.Context, proxy: str | None = typer.Argument(None, help="HOST:PORT, or off; shown if left out.")
) -> None:
    """Reach relays through a SOCKS5 proxy. Example: smpchat server socks 127.0.0.1:9050"""
    from smpchat.cli.commands import server

    _run(context, lambda env: server.socks(env, proxy))


@server_app.command("private-routing")
def server_private_routing(
    context: typer.Context, setting: str | None = typer.Argument(None, help="on or off; shown if left out.")
) -> None:
    """Send to other people's relays through yours. Example: smpchat server private-routing on"""
    from smpchat.cli.commands import server

    _run(context, lambda env: server.private_routing(env, setting))


_WS_PORT_HELP = "Serve WebSocket on this port too; 0 for any, off for none. It is remembered."


@relay_app.command("run")
def relay_run(
    context: typer.Context,
    host: str = typer.Option("127.0.0.1", "--host", help="Address to listen on; 0.0.0.0 for your network."),
    port: int = typer.Option(0, "--port", min=0, max=65535, help="Port; 0 for the one used before, or any."),
    ws_port: str | None = typer.Option(None, "--ws-port", help=_WS_PORT_HELP),
    versions: str | None = typer.Option(None, "--smp-versions", help="SMP versions to offer, such as 7-14."),
    extensions: bool = typer.Option(True, " /--no-extensions", help="Offer nothing beyond standard SMP."),
    password: str | None = typer.Option(None, "--password", envvar="SMPCHAT_RELAY_PASSWORD", help="For new queues."),
) -> None:
    """Run the relay in this terminal. Example: smpchat relay run --host 0.0.0.0"""
    from smpchat.cli.commands import relay

    _run(context, lambda env: relay.run(env, host, port, ws_port, versions, extensions, password))


@relay_app.command("start")
def relay_start(
    context: typer.Context, ws_port: str | None = typer.Option(None, "--ws-port", help=_WS_PORT_HELP)
) -> None:
    """Start the relay in the background. Example: smpchat relay start"""
    from smpchat.cli.commands import relay

    _run(context, lambda env: relay.start(env, ws_port))


@relay_app.command("stop")
def relay_stop(context: typer.Context) -> None:
    """Stop the relay and its starting on demand. Example: smpchat relay stop"""
    from smpchat.cli.commands import relay

    _run(context, relay.stop)


@relay_app.command("status")
def relay_status(context: typer.Context) -> None:
    """Show whether the relay runs. Example: smpchat relay status"""
    from smpchat.cli.commands import relay

    _run(context, relay.status)


def main() -> None:
    """The program ``smpchat``."""
    app(globals_first(sys.argv[1:]))
