"""``contact``, ``profile set`` and the texts of ``address``: what is printed, refused, stored and told to contacts."""

from __future__ import annotations

import base64
import stat
import sys
from pathlib import Path

import pytest

from tests.cli.terminal import FakeTerminal, Terminal
from tests.cli.test_hostile_text import harmless

JPEG = b"\xff\xd8\xff\xe0 a small picture"


@pytest.fixture
def friends(smpchat: Terminal) -> Terminal:
    """Alice and Bob are connected."""
    smpchat.connected()
    return smpchat


def catch_up(smpchat: Terminal, who: str) -> None:
    assert smpchat("-p", who, "-q", "listen", "--timeout", "2").code == 0


class TestContact:
    def test_all_about_a_contact(self, friends: Terminal) -> None:
        shown = friends("-p", "alice", "contact", "show", "bob")
        assert shown.code == 0
        lines = shown.stdout.splitlines()
        assert lines[0] == 'bob: connected, profile name "bob"'
        assert "Security code: not compared yet" in lines
        assert [line.split() for line in lines if line.startswith("Reactions")] == [["Reactions", "yes", "yes", "on"]]
        assert [line.split()[-1] for line in lines if line.startswith("Calls")] == ["off"]

    def test_as_an_object(self, friends: Terminal) -> None:
        [contact] = friends("--json", "-p", "alice", "contact", "show", "bob").objects()
        assert contact["type"] == "contact" and contact["alias"] == "bob"
        assert contact["preferences"]["reactions"] == {"ours": "yes", "theirs": "yes", "by_us": True, "by_them": True}
        assert contact["preferences"]["calls"]["by_us"] is False
        assert "disappear_after" not in contact

    def test_messages_disappear_from_now_on(self, friends: Terminal) -> None:
        said = friends("-p", "alice", "contact", "set", "bob", "disappear", "1h")
        assert (said.code, said.stdout) == (0, "Messages with bob disappear 1 hour after they are shown.\n")
        catch_up(friends, "bob")
        [contact] = friends("--json", "-p", "bob", "contact", "show", "alice").objects()
        assert contact["disappear_after"] == 3600
        sent = friends("-p", "bob", "send", "alice", "soon gone")
        assert "soon gone" in sent.stdout and "disappears after 1 hour" in sent.stdout
        [heard] = friends("--json", "-p", "alice", "listen", "--count", "1", "--timeout", "5").objects("message")
        assert heard["ttl"] == 3600 and "expires_at" not in heard
        [shown] = friends("--json", "-p", "alice", "history", "bob", "--search", "soon gone").objects("message")
        assert shown["expires_at"] > shown["sent_at"]
        assert "until" in friends("-p", "alice", "history", "bob", "--search", "soon gone").stdout
        friends.wait(3600)
        for who, other in (("alice", "bob"), ("bob", "alice")):
            assert friends("-p", who, "history", other, "--search", "soon gone").stdout == ""

    def test_and_stay_again(self, friends: Terminal) -> None:
        friends("-p", "alice", "contact", "set", "bob", "disappear", "1d")
        said = friends("-p", "alice", "contact", "set", "bob", "disappear", "off")
        assert said.stdout == "Messages with bob do not disappear.\n"
        catch_up(friends, "bob")
        said = friends("-p", "bob", "contact", "set", "alice", "disappear", "2w")
        assert said.stdout == "alice does not allow disappearing messages, so messages stay.\n"

    def test_a_reaction_that_is_not_allowed_is_refused_with_a_sentence(self, friends: Terminal) -> None:
        said = friends("-p", "alice", "contact", "set", "bob", "reactions", "no")
        assert said.stdout == "Reactions: off, because you do not allow them.\n"
        friends("-p", "alice", "send", "bob", "hello")
        heard = friends("--json", "-p", "bob", "listen", "--count", "2", "--timeout", "5").objects("message")
        assert [message["text"] for message in heard] == ["[no longer allows reactions]", "hello"]
        message = heard[-1]
        refused = friends("-p", "bob", "react", str(message["id"]), "\U0001f44d")
        assert refused.code == 1
        assert refused.stderr.startswith("Nothing was sent: alice does not allow reactions.\n")

    def test_what_both_allow_to_delete_leaves_nothing(self, friends: Terminal) -> None:
        friends("-p", "alice", "contact", "set", "bob", "fulldelete", "always")
        catch_up(friends, "bob")
        [sent, *_] = friends("--json", "-p", "bob", "send", "alice", "oops").objects("message")
        catch_up(friends, "alice")
        taken_back = friends("--json", "-p", "bob", "retract", str(sent["id"]))
        assert taken_back.code == 0
        [message] = taken_back.objects("message")
        assert (message["id"], message["text"], message["deleted"]) == (sent["id"], "", True)
        assert "oops" not in friends("-p", "bob", "history", "alice").stdout
        [told] = friends("--json", "-p", "alice", "listen", "--timeout", "2").objects("message")
        assert (told["text"], told["deleted"]) == ("", True)
        for who, other in (("alice", "bob"), ("bob", "alice")):
            assert not any(m.get("deleted") for m in friends("--json", "-p", who, "history", other).objects("message"))

    @pytest.mark.parametrize(
        "arguments",
        [["noses", "yes"], ["reactions", "maybe"], ["disappear", "soon"], ["disappear", "0d"], ["voice", ""]],
    )
    def test_what_cannot_be_set_is_said(self, friends: Terminal, arguments: list[str]) -> None:
        result = friends("-p", "alice", "contact", "set", "bob", *arguments)
        assert (result.code, result.stdout) == (1, "")
        assert len(result.stderr.splitlines()) == 2

    def test_nobody_of_that_name(self, friends: Terminal) -> None:
        for arguments in (["show", "zoe"], ["set", "zoe", "reactions", "no"]):
            assert friends("-p", "alice", "contact", *arguments).code == 1


