"""Every body of `tests/vectors/data/app-bodies.jsonl`, which an app sent, as a person and as a script see it.

Each line goes through the transaction in which it would arrive; what it leads to is printed as `listen` prints it on a
terminal of 80 columns, and the whole is compared with a transcript that people have read. Texts are cut where they get
long. Another file of the same format is shown by ``python -m tests.cli.test_app_bodies FILE``.
"""

from __future__ import annotations

import io
import itertools
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from smpchat.agent.machines.delivery import Integrity
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.service.listening import Listener
from smpchat.chat.store.address import RequestView
from smpchat.chat.store.records import Direction, contact, insert_message
from smpchat.chat.wire.bodies import shared_id
from smpchat.chat.wire.message import decode_contact_request
from smpchat.cli.commands import listen
from smpchat.cli.environment import Environment
from smpchat.cli.notifying import Notifier
from smpchat.cli.schema import problems
from smpchat.cli.views.links import show_request
from smpchat.cli.views.messages import being_written
from tests.cli.terminal import START, FakeTerminal, Terminal, normal
from tests.vectors.documents import Bodies, read_document
from tests.vectors.formats.app_bodies import body_of, is_link_data, text_of

DATA = Path(__file__).parents[1] / "vectors" / "data" / "app-bodies.jsonl"
_LINES, _COLUMNS, _CHARACTERS = 4, 80, 100
"""Lines of one message that the transcript shows, their width, and characters of one text in JSON."""
Screen = Callable[[str, str], None]


class Reader:
    """Bob, to whom Ann's app writes."""

    def __init__(self, folder: Path, *, json_lines: bool) -> None:
        self.now = START
        self.service = ChatService(folder, "bob", now=lambda: self.now)
        self.environment = Environment(folder.parent.parent, "bob", json=json_lines, color=False, now=lambda: self.now)
        self.after = self.service.last_event()
        self.listener = Listener(self.service, self.after)
        self.connection = self.service.contact("ann").contact.connection_id

    def prepare(self, records: list[dict[str, Any]]) -> None:
        """What these bodies answer or react to, and was not among them, we have written before."""
        messages = list(itertools.chain.from_iterable(map(_messages, records)))
        theirs = {shared_id(message.get("msgId")) for message in messages}
        for message in messages:
            params = message["params"]
            reference = params.get("quote", {}).get("msgRef", {}) if "quote" in params else params
            wanted = shared_id(reference.get("msgId"))
            ours = message["event"] == "x.msg.react" or ("quote" in params and not reference.get("sent"))
            if ours and wanted is not None and wanted not in theirs:
                theirs.add(wanted)
                said = params.get("quote", {}).get("content", {}).get("text", "our message")
                with self.service.database.transaction() as tx:
                    insert_message(tx, contact(tx, "ann").id, Direction.SENT, said, self.now, wanted)

    def receive(self, record: dict[str, Any]) -> str:
        """One body, in the transaction in which it arrives; what its sender gets to know at once."""
        self.now += 1
        body, application = body_of(record), self.service.context.application
        events = {message["event"] for message in _messages(record)}
        if events == {"x.contact"}:
            asked, _ = decode_contact_request(body)
            assert asked.profile is not None
            show_request(self.environment, RequestView(1, asked.profile.display_name, asked.text, self.now))
            return ""
        with self.service.database.transaction() as tx:
            if is_link_data(record):
                application.link_info_received(tx, self.connection, body)
                return ""
            if all("msgId" not in message for message in _messages(record)):
                refused = application.peer_info_received(tx, self.connection, body)
                return f" (refused: {refused})" if refused is not None else ""
            receipt = application.message_received(tx, self.connection, body, round(self.now), Integrity.OK)
            return " (receipt)" if receipt else ""

    async def show(self) -> None:
        """What `listen` prints of it, and what `chat` shows of a message that is not finished."""
        for number, event in self.service.events_after(self.after):
            self.after = number
            listen._show_event(self.environment, self.service, event)
        notifier = Notifier(self.environment)
        listen._show_people(self.environment, self.service, notifier)
        await listen._show_messages(self.environment, self.listener, None, None, None, notifier, self.service)
        if not self.environment.json:
            for message in self.service.being_written("ann"):
                self.environment.show(being_written(self.environment, message))


