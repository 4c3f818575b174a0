"""``verify``: the security code with a contact, shown or compared."""

from __future__ import annotations

import shlex
from contextlib import closing

import typer

from smpchat.chat.service.reading import StoredProfile
from smpchat.cli.arguments import WHO
from smpchat.cli.command_line import Program, examples
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run
from smpchat.cli.views.contacts import verification_lines

app = Program()


@app.command(epilog=examples("smpchat verify bob", "smpchat verify bob 10305 73042 21841 ..."))
def verify(
    context: typer.Context,
    who: str = WHO,
    code: list[str] = typer.Argument(None, metavar="[CODE]", help="The code they see; only its digits count."),
) -> None:
    """Show the security code, or compare it with theirs."""
    run(context, lambda environment: _verify(environment, who, " ".join(code) if code else None))


def _verify(environment: Environment, who: str, code: str | None) -> int:
    """Print the security code, or compare it with the one that the contact sees."""
    with closing(environment.open_as(StoredProfile)) as service:
        found = service.verification(who) if code is None else service.verify(who, code)
        typed = environment.as_typed(f"`smpchat verify {shlex.quote(who)} CODE`")
        environment.emit(
            "verification",
            {"contact": found.contact, "code": found.code, "verified": found.verified},
            verification_lines(found, asked=code is None, command=typed.strip("`")),
        )
        return ExitStatus.OK