class TestProfile:
    def test_what_is_changed_reaches_contacts(self, friends: Terminal, tmp_path: Path) -> None:
        (tmp_path / "me.jpg").write_bytes(JPEG)
        set_ = friends(
            "-p", "bob", "profile", "set", "Robert", "--description", "climbs", "--picture", str(tmp_path / "me.jpg")
        )
        assert (set_.code, set_.stdout) == (0, "* bob: Robert\n  climbs\n  with a picture\n")
        heard = friends("--json", "-p", "alice", "listen", "--timeout", "2").objects("contact")
        assert [(c["alias"], c["profile"]["name"], c["description"], c["picture"]) for c in heard] == [
            ("bob", "Robert", "climbs", True)
        ]
        shown = friends("-p", "alice", "contact", "show", "bob").stdout
        assert 'bob: connected, post-quantum, profile name "Robert"' in shown and "About: climbs" in shown
        saved = tmp_path / "bob.jpg"
        result = friends("-p", "alice", "contact", "show", "bob", "--save-picture", str(saved))
        assert result.code == 0 and saved.read_bytes() == JPEG
        assert stat.S_IMODE(saved.stat().st_mode) == 0o600
        again = friends("-p", "alice", "contact", "show", "bob", "--save-picture", str(saved))
        assert (again.code, again.stdout) == (1, "") and "Cannot write" in again.stderr
        [profile] = friends("--json", "-p", "bob", "profile", "show").objects()
        assert (profile["description"], profile["picture"]) == ("climbs", True)
        [profile] = friends("--json", "-p", "bob", "profile", "set", "--no-picture", "--description", "").objects()
        assert "picture" not in profile and "description" not in profile and profile["display_name"] == "Robert"

    def test_what_everybody_may_do(self, friends: Terminal) -> None:
        assert friends("-p", "alice", "profile", "set", "--allow", "reactions=no").code == 0
        catch_up(friends, "bob")
        [contact] = friends("--json", "-p", "bob", "contact", "show", "alice").objects()
        assert contact["preferences"]["reactions"]["theirs"] == "no"

    def test_what_is_no_picture_is_refused(self, smpchat: Terminal, tmp_path: Path) -> None:
        for name, content in (("a.gif", b"GIF89a"), ("big.jpg", JPEG + bytes(20_000)), ("empty", b"")):
            (tmp_path / name).write_bytes(content)
            result = smpchat("profile", "set", "Alice", "--picture", str(tmp_path / name))
            assert (result.code, result.stdout) == (1, ""), name
        assert smpchat("profile", "set", "--picture", str(tmp_path / "nowhere.jpg")).code == 1
        assert "Alice" not in smpchat("profile", "show").stdout

    def test_something_must_be_said(self, smpchat: Terminal, tmp_path: Path) -> None:
        assert smpchat("profile", "set").code == 2
        assert smpchat("profile", "set", "--picture", "a", "--no-picture").code == 2
        assert smpchat("profile", "set", "--allow", "noses=yes").code == 1
        muted = smpchat("profile", "set", "--allow", "mute=on")
        assert muted.code == 1
        assert muted.stderr == "Mute cannot be set for all contacts.\nFor one contact: `smpchat mute WHO`.\n"

    def test_what_a_contact_says_of_itself_is_harmless(self, friends: Terminal) -> None:
        """What `profile set` refuses, another program may send."""
        from smpchat.chat.store import profiles, records
        from smpchat.chat.wire.profile import Profile
        from smpchat.home import Home

        service = Home(friends.home).open("alice")
        with service.database.transaction() as tx:
            uri = f"data:image/png;base64,{base64.b64encode(b'<script>').decode()}"
            evil = Profile("Bob\x1b[2J", "full\nname\x07", "[red]about\x1b]0;x\x07", uri)
            profiles.save(tx, records.contact(tx, "bob").id, evil)
        service.close()
        shown = friends("-p", "alice", "contact", "show", "bob")
        assert shown.code == 0
        harmless(shown.stdout)
        refused = friends("-p", "alice", "contact", "show", "bob", "--save-picture", str(friends.home / "bob.png"))
        assert refused.code == 1 and not (friends.home / "bob.png").exists()


