"""What every command prints with ``--json`` is as docs/json.md says: no other field, none missing, no other type.

The objects are checked as they are parsed (`tests.e2e.smpchat.parse`); here every command runs, and prints its types.
"""

from __future__ import annotations

import json
import re
import socket
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import smpchat.home
from smpchat.agent.machines.delivery import Integrity
from smpchat.agent.machines.notices import NoticeKind
from smpchat.chat.store import groups, profiles, records
from smpchat.chat.store.address import RequestView
from smpchat.chat.transactions import requests as asked_for
from smpchat.chat.wire.group_values import Business, ChatType, GroupProfile, business_params
from smpchat.cli.app import app
from smpchat.cli.command_line import loaded
from smpchat.cli.fields import Field
from smpchat.cli.schema import TYPES
from smpchat.encoding.record import replace
from smpchat.relay.folder import status
from smpchat.xftp.description import read_description
from smpchat.xftp.links import FileLink, write_file_link
from tests.e2e.smpchat import Home, Result, parse

GROUPS = ("profile", "server", "relay", "address", "key", "contact", "config", "group")
PICTURE = "data:image/png;base64,iVBORw0KGgo="
ADDRESS = "smp://AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=@127.0.0.1:1"
_view = asked_for.view
INTERACTIVE = {"chat", "man", "completion"}
"""Commands for people, which print no objects."""


def commands(group: Any = None, path: str = "") -> set[str]:
    """Every command there is, such as ``profile list``."""
    group = typer.main.get_command(app) if group is None else group
    found: set[str] = set()
    for name, listed in group.commands.items():
        command = loaded(listed)
        found |= commands(command, f"{path}{name} ") if hasattr(command, "commands") else {path + name}
    return found - INTERACTIVE


def paths(value: object, where: str) -> set[str]:
    """Every field of an object and of those inside it, such as ``message.reply_to.id``; ``v`` and ``type`` aside."""
    if isinstance(value, list):
        return set[str]().union(*(paths(item, where) for item in value))
    if not isinstance(value, dict):
        return set()
    found = set()
    for name, item in value.items():
        if name not in ("v", "type"):
            found |= {f"{where}.{name}"} | paths(item, f"{where}.{name}")
    return found


def promised(fields: tuple[Field, ...], where: str) -> set[str]:
    """The same of what the page says; the names in counts are not promised."""
    found = set()
    for field in fields:
        found |= {f"{where}.{field.name}"} | promised(field.fields, f"{where}.{field.name}")
    return found


def special(home: Home, profile: str, alias: str) -> None:
    """What only other apps send, arrived at a bot of ours: each kind of thing that has fields of its own."""
    text = {"content": {"type": "text", "text": "/help me"}}
    preview = {"uri": "https://a.example", "title": "A", "description": "B"}
    bot = {"displayName": "B", "shortDescr": "a bot", "image": PICTURE, "peerType": "bot", "preferences": {
        "timedMessages": {"allow": "yes"}, "commands": [{"type": "command", "keyword": "help", "label": "Help"}]
    }}  # fmt: skip
    events: list[tuple[str, dict[str, Any]]] = [
        ("x.msg.new", text),
        ("x.msg.new", text | {"ttl": 86_400}),
        ("x.msg.new", text | {"live": True}),
        ("x.msg.new", {"content": {"type": "link", "text": "see", "preview": preview}}),
        ("x.grp.msg.forward", {"memberName": "carol", "msg": {"event": "x.msg.new", "params": text}}),
        ("x.info", {"profile": bot}),
    ]
    with closing(smpchat.home.Home(home.folder).open(profile)) as service:
        connection = service.contact(alias).contact.connection_id
        with service.database.transaction() as tx:
            profiles.save_own(tx, replace(service.own_profile(tx), bot=True))
            records.mark_business(tx, records.contact(tx, alias).id)
            service.context.application.notice(tx, connection, "{alias} now receives at the relay a.example.")
            service.context.application.notice(tx, connection, "Messages were lost.", NoticeKind.MESSAGES_LOST)
            for number, (event, params) in enumerate(events):
                body = json.dumps({"v": "1-16", "msgId": f"c3BlY2lhbDA{number}", "event": event, "params": params})
                service.context.application.message_received(
                    tx, connection, body.encode(), round(time.time()), Integrity.OK
                )


