"""``reject``: deletes a request; its sender gets no answer."""

from __future__ import annotations

from contextlib import closing

import typer

from smpchat.cli.arguments import REQUEST
from smpchat.cli.command_line import Program
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run

app = Program()


@app.command()
def reject(context: typer.Context, who: str = REQUEST) -> None:
    """Reject a request; the sender is not told. Example: smpchat reject 3"""
    run(context, lambda environment: _reject(environment, who))


def _reject(environment: Environment, who: str) -> int:
    """Delete a request; nothing is sent."""
    with closing(environment.open()) as service:
        request = service.reject(who)
        environment.notice(f"Request {request.id} is rejected. The sender is not told.")
        return ExitStatus.OK
