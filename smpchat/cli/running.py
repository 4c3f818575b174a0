"""Runs a command, with an event loop if it needs one, and handles the errors of the command."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import typer

from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.times import choose_form

T = TypeVar("T")


def run(
    context: typer.Context,
    command: Callable[[Environment], int | Coroutine[Any, Any, int]],
    *,
    reads_config: bool = True,
) -> None:
    """Run a command. If it fails, two sentences are printed: what happened, and what to do.

    Args:
        reads_config: False for a command that shows or fixes a config file: the command then runs even if the file is
            invalid.

    Raises:
        typer.Exit: Always, when the command has ended; it carries the exit status.
    """
    environment = context.obj
    assert isinstance(environment, Environment)
    if environment.verbose or environment.trace:
        from smpchat.cli.logs import start_logs

        # Logs start before the command, so that opening the profile is logged too.
        start_logs(environment)
    try:
        if reads_config:
            environment.check_config()
        choose_form(environment.setting("time-format"))
        outcome = command(environment)
        status = run_loop(outcome) if isinstance(outcome, Coroutine) else outcome
    except KeyboardInterrupt:
        # Ctrl-C is the usual end of `listen`, so nothing was interrupted.
        environment.notice("Stopped." if context.info_name == "listen" else "Interrupted.")
        status = ExitStatus.INTERRUPTED
    except Exception as error:  # the top of the program: every error becomes a sentence
        status = _end(environment, error)
    raise typer.Exit(int(status))


def _end(environment: Environment, error: Exception) -> int:
    """Print the sentences of a failed command, and return its exit status."""
    from smpchat.cli.errors import explain, first_of

    if isinstance(first_of(error), BrokenPipeError):  # the program that read our output has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains while it exits
        return ExitStatus.OK
    if environment.verbose:
        import traceback

        traceback.print_exception(error)
    explained = explain(error)
    environment.error(explained.status, explained.message, explained.hint)
    return explained.status


def run_loop(command: Coroutine[Any, Any, T]) -> T:
    """Run a command, or a part of one, in an event loop of its own, and return its result."""
    import asyncio

    return asyncio.run(command)
