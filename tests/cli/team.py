"""A group of profiles of one home, made with the commands that people type."""

from __future__ import annotations

from tests.cli.terminal import Terminal

_ROUNDS = 6


def settle(smpchat: Terminal, *profiles: str) -> None:
    """Everybody is online in turn until nothing new comes of it."""
    for _ in range(_ROUNDS):
        for profile in profiles:
            assert smpchat("-p", profile, "listen", "--timeout", "2").code == 0


def let_in(smpchat: Terminal, *names: str, owner: str = "alice", group: str = "team", named: str | None = None) -> None:
    """Contacts of the owner are invited and join, one after the other.

    Args:
        named: What they call the invitation; the group's alias if None.
    """
    inside = [owner]
    for name in names:
        invited = smpchat("-p", owner, "group", "invite", group, name)
        assert invited.code == 0, invited
        assert smpchat("-p", name, "listen", "--timeout", "2").code == 0
        joined = smpchat("-p", name, "group", "join", named or group)
        assert joined.code == 0, joined
        inside.append(name)
        settle(smpchat, *inside)


def team(smpchat: Terminal, *names: str, owner: str = "alice") -> None:
    """The owner's group *team*, in which all are connected with all, and everything is shown."""
    for name in names:
        smpchat.connected(owner, name)
    assert smpchat("-p", owner, "group", "create", "team").code == 0
    let_in(smpchat, *names, owner=owner)