class Script:
    """Runs commands and notes which, and the types and fields that they printed.

    Without bystanders, since it is objects that are looked at, whomever they are of.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self.ran: dict[str, set[str]] = {}
        self.fields: set[str] = set()

    def __call__(self, profile: str, *arguments: str, code: int | None = 0, stdin: str | None = None) -> Result:
        """Run a command if this program has it."""
        name = " ".join(arguments[:2]) if arguments[0] in GROUPS else arguments[0]
        if name not in commands():
            return Result(0, [], "")
        result = self._run(profile, arguments, stdin)
        assert code is None or result.code == code, (arguments, result)
        assert (result.of("error") == []) is (result.code == 0), result
        self.note(name, result.objects)
        return result

    def _run(self, profile: str, arguments: tuple[str, ...], stdin: str | None) -> Result:
        """In this process: a new one for each of so many commands would take longer than all that they do."""
        line = ["--json", "--home", str(self.home.folder), "-p", profile, *arguments]
        done = CliRunner().invoke(app, line, input=stdin)
        return Result(done.exit_code, [parse(each) for each in done.stdout.splitlines()], done.stderr)

    def note(self, name: str, objects: list[dict[str, Any]]) -> None:
        self.ran.setdefault(name, set()).update(item["type"] for item in objects)
        for item in objects:
            self.fields |= paths(item, item["type"])


def test_every_command_prints_what_the_page_says(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Script(home)
    secret, picture = tmp_path / "secret", tmp_path / "picture.png"
    secret.write_text("correct horse\n")

    with home.running("default", "relay", "run") as relay:
        relay.until("relay", state="running")
        run.note("relay run", relay.seen)
        link = run("alice", "invite", "--note", "bob", "--no-wait", "--incognito").of("invitation")[0]["link"]
        run("alice", "status")
        run("alice", "relay", "status")
        run("bob", "connect", link, "--alias", "alice", "-m", "one")
        run("bob", "connect", link, "--alias", "x", code=1)
        run("carol", "connect", "-", "--alias", "alice", code=4, stdin=link)
        heard = run("alice", "listen", "--count", "1", "--timeout", "30")
        assert {"state", "contact", "message"} <= {item["type"] for item in heard.objects}
        number = str(heard.of("message")[0]["id"])
        with home.running("bob", "listen") as bob:
            bob.until("status", status="delivered")
            own = run("alice", "send", "bob", "two", "--wait", "delivered").of("message")[0]
            assert run("alice", "reply", number, "-", stdin="three").of("message")[0]["reply_to"]["text"] == "one"
            assert run("alice", "edit", str(own["id"]), "four").of("message")[0]["edited"]
            assert run("alice", "react", number, "👍").of("message")[0]["reactions"]
            assert run("alice", "forward", number, "bob").of("message")[0]["forwarded"]
            assert run("alice", "retract", str(own["id"])).of("message")[0]["deleted"]
            bob.until("message", reply_to={"id": 1, "direction": "sent", "text": "one"})
            bob.until("message", deleted=True)
            run.note("listen", bob.seen)
        run("bob", "retract", number)  # the one that alice has answered
        run("alice", "listen", "--timeout", "1")
        special(run.home, "alice", "bob")
        run("alice", "listen", "--timeout", "1")
        _files(run, tmp_path)
        _group(run)
        run("alice", "history", "bob")
        run("alice", "search", "hello")
        run("alice", "mute", "bob", "8h")
        run("alice", "mute", "bob", "off")
        run("alice", "verify", "bob", run("alice", "verify", "bob").of("verification")[0]["code"])
        run("alice", "history", "bob")
        run("alice", "contact", "set", "bob", "disappear", "1d")
        run("alice", "contact", "set", "bob", "receipts", "off")
        run("alice", "contact", "show", "bob")
        run("alice", "rotate", "bob")
        run("alice", "contacts")
        run("alice", "status", "bob")
        run("alice", "rotate", "bob", "--cancel")
        run("alice", "config", "set", "time-format", "12h")
        run("alice", "config", "get", "time-format")
        run("alice", "config", "list")
        run("alice", "config", "path")
        run("alice", "config", "unset", "time-format")
        run("alice", "verify", "bob")
        run("alice", "resync", "bob")
        run("alice", "rename", "bob", "robert")
        run("alice", "export", str(tmp_path / "file"), "--passphrase-file", str(secret))
        choices = (
            ("add", f"smp://{'A' * 43}=@relay.example"),
            ("socks", "127.0.0.1:9050"),
            ("add", f"xftp://{'A' * 43}=@relay.example"),
            ("private-routing", "on"),
            ("strangers", "any"),
        )
        for choice in choices:
            run("dora", "server", *choice)
        run("dora", "export", str(tmp_path / "chosen"), "--passphrase-file", str(secret))
        run("anna", "import", str(tmp_path / "file"), "--passphrase-file", str(secret))
        run("emma", "import", str(tmp_path / "chosen"), "--passphrase-file", str(secret))
        monkeypatch.setenv("SMPCHAT_KEY", "correct horse")
        monkeypatch.setenv("SMPCHAT_NEW_KEY", "correct horse")
        for command in ("set", "test", "change", "remove"):
            run("anna", "key", command)
        run("bob", "delete", "alice")
        run("alice", "listen", "--timeout", "1")
        run("alice", "contacts")
        run("alice", "address", "create", "--welcome", "hello", "--auto-reply", "thank you")
        run("alice", "address", "set", "--welcome", "hello there")
        address = run("alice", "address", "show").of("address")[0]["link"]
        for name in ("carol", "dave"):
            run(name, "connect", address, "--alias", "alice", "-m", "hello")
        while len(requests := run("alice", "requests").of("request")) < 2:
            run("alice", "listen", "--timeout", "1")
        _make_rare(home)
        with monkeypatch.context() as patched:
            patched.setattr(asked_for, "view", _doubtful)
            run("alice", "requests")
        run("alice", "address", "show")
        run("alice", "contacts")
        accepted = run("alice", "accept", str(requests[0]["id"]), "--any-relay").of("contact")[0]["alias"]
        asked = requests[0]["name"]
        run(asked, "listen", "--timeout", "1")
        run("alice", "listen", "--timeout", "1")
        run(asked, "delete", "alice")
        run("alice", "send", accepted, "too late", code=4)
        run("alice", "history", accepted)
        run("alice", "reject", str(requests[1]["id"]))
        run("alice", "address", "delete")
        run("alice", "server", "test", code=None)
        run("alice", "doctor", code=None)

    with socket.create_server(("127.0.0.1", _files_port(home))):  # another program has taken it meanwhile
        run("alice", "relay", "start")
        run("alice", "relay", "status")
    run("alice", "invite", "--no-wait")
    run("alice", "relay", "stats")
    run("alice", "relay", "backup", str(tmp_path / "relay.tar"))
    run("alice", "relay", "stop")
    run("alice", "relay", "rotate-certificate")
    run("alice", "relay", "restore", str(tmp_path / "relay.tar"), code=None)  # there is a relay already
    run("alice", "explain", str(run("alice", "invite", "--no-wait", code=3).of("error")[0]["code"]))
    run("alice", "listen", "--timeout", "5")  # the relay of an invitation is away
    run("alice", "demo")
    run("alice", "server", "add", ADDRESS, "--transport", "websocket", "--ws-port", "8443")
    run("alice", "server", "list")
    for change in ("add", "use", "remove"):
        run("alice", "server", change, ADDRESS)
    run("alice", "server", "remove", ADDRESS, code=1)
    run("alice", "server", "forget", ADDRESS, code=None)
    for setting in ("socks", "private-routing", "strangers"):
        run("alice", "server", setting)
    run("alice", "profile", "show")
    picture.write_bytes(b"\x89PNG\r\n\x1a\n")
    run("alice", "profile", "set", "Alice", "--description", "me", "--picture", str(picture), "--command", "help=Help")
    run("alice", "profile", "set", "--no-receipts")
    run("alice", "profile", "switch", "bob")
    run("alice", "profile", "list")
    run("alice", "profile", "delete", "anna", "--yes")
    run("alice", "send", "nobody", "hello", code=1)

    versions = CliRunner().invoke(app, ["--json", "--version"])
    run.fields |= set[str]().union(*(paths(item, item["type"]) for item in map(parse, versions.stdout.splitlines())))

    assert set(run.ran) == commands()
    for name, types in run.ran.items():
        assert types - {"error"} <= documented(name), name
    printed = set[str]().union(*run.ran.values())
    expected = {kind.name for kind in TYPES if kind.name == "error" or printers(kind.printed_by) & commands()}
    assert printed == expected
    missing = set[str]().union(*(promised(kind.fields, kind.name) for kind in TYPES)) - run.fields
    assert not missing, f"promised, and printed by nothing: make this script print {sorted(missing)}"


def _files_port(home: Home) -> int:
    port = status(home.folder / "relay").files_port
    assert port
    return port


def _files(run: Script, folder: Path) -> None:
    """Bob sends two: one is received and opened, one is withdrawn."""
    sent = folder / "plan.txt"
    sent.write_text("walls, then the roof\n")
    with run.home.running("bob", "listen"):
        run("bob", "send", "alice", "--file", str(sent), "--wait", "sent")
        run("bob", "send", "alice", "--file", str(sent), "--wait", "sent")
        run("alice", "listen", "--count", "2", "--timeout", "30")
        run("alice", "receive", "bob", "--to", str(folder / "received.txt"))
        run("alice", "listen", "--timeout", "1")
        run("alice", "receive", _link_to_a_file(run.home), "--to", str(folder / "fetched.txt"))
        assert (folder / "fetched.txt").read_bytes() == sent.read_bytes()
    received = next(item["message"] for item in run("alice", "files", "bob").of("file") if item["state"] == "received")
    run("bob", "cancel", str(run("bob", "files").of("file")[-1]["message"]))
    run("alice", "view", str(received), "--yes", code=None)  # a desktop's program is not everywhere
    with closing(smpchat.home.Home(run.home.folder).open("alice")) as service, service.database.transaction() as tx:
        # What a relay leaves that has lost the file.
        tx.execute("UPDATE message_files SET state = 'failed', reason = 'It is gone.', trouble = 'gone'")
    run("alice", "files")


def _link_to_a_file(home: Home) -> str:
    """What a program makes that gives a description of its own away."""
    with closing(smpchat.home.Home(home.folder).open("alice")) as service:
        query = "SELECT description FROM message_files WHERE complete AND description <> ''"
        [row] = service.database.read(query)
    return write_file_link(FileLink(read_description(row["description"])))


def _group(run: Script) -> None:
    """Ann and Ben in Ann's group, with a word of theirs and all that she can do to it."""
    link = run("ann", "invite", "--no-wait", "--note", "ben").of("invitation")[0]["link"]
    run("ben", "connect", link, "--alias", "ann")
    run("ann", "listen", "--timeout", "1")
    run("ann", "group", "create", "team", "--welcome", "hello", "--description", "of the two")
    with run.home.running("ann", "listen") as ann:
        run("ann", "group", "invite", "team", "ben")
        run("ben", "listen", "--count", "1", "--timeout", "30")
        run("ben", "groups")
        run("ben", "group", "join", "team")
        with run.home.running("ben", "listen") as ben:
            ben.until("message", text="hello")
            ann.until("message", text="[ben joined]")
            run("ann", "send", "team", "one", "--wait", "delivered")
            heard = ben.until("message", text="one")
            run("ben", "reply", str(heard["id"]), "two")
            answer = ann.until("message", text="two")
            run("ann", "reply", str(answer["id"]), "three", "--wait", "delivered")
            ben.until("message", text="three")
            run.note("listen", ben.seen)
        link = run("ann", "group", "link", "team").of("group-link")[0]["link"]
        run("cam", "connect", link, "--alias", "team", "--wait")
        seen = run("cam", "listen", "--count", "3", "--timeout", "30").of("message")
        first = next(message for message in seen if message["text"] == "one")
        for name, number in (("ben", heard["id"]), ("cam", first["id"])):
            run(name, "react", str(number), "👍")
        both = {"emoji": "👍", "direction": "received", "people": 2, "members": ["ben", "cam"]}
        ann.until("message", text="one", reactions=[both])
        run("ann", "retract", str(answer["id"]), "--wait", "sent")
        kept = run("ann", "history", "team").of("message")
        assert [m["id"] for m in kept if m.get("deleted_by") == "you"] == [answer["id"]]
        run.note("listen", ann.seen)
    run("ann", "group", "link", "team", "--delete")
    run("ann", "group", "role", "team", "ben", "observer")
    run("ann", "group", "accept", "team", "ben", code=1)  # nobody waits
    run("ann", "group", "block", "team", "ben")
    run("ann", "group", "members", "team")
    run("ann", "group", "unblock", "team", "ben")
    run("ann", "group", "set", "team", "--name", "two", "--allow", "files=off")
    run("ben", "group", "members", "team")
    run("ann", "contacts")
    with closing(smpchat.home.Home(run.home.folder).open("ann")) as service, service.database.transaction() as tx:
        # What takes an app's owner, or a business.
        group = groups.load(tx, 1)
        assert group is not None
        business = json.dumps(business_params(Business(ChatType.BUSINESS, group.own.id, group.own.id)))
        timed = group.profile.value | {"groupPreferences": {"timedMessages": {"enable": "on", "ttl": 60}}}
        groups.save(tx, 1, group, replace(group, profile=GroupProfile(timed)))
        tx.execute("UPDATE groups SET business = ?, incognito = 'Ocean' WHERE id = 1", (business,))
    run("ann", "groups")
    run("ann", "group", "remove", "team", "ben")
    run("ann", "group", "delete", "team", "--yes")
    run("ben", "group", "leave", "team", code=None)  # he may know that it is over


