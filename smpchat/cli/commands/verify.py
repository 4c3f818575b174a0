"""``verify``: shows our security code for a contact, or compares it with the code that the contact sees."""

from __future__ import annotations

import shlex
from contextlib import closing
from typing import TYPE_CHECKING

import typer

from smpchat.chat.service.reading import StoredProfile
from smpchat.cli.arguments import QR, WHO
from smpchat.cli.command_line import Program, examples
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run
from smpchat.cli.views.contacts import verification_lines

if TYPE_CHECKING:
    from smpchat.chat.service.views import Verification

app = Program()


@app.command(epilog=examples("smpchat verify bob", "smpchat verify bob 10305 73042 21841 ..."))
def verify(
    context: typer.Context,
    who: str = WHO,
    code: list[str] = typer.Argument(
        None,
        metavar="[CODE...]",
        help="The code that your contact sees; only its digits count (if omitted: show your code).",
    ),
    confirm: bool = typer.Option(
        False, "--confirm", help="Mark the contact as verified, after you compared the codes yourself."
    ),
    qr: bool | None = QR,
) -> None:
    """Show or compare the security code with a contact.

    Your contact sees a security code too. Compare the two over a call or face to face: if they are the same, nobody
    else can read your messages. SimpleX apps can scan the QR code. If the code changes after you compared it, your
    messages are saved but not sent, until you compare the new code or use `send --anyway`.
    """
    run(context, lambda environment: _verify(environment, who, " ".join(code) if code else None, confirm, qr))


async def _verify(environment: Environment, who: str, code: str | None, confirm: bool, qr: bool | None) -> int:
    """Print the security code, or compare it with the one that the contact sees."""
    if code is None and not confirm:
        with closing(environment.open_as(StoredProfile)) as stored:
            found = stored.verification(who)
            _show(environment, found, asked=True)
        if environment.attended if qr is None else qr:
            from smpchat.cli.qr import show_code

            show_code(environment, found.code, asked=bool(qr))
        return ExitStatus.OK
    from smpchat.chat.online.presence import online
    from smpchat.chat.online.waiting import flush
    from smpchat.chat.service.writing import WritingProfile

    with closing(environment.open_as(WritingProfile)) as service:
        _show(environment, service.verify(who, code), asked=False)
        if not service.is_idle():  # send the messages that were held
            async with online(service, environment.relay()):
                await flush(service)
    return ExitStatus.OK


def _show(environment: Environment, found: Verification, *, asked: bool) -> None:
    typed = environment.as_typed(f"`smpchat verify {shlex.quote(found.contact)} CODE`")
    environment.emit(
        "verification",
        {"contact": found.contact, "code": found.code, "verified": found.verified},
        verification_lines(environment, found, asked=asked, command=typed.strip("`")),
    )
