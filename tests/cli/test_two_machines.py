"""Two computers: what is lost if both use one profile, and relays that only one of them reaches."""

from __future__ import annotations

import shutil

from smpchat.encoding.record import replace
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


def test_connect_says_if_no_answer_can_come(smpchat: Terminal) -> None:
    """The link's relay is elsewhere, and its maker too, perhaps: nobody there reaches a relay at 127.0.0.1."""
    elsewhere = str(replace(smpchat.relay.server, hosts=("192.0.2.1",)))
    smpchat("-p", "alice", "server", "use", elsewhere)
    said = smpchat("-p", "bob", "connect", smpchat.invite("alice"), "--alias", "alice", "-m", "hi")
    assert said.code == 0
    assert "alice can answer only from this computer, because your own relay runs here." in said.stderr
    assert "`smpchat -p bob server use simplex`" in said.stderr
    smpchat("-p", "carol", "server", "use", elsewhere)
    for link in (smpchat.invite("alice"), smpchat.invite("dave")):  # at a relay elsewhere, and at one here
        said = smpchat("-p", "carol", "connect", link)
        assert said.code == 0 and "can answer only" not in said.stderr
    said = smpchat("-p", "bob", "connect", smpchat.invite("dave"), "--alias", "dave")
    assert said.code == 0 and "can answer only" not in said.stderr, "both relays are here"