class TestAddress:
    def test_texts_are_set_shown_and_removed(self, smpchat: Terminal) -> None:
        made = smpchat("-p", "alice", "address", "create", "--welcome", "Who are you?", "--auto-reply", "Back soon.")
        assert made.code == 0
        assert "Welcome text: Who are you?" in made.stdout and "Automatic reply: Back soon." in made.stdout
        [address] = smpchat("--json", "-p", "alice", "address", "set", "--welcome", "", "--auto-accept").objects()
        assert "welcome" not in address
        assert (address["auto_reply"], address["auto_accept"]) == ("Back soon.", True)
        assert smpchat("-p", "alice", "address", "set").code == 2
        assert smpchat("-p", "alice", "address", "set", "--welcome", "a" * 5_001).code == 1

    def test_the_welcome_is_read_before_one_connects(self, smpchat: Terminal) -> None:
        [address] = smpchat(
            "--json", "-p", "alice", "address", "create", "--welcome", "Welcome, *dear* guest"
        ).objects()
        seen: list[str] = []

        class Reading(FakeTerminal):
            def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
                assert isinstance(sys.stdout, FakeTerminal)
                seen.append(sys.stdout.getvalue())
                return "alice\n"

        smpchat.stdin = Reading
        asked = smpchat("-p", "bob", "connect", address["short_link"], tty=True)
        assert asked.code == 0
        assert len(seen) == 1 and "Welcome, \x1b[1mdear\x1b[0m guest" in seen[0]
        assert smpchat("--json", "-p", "bob", "listen", "--timeout", "1").objects("message") == []
        [kept] = smpchat("--json", "-p", "bob", "history", "alice").objects("message")
        assert (kept["direction"], kept["text"]) == ("received", "Welcome, *dear* guest")

    def test_with_an_alias_it_is_shown_too(self, smpchat: Terminal) -> None:
        [address] = smpchat("--json", "-p", "alice", "address", "create", "--welcome", "Welcome").objects()
        asked = smpchat("--json", "-p", "bob", "connect", address["short_link"], "--alias", "alice", "-m", "hi")
        assert [m["text"] for m in asked.objects("message")] == ["Welcome", "hi"]
