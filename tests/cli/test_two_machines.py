"""One profile used on two machines: what is lost by it, the other side is told."""

from __future__ import annotations

import shutil

from tests.cli.terminal import Terminal


def test_the_contact_is_told_of_the_text_that_it_cannot_read(smpchat: Terminal) -> None:
    smpchat.connected("alice", "bob")
    smpchat.connected("alice", "carol")
    profiles = smpchat.home / "profiles"
    shutil.copytree(profiles / "bob", profiles / "bob_elsewhere")
    assert smpchat("-p", "bob", "send", "alice", "from here").code == 0
    assert smpchat("-p", "bob_elsewhere", "send", "alice", "from there").code == 0
    assert smpchat("-p", "carol", "send", "alice", "and me").code == 0
    heard = smpchat("--json", "-p", "alice", "listen", "--timeout", "9")
    assert sorted(m["text"] for m in heard.objects("message")) == ["and me", "from here"]
    [told] = [n for n in heard.objects("notice") if n["contact"] == "bob"]
    assert told["kind"] == "unreadable", told
    [stays] = [n for n in smpchat("--json", "-p", "alice", "history", "bob").objects("notice")]
    assert stays["text"] == told["text"]
    # What the other machine writes next opens: the chain of hashes says that it does not follow.
    assert smpchat("-p", "bob_elsewhere", "send", "alice", "once more").code == 0
    later = smpchat("--json", "-p", "alice", "listen", "--timeout", "9")
    assert [m["text"] for m in later.objects("message")] == ["once more"]
    assert [n["kind"] for n in later.objects("notice")] == ["messages-lost"]
