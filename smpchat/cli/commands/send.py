"""``send``: sends a message or files, and waits until a relay has them."""

from __future__ import annotations

from pathlib import Path

import typer

from smpchat.chat.online.wait import Wait
from smpchat.cli.arguments import CHAT, WAIT, body, seconds
from smpchat.cli.command_line import Program, examples
from smpchat.cli.running import run

app = Program()


@app.command(
    epilog=examples(
        "smpchat send bob see you at noon",
        "date | smpchat send bob - --wait delivered",
        "smpchat send bob --file photo.jpg -m 'the beach'",
    ),
)
def send(
    context: typer.Context,
    who: str = CHAT,
    text: list[str] = typer.Argument(None, metavar="TEXT...", help="The text (- reads it from standard input)."),
    file: list[Path] = typer.Option([], "--file", metavar="PATH", help="Send this file; may be given several times."),
    message: str | None = typer.Option(
        None,
        "-m",
        "--message",
        metavar="TEXT",
        help="The text, given as an option. With --file, it is sent with the first file.",
    ),
    wait: Wait | None = WAIT,
    timeout: float | None = typer.Option(
        None,
        "--timeout",
        parser=seconds,
        metavar="SECONDS",
        help="Seconds to wait (default: 20), or with --file, seconds for the whole transfer (default: no limit, but a"
        " transfer stops after 20 seconds without progress).",
    ),
    anyway: bool = typer.Option(
        False, "--anyway", help="Send this message and the held ones, although keys have changed."
    ),
) -> None:
    """Send a message or files.

    A message is held, which means saved but not sent, if the security code has changed since you compared it (see
    `verify`), or if the contact has sent new keys that you have not accepted (see `resync`). The command then ends with
    exit code 5. `send WHO --anyway` without a text sends only the held messages.

    A file is encrypted and uploaded to file relays. It counts as sent when your contact can fetch it. If the upload is
    interrupted, the next command that goes online continues it.
    """
    from smpchat.cli.delivering import deliver, deliver_held

    if message is not None and text:
        raise typer.BadParameter("give the text once, with -m or without.", param_hint="-m")
    text = text or ([] if message is None else [message])
    if file:
        from smpchat.cli.delivering_files import deliver_files

        caption = body(text) if text else ""
        run(context, lambda environment: deliver_files(environment, who, file, caption, wait, timeout, anyway=anyway))
        return
    if not text:
        if not anyway:
            raise typer.BadParameter("the text is missing.", param_hint="TEXT")
        run(context, lambda environment: deliver_held(environment, who))
        return
    run(context, lambda environment: deliver(environment, who, body(text), wait, timeout, anyway=anyway))
