"""An invitation is *not used* as of some moment: who was not online since cannot know (a link is used without them)."""

from __future__ import annotations

from pathlib import Path

from smpchat.agent.store import visits
from smpchat.agent.store.database import Database
from smpchat.agent.store.schema import AGENT_MIGRATIONS
from smpchat.cli.times import iso
from tests.cli.terminal import START, Terminal


def unused(smpchat: Terminal) -> str:
    [line] = [line for line in smpchat("-p", "alice", "status").stdout.splitlines() if line.startswith("Invitation")]
    return line


def as_of(smpchat: Terminal) -> str:
    [invitation] = smpchat("--json", "-p", "alice", "status").objects("invitation")
    return str(invitation["as_of"])


def test_a_link_used_while_nobody_listened_is_not_called_unused(smpchat: Terminal) -> None:
    link = smpchat.invite("alice", "--note", "bob")
    ended = smpchat.now()
    smpchat.wait(3 * 3600.0)
    assert smpchat("-p", "bob", "connect", link, "--alias", "alice").code == 0
    assert unused(smpchat) == "Invitation 1 for bob, not used when you were last online, 14 Nov 22:13:"
    assert as_of(smpchat) == iso(ended)
    assert smpchat("-p", "alice", "listen", "--timeout", "3").code == 0
    assert not smpchat("--json", "-p", "alice", "status").objects("invitation")


def test_listening_again_makes_it_known_until_then(smpchat: Terminal) -> None:
    smpchat.connected("alice", "eve")  # a bystander at the same relay
    smpchat.invite("alice", "--note", "bob")
    smpchat.wait(86_400.0)
    assert smpchat("-p", "alice", "listen", "--timeout", "3").code == 0
    assert as_of(smpchat) == iso(smpchat.now())
    smpchat.wait(60.0)
    assert unused(smpchat).endswith("not used when you were last online, 22:13:")


def test_an_unreached_relay_tells_nothing(smpchat: Terminal) -> None:
    smpchat.invite("alice", "--note", "bob")
    known = as_of(smpchat)
    smpchat.relay.running = False
    smpchat.wait(3600.0)
    assert smpchat("-p", "alice", "listen", "--timeout", "30").code == 0
    assert as_of(smpchat) == known, "online, but not at the relay"


def test_while_a_process_listens_nothing_is_out_of_date(smpchat: Terminal) -> None:
    smpchat.invite("alice", "--note", "bob")

    with smpchat.service("alice") as service:
        from smpchat.chat.store.lock import online_lock

        with service.database.transaction() as tx:
            visits.arrived(tx, str(smpchat.relay.server), START)
        lock = online_lock(service.folder)
        assert lock.take()
        try:
            smpchat.wait(7200.0)
            assert unused(smpchat).endswith("not used yet:")
            assert as_of(smpchat) == iso(smpchat.now())
        finally:
            lock.release()


def test_who_was_killed_knows_only_when_the_visit_began(tmp_path: Path) -> None:
    database = Database(tmp_path / "profile.db", {"agent": AGENT_MIGRATIONS})
    with database.transaction() as tx:
        visits.arrived(tx, "relay", 100.0)
    assert visits.latest(database.connection, "relay", 900.0, online=True) == 900.0
    assert visits.latest(database.connection, "relay", 900.0, online=False) == 100.0
    with database.transaction() as tx:
        visits.end_of_killed(tx)
    assert visits.latest(database.connection, "relay", 900.0, online=True) == 100.0, "another process, not there yet"
    assert visits.latest(database.connection, "other", 900.0, online=True) is None
    database.close()
