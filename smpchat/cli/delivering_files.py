"""Sends files: they are encrypted and stored, and then the command stays online until they are uploaded and their
messages are sent."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from smpchat.chat.online.presence import online
from smpchat.chat.online.wait import Wait
from smpchat.chat.service.files import OutgoingFile
from smpchat.chat.service.writing import WritingProfile
from smpchat.chat.store.records import Message
from smpchat.cli.delivering import wait_online_for_message
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.transferring import bar, until_moved
from smpchat.cli.views.files import show_progress
from smpchat.cli.views.messages import show_message


async def deliver_files(
    environment: Environment,
    who: str,
    paths: Sequence[Path],
    text: str,
    wait: Wait | None,
    patience: float | None,
    *,
    anyway: bool = False,
) -> int:
    """Send files, each in a message of its own; the text is sent with the first. If one of the files cannot be
    sent, no file is sent."""
    with closing(environment.open_as(WritingProfile)) as service:
        looked_at = [service.look_at_file(who, path, "" if at else text) for at, path in enumerate(paths)]
        return await _deliver(environment, service, looked_at, wait, patience, anyway=anyway)


async def forward_file(
    environment: Environment, number: int, who: str, wait: Wait | None, patience: float | None
) -> int:
    """Forward the file of a message: the file is encrypted and uploaded again."""
    with closing(environment.open_as(WritingProfile)) as service:
        file = service.forwarded_file(number, who)
        return await _deliver(environment, service, [file], wait, patience)


async def _deliver(
    environment: Environment,
    service: WritingProfile,
    looked_at: Sequence[OutgoingFile],
    wait: Wait | None,
    patience: float | None,
    *,
    anyway: bool = False,
) -> int:
    messages = [_store(environment, service, file, anyway=anyway) for file in looked_at]
    if (Wait(environment.setting("wait")) if wait is None else wait) is Wait.NONE:
        return ExitStatus.OK
    async with online(service, environment.relay()):
        for file, message in zip(looked_at, messages, strict=True):
            with bar(environment, file.name, file.size) as tell:
                moved = await until_moved(environment, service, message.id, patience, tell)
            show_progress(environment, moved)
            await wait_online_for_message(environment, service, message, wait, patience)
    return ExitStatus.OK


def _store(environment: Environment, service: WritingProfile, file: OutgoingFile, *, anyway: bool) -> Message:
    with bar(environment, file.name, file.size) as tell:
        encrypted = service.encrypt_file(file, lambda done, total: tell("Encrypting", done, total))
    with encrypted:
        message = service.store_file(file, encrypted, anyway=anyway)
    show_message(environment, message)
    return message
