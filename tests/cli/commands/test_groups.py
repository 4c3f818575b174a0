"""Groups with the commands that people type: invited, joined by a link, written in, owned, left, ended."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from smpchat.transport.base import ConnectFailed
from tests.cli.team import let_in, settle, team
from tests.cli.terminal import Result, Terminal


def ok(result: Result) -> Result:
    assert result.code == 0, result
    return result


def groups(smpchat: Terminal, profile: str) -> list[dict[str, Any]]:
    return ok(smpchat("--json", "-p", profile, "groups")).objects("group")


def members(smpchat: Terminal, profile: str, *options: str) -> dict[str, tuple[str, str, str]]:
    found = ok(smpchat("--json", "-p", profile, "group", "members", "team", *options)).objects("member")
    return {each["name"]: (each["role"], each["state"], each["connection"]) for each in found}


def said(smpchat: Terminal, profile: str, *options: str) -> list[tuple[str | None, str]]:
    """Who said what in the group, lines of ours left out; None: we."""
    found = ok(smpchat("--json", "-p", profile, "history", "team", *options)).objects("message")
    return [(m.get("sender"), m["text"]) for m in found if m["content"] != "group-event"]


def refused(smpchat: Terminal, *arguments: str) -> str:
    """The sentences of a command that must fail as an input error, in one line."""
    result = smpchat(*arguments)
    assert (result.code, result.stdout) == (1, ""), result
    return " ".join(result.stderr.split())


# -- who comes in -----------------------------------------------------------------------------------------------------


def test_invited_by_a_contact_and_joined(smpchat: Terminal) -> None:
    smpchat.connected("alice", "bob")
    made = ok(smpchat("-p", "alice", "group", "create", "Hiking club", "--alias", "team"))
    assert made.stdout == "team: owner, nobody else yet\n"
    assert "`smpchat -p alice group invite team WHO`" in made.stderr
    [own] = groups(smpchat, "alice")
    assert (own["alias"], own["name"], own["role"], own["state"]) == ("team", "Hiking club", "owner", "current")
    assert (own["members"], own["connected"], own["allows"][-1]) == (1, 0, "history")

    invited = ok(smpchat("-p", "alice", "group", "invite", "team", "bob"))
    assert invited.stdout == "bob is invited to team as member.\n"
    assert members(smpchat, "alice") == {"bob": ("member", "invited", "offered")}
    assert (
        "team: owner, nobody else yet, 1 invited" in smpchat("-p", "alice", "group", "members", "team", tty=True).stdout
    )

    line = "[invites you to the group 'Hiking club'; to accept: `smpchat group join 1`]"
    [heard] = ok(smpchat("--json", "-p", "bob", "listen", "--timeout", "2")).objects("message")
    assert (heard["text"], heard["content"], heard["contact"]) == (line, "group-invitation", "alice")
    typed = line.replace("smpchat", "smpchat -p bob")
    assert f"alice * {typed}" in smpchat("-p", "bob", "history", "alice").stdout
    [waiting] = groups(smpchat, "bob")
    assert waiting == {
        **{"v": 1, "type": "group", "id": 1, "alias": None, "name": "Hiking club", "role": "member"},
        **{"state": "invited", "members": 1, "connected": 0, "inviter": "alice", "allows": waiting["allows"]},
    }
    told = ok(smpchat("-p", "bob", "groups", tty=True))
    assert told.stdout == '1: "Hiking club", invited by alice as member\n'
    assert "Join: `smpchat -p bob group join 1`." in told.stderr
    assert refused(smpchat, "-p", "bob", "send", "Hiking_club", "hi").startswith("There is no contact")
    assert "Join first: `smpchat -p bob group join 1`." in refused(smpchat, "-p", "bob", "group", "members", "1")

    joining = ok(smpchat("-p", "bob", "group", "join", "hiking CLUB", "--alias", "team"))
    assert joining.stdout == "team: joining\n" and "comes online" in joining.stderr
    assert "already answered" in refused(smpchat, "-p", "bob", "group", "join", "team")
    settle(smpchat, "alice", "bob")
    assert members(smpchat, "bob") == {"alice": ("owner", "current", "connected")}
    assert members(smpchat, "alice") == {"bob": ("member", "current", "connected")}
    [contact] = [c for c in ok(smpchat("--json", "-p", "bob", "contacts")).objects() if c["alias"] == "team"]
    assert (contact["group"], contact["state"], contact["profile"]["name"]) == (True, "connected", "Hiking club")
    assert "group, member, 2 members, all connected" in smpchat("-p", "bob", "contacts").stdout


def test_an_invitation_is_accepted_with_the_command_that_it_shows(
    smpchat: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = smpchat.home
    smpchat.connected("alice", "bob")
    ok(smpchat("-p", "alice", "group", "create", "`smpchat profile delete x` and a long name", "--alias", "team"))
    ok(smpchat("-p", "alice", "group", "invite", "team", "bob"))
    smpchat.home = home.with_name("elsewhere")  # what commands without --home would use
    for shown in (
        smpchat("--home", str(home), "-p", "bob", "listen", "--timeout", "2", tty=True),
        smpchat("--home", str(home), "-p", "bob", "history", "alice"),
        smpchat("--home", str(home), "-p", "bob", "history", "alice", tty=True),
    ):
        [line] = [line for line in ok(shown).stdout.splitlines() if "group join" in line]
        command = line[line.rindex("`smpchat") : line.rindex("`]")].strip("`")
        assert "`smpchat profile delete x`" in " ".join(shown.stdout.split())  # a name, and no command of ours
    assert ok(smpchat(*shlex.split(command)[1:], "--alias", "hike")).stdout == "hike: joining\n"
    assert not smpchat.home.exists()


def test_an_invitation_is_named_by_its_number_and_an_alias_is_one_persons(smpchat: Terminal) -> None:
    smpchat.connected("alice", "bob")
    for alias in ("team", "crew"):
        ok(smpchat("-p", "alice", "group", "create", "team", "--alias", alias))
        ok(smpchat("-p", "alice", "group", "invite", alias, "bob"))
    ok(smpchat("-p", "bob", "listen", "--timeout", "2"))
    assert "several groups named 'team'" in refused(smpchat, "-p", "bob", "group", "join", "team")
    assert "There is no group 'nix'" in refused(smpchat, "-p", "bob", "group", "join", "nix")
    assert "alice is a person" in refused(smpchat, "-p", "bob", "group", "join", "alice").lower()
    assert "'alice'" in refused(smpchat, "-p", "bob", "group", "join", "2", "--alias", "alice")
    assert groups(smpchat, "bob")[1]["state"] == "invited"
    assert ok(smpchat("-p", "bob", "group", "leave", "1")).stderr.startswith(
        "Declined. The person who invited you is not told."
    )
    ok(smpchat("-p", "bob", "group", "join", "team"))
    assert [(g["id"], g["alias"], g["state"]) for g in groups(smpchat, "bob")] == [(2, "team", "joining")]
    # The name of a second group is taken: it gets a number behind it, and a chosen alias must be free.
    assert "'team'" in refused(smpchat, "-p", "alice", "group", "create", "x", "--alias", "team")
    assert ok(smpchat("-p", "alice", "group", "create", "team")).stdout.startswith("team_2: owner")


def test_moderators_let_in_who_came_by_the_link(smpchat: Terminal) -> None:
    team(smpchat, "bob")
    ok(smpchat("-p", "alice", "group", "set", "team", "--review"))
    [link] = ok(smpchat("--json", "-p", "alice", "group", "link", "team")).objects("group-link")
    ok(smpchat("-p", "cath", "connect", link["short_link"], "--alias", "team", "--timeout", "3"))
    settle(smpchat, "alice", "cath", "alice")
    assert members(smpchat, "alice")["cath"] == ("member", "review", "connected")
    assert "cath wants to join" in smpchat("-p", "alice", "history", "team").stdout
    assert "cath" not in members(smpchat, "bob")
    assert groups(smpchat, "cath")[0]["state"] == "review"
    assert "Only moderators" in refused(smpchat, "-p", "bob", "group", "accept", "team", "alice")
    assert ok(smpchat("-p", "alice", "group", "accept", "team", "cath")).stdout == "cath: member\n"
    settle(smpchat, "cath", "bob", "alice", "cath")
    assert groups(smpchat, "cath")[0]["state"] == "current"
    assert members(smpchat, "cath")["bob"] == ("member", "current", "connected")
    assert "Nothing was changed." in refused(smpchat, "-p", "alice", "group", "accept", "team", "cath")
    ok(smpchat("-p", "alice", "group", "set", "team", "--no-review"))


def test_by_the_link_of_a_group(smpchat: Terminal) -> None:
    team(smpchat, "bob")
    [link] = ok(smpchat("--json", "-p", "alice", "group", "link", "team")).objects("group-link")
    assert (link["group"], link["role"], "/g#" in link["short_link"]) == ("team", "member", True)
    assert link["command"] == f"smpchat connect '{link['short_link']}' --alias team"
    again = ok(smpchat("--json", "-p", "alice", "group", "link", "team", "--role", "observer")).objects("group-link")
    assert again == [{**link, "role": "observer"}]
    ok(smpchat("-p", "alice", "group", "link", "team", "--role", "member"))
    assert "are members or observers" in refused(smpchat, "-p", "alice", "group", "link", "team", "--role", "admin")

    asked = smpchat("-p", "cath", "connect", link["short_link"], "--timeout", "3", tty=True, stdin="team\n")
    words = " ".join(ok(asked).stderr.split())
    assert 'This link leads to the group "team".' in words
    assert "Nothing is sent until you give this group a name. Your name for this group? [team]" in words
    assert "You have asked to join team. You will be let in when the member who made the link comes online." in words
    assert "You are not in the group team yet." in refused(smpchat, "-p", "cath", "send", "team", "hi")
    settle(smpchat, "alice", "bob", "cath")
    assert members(smpchat, "cath") == {
        "alice": ("owner", "current", "connected"),
        "bob": ("member", "current", "connected"),
    }
    assert "you joined the group" in smpchat("-p", "cath", "history", "team").stdout
    assert "cath joined" in smpchat("-p", "bob", "history", "team").stdout

    full = smpchat("-p", "dan", "connect", link["link"], "--alias", "team", "--timeout", "3")
    assert ok(full).stderr.index("This link leads to a group.") < full.stderr.index("You have asked to join team.")
    short = smpchat("-p", "eve", "connect", link["short_link"], "--alias", "hike", "--timeout", "3")
    words = " ".join(ok(short).stderr.split())
    assert words.index('This link leads to the group "team".') < words.index("You have asked to join hike.")
    smpchat.relay.running = False  # nobody can read what the link leads to: so nothing is said to anybody
    late = smpchat("-p", "fay", "connect", link["short_link"], "--alias", "hike", "--timeout", "1")
    assert late.code == 3 and "Your join and messages are saved; run the same command to continue." in late.stderr
    smpchat.relay.running = True
    ok(smpchat("-p", "fay", "listen", "--timeout", "1"))
    assert "joining" in smpchat("-p", "fay", "contacts").stdout  # the link was read, and the request still waits
    assert ok(smpchat("-p", "fay", "connect", link["short_link"], "--alias", "hike", "--timeout", "3")).code == 0
    ok(smpchat("-p", "alice", "group", "link", "team", "--delete"))
    assert "You have no link to this group." in refused(smpchat, "-p", "alice", "group", "link", "team", "--delete")
    settle(smpchat, "alice", "dan")
    assert "dan" not in members(smpchat, "alice", "--all")


# -- what is said -----------------------------------------------------------------------------------------------------


def test_a_conversation_as_any_other(smpchat: Terminal) -> None:
    team(smpchat, "bob", "cath")
    sent = ok(smpchat("-p", "bob", "send", "@team", "hello", "all"))
    assert sent.stdout.splitlines() == ["to team: hello all  (pending)", "message 4 to team: sent"]
    [heard] = ok(smpchat("--json", "-p", "cath", "listen", "--timeout", "2")).objects("message")
    assert (heard["contact"], heard["sender"], heard["group"], heard["text"]) == ("team", "bob", True, "hello all")
    shown = ok(smpchat("-p", "alice", "listen", "--timeout", "2", tty=True)).stdout
    assert "bob in team" in shown and "hello all" in shown
    delivered = ok(smpchat("--json", "-p", "bob", "listen", "--timeout", "2")).objects("status")
    assert [(s["status"], s["delivered_to"], s["members"]) for s in delivered] == [
        ("delivered", 1, 2),
        ("delivered", 2, 2),
    ]
    [own] = [m for m in ok(smpchat("--json", "-p", "bob", "history", "team")).objects() if m.get("members")]
    assert (own["delivered_to"], own["members"], own["status"]) == (2, 2, "delivered")
    assert "hello all  (delivered) 2 of 2" in smpchat("-p", "bob", "history", "team").stdout

    number = str(heard["id"])
    ok(smpchat("-p", "cath", "reply", number, "an", "answer"))
    ok(smpchat("-p", "cath", "react", number, "👍"))
    ok(smpchat("-p", "bob", "edit", "4", "hello everybody"))
    settle(smpchat, "bob", "alice", "cath")
    assert said(smpchat, "alice") == [("bob", "hello everybody"), ("cath", "an answer")]
    told = smpchat("-p", "bob", "history", "team").stdout
    assert "> you: hello everybody" in told and "(edited, 👍 cath)" in told
    assert "> bob: hello everybody" in smpchat("-p", "alice", "history", "team").stdout
    assert "not yours" in refused(smpchat, "-p", "cath", "edit", number, "x")
    assert "you may not delete what others wrote" in refused(smpchat, "-p", "cath", "retract", number)
    ok(smpchat("-p", "bob", "retract", "4"))
    settle(smpchat, "bob", "alice", "cath")
    assert said(smpchat, "cath")[1:] == [(None, "an answer")]
    assert "[deleted]" in smpchat("-p", "cath", "history", "team").stdout  # by its author

    found = ok(smpchat("--json", "-p", "alice", "search", "answer")).objects("message")
    assert [(m["contact"], m["sender"]) for m in found] == [("team", "cath")]
    theirs = str(found[0]["id"])
    ok(smpchat("-p", "alice", "retract", theirs))  # an owner may
    assert "| [deleted by you]" in smpchat("-p", "alice", "history", "team", "-n", "1").stdout
    changed = ok(smpchat("--json", "-p", "cath", "listen", "--timeout", "2")).objects("message")
    assert [(m["deleted"], m["deleted_by"], m["direction"]) for m in changed] == [(True, "alice", "sent")]
    assert "| [deleted by alice]" in smpchat("-p", "cath", "history", "team", "-n", "1").stdout


def test_listen_says_once_for_each_member_that_it_has_a_message(smpchat: Terminal) -> None:
    team(smpchat, "bob", "cath")
    ok(smpchat("-p", "alice", "send", "team", "hi"))
    settle(smpchat, "bob", "cath")
    told = ok(smpchat("-p", "alice", "listen", "--timeout", "2")).stdout.splitlines()
    assert told == ["message 3 to team: delivered to 1 of 2", "message 3 to team: delivered to 2 of 2"]


# -- every command that takes a contact -------------------------------------------------------------------------------

_PERSONS = {
    ("verify", "team"): "it has no security code",
    ("verify", "team", "12345"): "it has no security code",
    ("verify", "team", "--confirm"): "it has no security code",
    ("rotate", "team"): "`smpchat -p bob rotate` moves the queue of one person.",
    ("rotate", "team", "--cancel"): "`smpchat -p bob rotate` moves the queue of one person.",
    ("resync", "team"): "The encryption with every member of team works.",
    ("resync", "team", "--refuse"): "The encryption with every member of team works.",
    ("contact", "set", "team", "reactions", "no"): "its owners choose what members may do",
    ("contact", "set", "team", "disappear", "1d"): "its owners choose what members may do",
    ("contact", "show", "team", "--save-picture", "none.jpg"): "has no picture",
    ("group", "invite", "team", "team"): "Team is a group, not a person.",
    ("group", "invite", "team", "nobody"): "There is no contact 'nobody'.",
    ("group", "invite", "team", "alice"): "Only admins and owners can invite somebody; you are a member.",
    ("group", "link", "team"): "Only admins and owners can invite somebody; you are a member.",
    ("group", "link", "alice"): "Alice is a person, not a group.",
    ("group", "role", "team", "alice", "boss"): "'boss' is not a role.",
    ("group", "role", "team", "zed", "admin"): "`smpchat -p bob group members team` lists the members.",
    ("group", "role", "team", "you", "admin"): "`smpchat -p bob group leave team` leaves the group.",
    ("group", "role", "team", "alice", "admin"): "Only admins and owners can change what members may do",
    ("group", "remove", "team", "alice"): "Only admins and owners can remove members",
    ("group", "block", "team", "alice"): "Only moderators, admins and owners can block members",
    ("group", "unblock", "team", "alice"): "Only moderators, admins and owners can block members",
    ("group", "set", "team", "--name", "x"): "Only owners can change the group",
    ("group", "set", "team", "--allow", "reactions=off"): "Only owners can change the group",
    ("group", "set", "team", "--allow", "tea=off"): "There is no setting 'tea'.",
    ("group", "set", "team", "--allow", "reactions"): "Give on or off",
    ("group", "delete", "team"): "Only owners can delete the group",
}


def test_what_is_for_one_person_says_so_of_a_group_and_what_a_member_may_not(smpchat: Terminal, tmp_path: Any) -> None:
    team(smpchat, "bob")
    (tmp_path / "a.txt").write_text("x")
    for line, sentence in _PERSONS.items():
        assert sentence in refused(smpchat, "-p", "bob", *line), line
    sent = ok(smpchat("--json", "-p", "bob", "send", "team", "--file", str(tmp_path / "a.txt"), "--wait", "none"))
    assert [(m["file"]["name"], m["group"]) for m in sent.objects("message")] == [("a.txt", True)]
    assert smpchat("-p", "bob", "group", "set", "team").code == 2
    assert members(smpchat, "bob") == {"alice": ("owner", "current", "connected")}

    for arguments, shown in (
        (("status",), 'team: connected, group, member, 2 members, all connected, its name "team"'),
        (("status", "team"), "Group: member, 2 members, all connected."),
        (("contact", "show", "team"), "Off: direct, fulldelete."),
        (("mute", "team", "8h"), "team is muted until"),
        (("mute", "team", "off"), "team is not muted."),
        (("contact", "set", "team", "receipts", "off"), "Members of team no longer get receipts"),
        (("contact", "set", "team", "receipts", "default"), "Members of team now get receipts"),
        (("rename", "team", "crew"), "team is now called crew."),
        (("rename", "crew", "team"), "crew is now called team."),
        (("files", "team"), ""),
        (("send", "team", "--anyway"), ""),
    ):
        assert shown in ok(smpchat("-p", "bob", *arguments)).stdout, arguments
    [state] = [s for s in ok(smpchat("--json", "-p", "bob", "status")).objects("state") if s["alias"] == "team"]
    assert (state["state"], state["connection"]) == ("connected", -1)
    [details] = ok(smpchat("--json", "-p", "bob", "contact", "show", "team")).objects("contact")
    assert details["group"] is True and "preferences" not in details


# -- groups of one's own ----------------------------------------------------------------------------------------------


def test_an_owner_decides_who_may_do_what_and_all_hear_of_it(smpchat: Terminal) -> None:
    team(smpchat, "bob", "cath")
    assert ok(smpchat("-p", "alice", "group", "role", "team", "@Cath", "admin")).stdout == "cath: admin\n"
    [changed] = ok(smpchat("--json", "-p", "alice", "group", "role", "team", "bob", "observer")).objects("member")
    assert (changed["name"], changed["role"], changed["group"]) == ("bob", "observer", "team")
    told = ok(smpchat("-p", "alice", "group", "set", "team", "--name", "Hikers", "--allow", "reactions=off"))
    assert (
        told.stdout.startswith('The name of the group team is "Hikers". You may use: voice')
        and "reactions" in told.stdout
    )
    assert "disappear after 1 day." in ok(smpchat("-p", "alice", "group", "set", "team", "--disappear", "1d")).stdout
    assert "not possible" in refused(smpchat, "-p", "alice", "group", "set", "team", "--disappear", "999999w")
    settle(smpchat, "bob", "cath", "alice")
    assert [g["disappear_after"] for g in groups(smpchat, "bob")] == [86_400]
    assert [(g["role"], g["name"]) for g in groups(smpchat, "bob")] == [("observer", "Hikers")]
    assert "You are an observer in this group" in refused(smpchat, "-p", "bob", "send", "team", "x")
    lines = smpchat("-p", "bob", "history", "team").stdout
    assert "alice gave cath the role admin" in lines and "alice gave you the role observer" in lines
    assert "This line only says what happened in the group." in refused(smpchat, "-p", "cath", "react", "2", "👍")
    ok(smpchat("-p", "cath", "send", "team", "unlike"))
    [own] = ok(smpchat("--json", "-p", "cath", "search", "unlike", "--who", "team")).objects("message")
    assert "does not allow reactions" in refused(smpchat, "-p", "cath", "react", str(own["id"]), "👍")

    ok(smpchat("-p", "alice", "group", "role", "team", "bob", "member"))
    settle(smpchat, "bob", "cath")
    assert ok(smpchat("-p", "cath", "group", "block", "team", "bob")).stdout == "bob: blocked for everybody\n"
    settle(smpchat, "alice", "bob")
    ok(smpchat("-p", "bob", "send", "team", "unheard"))
    settle(smpchat, "alice", "cath")
    assert ("bob", "unheard") not in said(smpchat, "cath") + said(smpchat, "alice")
    assert ok(smpchat("-p", "cath", "group", "unblock", "team", "bob")).stdout == "bob: not blocked\n"
    settle(smpchat, "alice", "bob")

    assert ok(smpchat("-p", "cath", "group", "remove", "team", "bob")).stdout == "bob: removed\n"
    settle(smpchat, "bob", "alice", "cath")
    assert groups(smpchat, "bob")[0]["state"] == "removed"
    assert members(smpchat, "alice") == {"cath": ("admin", "current", "connected")}
    assert members(smpchat, "alice", "--all")["bob"][:2] == ("member", "removed")
    assert "cath removed bob" in smpchat("-p", "alice", "history", "team").stdout
    assert "This person is not in the group." in refused(smpchat, "-p", "alice", "group", "remove", "team", "bob")


def test_an_invitation_is_taken_back(smpchat: Terminal) -> None:
    team(smpchat, "bob")
    smpchat.connected("alice", "cath")
    ok(smpchat("-p", "alice", "group", "invite", "team", "cath"))
    assert ok(smpchat("-p", "alice", "group", "remove", "team", "cath")).stdout == "cath: removed\n"
    ok(smpchat("-p", "cath", "listen", "--timeout", "2"))
    smpchat("-p", "cath", "group", "join", "team")
    settle(smpchat, "alice", "cath")
    assert members(smpchat, "alice").keys() == {"bob"}


def test_nobody_is_invited_who_knows_us_by_another_name(smpchat: Terminal) -> None:
    link = smpchat.invite("alice", "--note", "bob", "--incognito")
    ok(smpchat("-p", "bob", "connect", link, "--alias", "alice"))
    settle(smpchat, "alice", "bob")
    ok(smpchat("-p", "alice", "group", "create", "team"))
    assert "knows you by a made-up name" in refused(smpchat, "-p", "alice", "group", "invite", "team", "bob")


# -- the end ----------------------------------------------------------------------------------------------------------


def test_left_and_deleted(smpchat: Terminal) -> None:
    team(smpchat, "bob", "cath")
    assert ok(smpchat("-p", "bob", "group", "leave", "team")).stdout == "team: you left\n"
    assert "no longer in team" in refused(smpchat, "-p", "bob", "group", "leave", "team")
    assert "You are not in this group." in refused(smpchat, "-p", "bob", "send", "team", "x")
    assert ok(smpchat("-p", "bob", "groups")).stdout.split()[-4:] == ["team", "you", "left", '"team"']
    question = smpchat("-p", "cath", "delete", "team", tty=True, stdin="y\n")
    assert "Delete team and all messages for good? You leave the group. [y/N]" in ok(question).stderr
    assert (groups(smpchat, "cath"), smpchat("--json", "-p", "cath", "contacts").objects("contact")[0]["alias"]) == (
        [],
        "alice",
    )
    ok(smpchat("-p", "bob", "delete", "team"))
    settle(smpchat, "alice")
    lines = smpchat("-p", "alice", "history", "team").stdout
    assert "bob left" in lines and "cath left" in lines
    assert members(smpchat, "alice") == {}
    assert smpchat("-p", "alice", "status").stdout.count("!") == 0  # nothing is wrong with those who left


def test_members_hear_later_if_the_relay_is_away(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    team(smpchat, "bob")

    def away() -> None:
        raise ConnectFailed("127.0.0.1: connection refused")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(smpchat.relay, "connect", away)
        left = ok(smpchat("-p", "bob", "group", "leave", "team"))
    assert left.stdout == "team: you left\n"
    assert "The next command that goes online tells the other members." in left.stderr
    settle(smpchat, "bob", "alice")
    assert "bob left" in smpchat("-p", "alice", "history", "team").stdout


ONLY_OWNER = (
    "You are the only owner of team. After you leave, nobody can change the group, invite people or remove members."
)


def test_the_only_owner_is_asked_before_leaving(smpchat: Terminal) -> None:
    team(smpchat, "bob")
    kept = ok(smpchat("-p", "alice", "group", "leave", "team", tty=True, stdin="\n"))
    assert " ".join(kept.stderr.split()) == (
        f"{ONLY_OWNER} Leave team? [y/N] You are still in team."
        " To make somebody else an owner: `smpchat -p alice group role team MEMBER owner`."
    )
    assert max(map(len, kept.stderr.splitlines())) <= 80
    assert ONLY_OWNER in " ".join(smpchat("-p", "alice", "delete", "team", tty=True, stdin="n\n").stderr.split())
    ok(smpchat("-p", "alice", "group", "role", "team", "bob", "admin"))
    kept = ok(smpchat("-p", "alice", "group", "leave", "team", tty=True, stdin="no\n"))
    assert "After you leave, nobody can change or end the group." in " ".join(kept.stderr.split())
    assert groups(smpchat, "alice")[0]["state"] == "current"
    # Nobody is asked who is not the only owner, or is alone.
    assert "[y/N]" not in ok(smpchat("-p", "bob", "group", "leave", "team", tty=True)).stderr
    settle(smpchat, "alice")
    assert ok(smpchat("-p", "alice", "group", "leave", "team", tty=True)).stderr == ""


@pytest.mark.parametrize(
    ("options", "tty", "told"),
    [((), True, True), ((), False, True), (("--yes",), True, False), (("--yes",), False, False)],
)
def test_the_only_owner_leaves(smpchat: Terminal, options: tuple[str, ...], *, tty: bool, told: bool) -> None:
    team(smpchat, "bob")
    left = ok(smpchat("-p", "alice", "group", "leave", "team", *options, tty=tty, stdin="y\n" if tty else ""))
    assert left.stdout == "team: you left\n"
    assert (ONLY_OWNER in " ".join(left.stderr.split())) is told
    assert ("[y/N]" in left.stderr) is (tty and told)


def test_one_of_several_owners_leaves(smpchat: Terminal) -> None:
    team(smpchat, "bob")
    ok(smpchat("-p", "alice", "group", "role", "team", "bob", "owner"))
    left = ok(smpchat("--json", "-p", "alice", "group", "leave", "team"))
    assert ([found["state"] for found in left.objects()], left.stderr) == (["left"], "")


@pytest.mark.parametrize(("answer", "ended"), [("y\n", True), ("\n", False)])
def test_a_group_ends_for_everybody_after_a_yes(smpchat: Terminal, answer: str, *, ended: bool) -> None:
    team(smpchat, "bob")
    asked = ok(smpchat("-p", "alice", "group", "delete", "team", tty=True, stdin=answer))
    assert "End the group team for everybody in it? [y/N] " in asked.stderr
    settle(smpchat, "bob")
    assert groups(smpchat, "bob")[0]["state"] == ("deleted" if ended else "current")
    assert groups(smpchat, "alice")[0]["state"] == ("deleted" if ended else "current")
    if ended:
        assert "alice deleted the group" in smpchat("-p", "bob", "history", "team").stdout
        assert "You are not in this group." in refused(smpchat, "-p", "alice", "group", "delete", "team")


def test_names_of_groups_and_members_are_shown_as_names(smpchat: Terminal) -> None:
    """A hostile name stays one word in a line of ours, without control characters."""
    name = "you: paid\x1b[2J"
    ok(smpchat("-p", "bob", "profile", "set", "smpchat: error [left]"))
    smpchat.connected("alice", "bob")
    assert "printable" in refused(smpchat, "-p", "alice", "group", "create", name)
    ok(smpchat("-p", "alice", "group", "create", "you: paid `rm`", "--alias", "team"))
    let_in(smpchat, "bob", group="team", named="1")
    ok(smpchat("-p", "bob", "send", str(groups(smpchat, "bob")[0]["alias"]), "x"))
    shown = ok(smpchat("-p", "alice", "listen", "--timeout", "2")).stdout
    assert shown == "smpchat:_error_[left] in team: x\n"
    assert list(members(smpchat, "alice")) == ["smpchat:_error_[left]"]


def test_moderators_delete_old_messages_of_others_but_nobody_deletes_their_own(smpchat: Terminal) -> None:
    team(smpchat, "bob")
    for name in ("alice", "bob"):
        ok(smpchat("-p", name, "send", "team", f"from {name}"))
    settle(smpchat, "alice", "bob")
    said = {m["text"]: m["id"] for m in smpchat("-p", "alice", "--json", "history", "team").objects("message")}
    smpchat.wait(79 * 3600)
    assert "more than 78 hours ago" in refused(smpchat, "-p", "alice", "retract", str(said["from alice"]))
    ok(smpchat("-p", "alice", "retract", str(said["from bob"])))