def _messages(record: dict[str, Any]) -> list[dict[str, Any]]:
    value = json.loads(text_of(record)) if not is_link_data(record) else []
    return value if isinstance(value, list) else [value]


def _run(coroutine: Any) -> None:
    """Nothing in it waits for anything, so it ends at its first step."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


def transcript(template: Path, scratch: Path, document: Bodies, *, json_lines: bool) -> Iterator[str]:
    """What is printed of every body; those of one situation, and what goes on with it, are one conversation."""
    reader, known = None, set[str]()
    for at, (case, found) in enumerate(itertools.groupby(document.records, lambda record: record["case"])):
        records = list(found)
        messages = list(itertools.chain.from_iterable(map(_messages, records)))
        if reader is None or known.isdisjoint(_id(message["params"].get("msgId")) for message in messages):
            if reader is not None:
                reader.service.close()
            folder = Path(shutil.copytree(template, scratch / f"{at}" / "profiles" / "bob"))
            reader, known = Reader(folder, json_lines=json_lines), set()
        known |= {_id(message.get("msgId")) for message in messages} - {""}
        reader.prepare(records)
        yield f"== {case}"
        for record in records:
            streams, printed = (sys.stdout, sys.stderr), (io.StringIO if json_lines else FakeTerminal)
            sys.stdout, sys.stderr = out, err = printed(), printed()
            try:
                notes = reader.receive(record)
                _run(reader.show())
            finally:
                sys.stdout, sys.stderr = streams
            events = [message["event"] for message in _messages(record)] or ["what stands behind a link"]
            yield f"-- {', '.join(events)}{notes}"
            yield from (f"2> {line}" for line in err.getvalue().splitlines())
            yield from (map(_short_object, out.getvalue().splitlines()) if json_lines else _short_lines(out.getvalue()))
    if reader is not None:
        reader.service.close()


def _id(value: object) -> str:
    return shared_id(value) or ""


def _short_object(line: str) -> str:
    value = json.loads(line)
    assert problems(value) == [], line
    return json.dumps(_short(value), ensure_ascii=True)


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _short(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_short(item) for item in value]
    if isinstance(value, str) and len(value) > _CHARACTERS:
        return f"{value[:_CHARACTERS]}… ({len(value)} characters)"
    return value


def _short_lines(shown: str) -> Iterator[str]:
    """The lines as a terminal of 80 columns breaks them, those of long messages cut; the first is not indented."""
    for message in re.split(r"\n(?! )", re.sub(r"\x1b\[[0-9;]*m|\x1b\]8;[^\x1b]*\x1b\\", "", shown).rstrip("\n")):
        message = re.sub(r"--home \S+ ", "", message)  # of a copy, in the command of an invitation
        lines = [line[at : at + _COLUMNS] for line in message.splitlines() for at in range(0, len(line), _COLUMNS)]
        yield from lines[:_LINES]
        if len(lines) > _LINES:
            yield f"    … ({len(lines) - _LINES} more lines)"


@pytest.fixture
def template(smpchat: Terminal) -> Path:
    """Bob's profile, which knows ann."""
    smpchat.connected("ann", "bob")
    return smpchat.home / "profiles" / "bob"


@pytest.mark.parametrize("json_lines", [False, True], ids=["people", "json"])
def test_every_body_is_shown(template: Path, tmp_path: Path, screen: Screen, json_lines: bool) -> None:
    document = read_document(DATA)
    lines = transcript(template, tmp_path / "copies", document, json_lines=json_lines)
    screen("app_bodies_json" if json_lines else "app_bodies", normal("\n".join(lines)) + "\n")


def main(file: Path) -> None:
    """Print the transcripts of a file."""
    import tempfile

    monkeypatch = pytest.MonkeyPatch()
    with tempfile.TemporaryDirectory() as folder, monkeypatch.context():
        smpchat = Terminal(Path(folder), monkeypatch)
        smpchat.connected("ann", "bob")
        document = read_document(file)
        for json_lines in (False, True):
            copies = Path(folder) / f"copies-{json_lines}"
            for line in transcript(smpchat.home / "profiles" / "bob", copies, document, json_lines=json_lines):
                print(line)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