def _make_rare(home: Home) -> None:
    """What takes a stranger's relay, a thousand requests or a look-alike to come about: put where each leaves it."""
    with closing(smpchat.home.Home(home.folder).open("alice")) as service, service.database.transaction() as tx:
        tx.execute("UPDATE received_requests SET in_turn = 1")
        tx.execute("INSERT INTO turned_away SELECT DISTINCT connection_id, 3, 0 FROM received_requests")
        tx.execute("UPDATE contacts SET resembles = id")


def _doubtful(*request: Any) -> RequestView:
    return replace(_view(*request), relay_refused="an address of this computer", looks_like="bob")


def printers(text: str) -> set[str]:
    """The commands that a page's sentence names."""
    return set(re.findall("`([^`]*)`", text))


def documented(command: str) -> set[str]:
    """Types that a command may print."""
    return {kind.name for kind in TYPES if command in printers(kind.printed_by)}


def test_quiet_leaves_out_notices_and_nothing_else(home: Home) -> None:
    noisy = home.run("bob", "connect", home.invite("alice"))
    assert noisy.errors != ""
    for arguments in (["-q", "connect"], ["connect", "-q"], ["connect", "--quiet"]):
        result = home.run("bob", *arguments, home.invite("alice"), "-m", "x")
        assert (result.code, result.errors) == (0, "")
        assert result.texts() == ["x"]
    failed = home.run("bob", "send", "nobody", "x", "-q")
    assert failed.errors.startswith("There is no contact 'nobody'.")
