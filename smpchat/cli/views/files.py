"""How a file is shown in its message, in a list, and during its transfer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from smpchat.chat.store.files import FileState, FileView
from smpchat.chat.store.records import Direction, Message
from smpchat.cli.environment import Environment
from smpchat.cli.text import printable, shortened
from smpchat.cli.times import iso, since
from smpchat.encoding.text import size_text


def percent(file: FileView) -> int:
    """How much of a file has been transferred, in percent. The result is at most 99: when a file is complete,
    its state changes, and no number is shown any more."""
    return 0 if not file.size else min(99, file.bytes * 100 // file.size)


def file_object(file: FileView) -> dict[str, Any]:
    """The fields that `message` and `file` objects have about a file."""
    fields: dict[str, Any] = {
        "name": file.name,
        "size": file.size,
        "state": file.state,
        "bytes": file.bytes,
    }
    if file.path is not None:
        fields["path"] = str(file.path)
    if file.reason is not None:
        fields["reason"] = file.reason
    if file.trouble is not None:
        fields["trouble"] = file.trouble
    if file.expires_at is not None:
        fields["expires_at"] = iso(file.expires_at)
    return fields


def show_file(environment: Environment, message: Message) -> None:
    """Print a ``file`` object for scripts; for people, a line such as ``file 12 from bob: photo.jpg, 117 KiB,
    received: /home/ann/Downloads/photo.jpg``."""
    file = message.file
    if file is None:
        return
    fields = {"message": message.id, "contact": message.contact, "direction": message.direction} | file_object(file)
    whose = "from" if message.direction is Direction.RECEIVED else "to"
    line = f"file {message.id} {whose} {shortened(message.contact)}: {shortened(file.name)}, {size_text(file.size)}"
    environment.emit("file", fields, f"{line}, {state_text(file, message)}")


def show_fetched(environment: Environment, path: Path) -> None:
    """Print a ``fetched`` object for scripts; for people, a line such as ``received: /home/ann/Downloads/film.mp4,
    1.4 GiB``."""
    size = path.stat().st_size
    line = f"received: {printable(str(path))}, {size_text(size)}"
    environment.emit("fetched", {"path": str(path), "size": size}, line)


def show_progress(environment: Environment, message: Message) -> None:
    """Print a ``progress`` object for scripts; people see a bar, which `smpchat.cli.transferring` draws."""
    if message.file is not None and environment.json:
        fields = {"message": message.id, "bytes": message.file.bytes, "size": message.file.size}
        environment.emit("progress", fields, None)


def state_text(file: FileView, message: Message) -> str:
    """How far the transfer of a file is, or where the file is: ``receiving 45 %``, ``received: /home/ann/photo.jpg``,
    ``no longer available`` and so on."""
    why = f": {printable(file.reason)}" if file.reason else ""
    match file.state:
        case FileState.RECEIVED:
            return f"received: {printable(str(file.path))}"
        case FileState.OFFERED:
            until = f" until {since(file.expires_at, message.sent_at)}" if file.expires_at is not None else ""
            return f"offered{until}"
        case FileState.SENDING | FileState.RECEIVING:
            done = "received, being checked" if file.checking else f"{file.state} {percent(file)} %"
            return f"{done}, waiting{why}" if file.reason else done
        case FileState.EXPIRED:
            return "no longer available"
    return f"{file.state}{why}"


def file_mark(message: Message) -> str:
    """What smpchat prints about a message's file after the message; empty if the status of the message says
    everything."""
    file = message.file
    if file is None or message.deleted:
        return ""
    if file.state is FileState.SENT or (file.state is FileState.FAILED and message.direction is Direction.SENT):
        return ""  # the message's ticks, or the reason why it failed, say this already
    return state_text(file, message)


def how_to_receive(environment: Environment, message: Message) -> None:
    """Say how to receive a file that was just offered."""
    if message.file is not None and message.file.state is FileState.OFFERED and environment.attended:
        environment.notice(f"To receive the file: `smpchat receive {message.id}`")
