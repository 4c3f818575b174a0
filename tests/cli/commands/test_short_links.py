"""`invite` and `connect` with short links: what is printed first, the name in the link, the question, the QR code."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from smpchat.agent.wire.presets import PRESET_SERVERS
from smpchat.agent.wire.short_links import ShortInvitation, format_short_link, shorten
from smpchat.cli.environment import Environment
from smpchat.cli.qr import show_qr
from smpchat.encoding.record import replace
from smpchat.protocol.commands import BrokerMessage, Lnk, Send
from smpchat.protocol.version import VersionRange
from tests.cli.terminal import FakeTerminal, InterruptedTerminal, Terminal


def short_link(smpchat: Terminal, *options: str) -> str:
    """The short link of a new invitation of Alice's."""
    result = smpchat("--json", "-p", "alice", "invite", "--no-wait", *options)
    assert result.code == 0, result
    return str(result.objects("invitation")[0]["short_link"])


def sent(smpchat: Terminal) -> int:
    return sum(isinstance(command, Send) for command in smpchat.relay.commands)


class TestInvite:
    def test_the_short_link_comes_first_and_is_in_the_command(self, smpchat: Terminal) -> None:
        lines = smpchat("-p", "alice", "invite", "--no-wait").stdout.splitlines()
        assert lines[0].startswith("simplex:/i#")
        assert f"  smpchat connect '{lines[0]}' --alias alice" in lines
        assert lines[-2].startswith("simplex:/invitation#") and "full link:" in lines[-4]

    def test_on_a_terminal_the_long_one_is_left_to_status(self, smpchat: Terminal) -> None:
        shown = smpchat("-p", "alice", "invite", "--no-wait", tty=True).stdout
        assert shown.startswith("simplex:/i#")
        assert "simplex:/invitation#" not in shown and "full link: `smpchat -p alice status` shows it." in shown
        assert "\nsimplex:/invitation#" in smpchat("-p", "alice", "status", tty=True).stdout

    def test_scripts_get_both_and_status_shows_both_again(self, smpchat: Terminal) -> None:
        [made] = smpchat("--json", "-p", "alice", "invite", "--no-wait").objects("invitation")
        assert made["link"].startswith("simplex:/invitation#") and made["short_link"] in made["command"]
        assert smpchat("--json", "-p", "alice", "status").objects("invitation") == [made]
        assert made["short_link"] in smpchat("-p", "alice", "status").stdout

    def test_cancelled_by_its_short_link(self, smpchat: Terminal) -> None:
        assert smpchat("-p", "alice", "delete", short_link(smpchat)).code == 0
        assert smpchat("--json", "-p", "alice", "status").objects("invitation") == []

    @pytest.mark.parametrize("variant", ["three-step", "standard"])
    def test_why_there_is_none_is_said_once(self, smpchat: Terminal, variant: str) -> None:
        result = smpchat("-p", "alice", "invite", "--no-wait", "--handshake", variant)
        assert result.stdout.startswith("simplex:/invitation#") and "in full" not in result.stdout
        assert result.stderr.count(f"the {variant} handshake does not support short links") == 1

    def test_a_relay_below_version_15_has_none(self, smpchat: Terminal) -> None:
        smpchat.relay.restrict(VersionRange(6, 14))
        result = smpchat("--json", "-p", "alice", "invite", "--no-wait")
        assert "short_link" not in result.objects("invitation")[0]
        assert result.stderr.count("the relay does not support short links") == 1


class TestConnect:
    def test_the_name_in_the_link_becomes_the_alias_where_nobody_can_be_asked(self, smpchat: Terminal) -> None:
        result = smpchat("--json", "-p", "bob", "connect", short_link(smpchat), "-m", "hi")
        assert result.code == 0
        assert {state["alias"] for state in result.objects("state")} == {"alice"}
        assert [message["contact"] for message in result.objects("message")] == ["alice"]
        assert "The contact's alias is alice. `smpchat -p bob rename alice ALIAS` changes it." in result.stderr

    def test_with_an_alias_the_name_is_told(self, smpchat: Terminal) -> None:
        result = smpchat("-p", "bob", "connect", short_link(smpchat), "--alias", "friend")
        assert result.code == 0 and 'The person who made this link uses the name "alice".' in result.stderr
        assert "The contact's alias is" not in result.stderr

    def test_the_name_is_made_harmless(self, smpchat: Terminal) -> None:
        with smpchat.service("alice") as alice:
            alice.set_profile("e\u0301vil [red]")
        result = smpchat("-p", "bob", "connect", short_link(smpchat), tty=True)
        assert result.code == 0 and 'uses the name "évil [red]".' in result.stderr
        assert "Your name for this contact? [évil_[red]]" in result.stderr

    def test_the_question_comes_between_reading_and_sending(self, smpchat: Terminal) -> None:
        link = short_link(smpchat)
        before: list[int] = []

        class Typing(FakeTerminal):
            def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
                before.append(sent(smpchat))
                return "\n"

        smpchat.stdin = Typing
        result = smpchat("-p", "bob", "connect", link, "-m", "hi", tty=True)
        assert result.code == 0 and before == [0] and sent(smpchat) == 2
        told = re.sub(r"\s+", " ", result.stderr)
        assert (
            "The link is reserved for you. Your profile is sent once you have named this contact."
            " Your name for this contact? [alice]"
        ) in told

    def test_it_is_asked_until_the_answer_can_be_used(self, smpchat: Terminal) -> None:
        smpchat("-p", "bob", "connect", smpchat.invite("alice"), "--alias", "taken")
        result = smpchat("-p", "bob", "connect", short_link(smpchat), stdin="-no\ntaken\nmy friend\n", tty=True)
        assert result.code == 0 and result.stderr.count("Your name for this contact? [alice]") == 3
        assert "Ready: you can write to my_friend now." in result.stderr

    def test_at_the_end_of_input_the_offer_is_taken(self, smpchat: Terminal) -> None:
        result = smpchat("-p", "bob", "connect", short_link(smpchat), tty=True)
        assert result.code == 0
        assert [c["alias"] for c in smpchat("--json", "-p", "bob", "contacts").objects()] == ["alice"]

    def test_a_question_left_open_is_asked_again_by_the_same_command(self, smpchat: Terminal) -> None:
        link = short_link(smpchat)
        smpchat.stdin = InterruptedTerminal
        result = smpchat("-p", "bob", "connect", link, "-m", "hi", tty=True)
        assert result.code == 130 and "run the same command to continue" in re.sub(r"\s+", " ", result.stderr)
        assert "so nothing was sent" in smpchat("-p", "bob", "status").stderr
        assert sent(smpchat) == 0
        smpchat.stdin = FakeTerminal
        result = smpchat("-p", "bob", "connect", link, "-m", "hi", stdin="friend\n", tty=True)
        assert result.code == 0 and "[alice]" in result.stderr
        assert smpchat("--json", "-p", "bob", "history", "friend").stdout.count('"hi"') == 1

    @pytest.mark.parametrize("tty", [True, False])
    def test_a_relay_that_cannot_be_reached_keeps_the_join(self, smpchat: Terminal, tty: bool) -> None:
        link = short_link(smpchat)
        smpchat.relay.running = False
        result = smpchat("-p", "bob", "connect", link, "-m", "hi", tty=tty)
        assert result.code == 3
        assert ("run the same command to continue" in re.sub(r"\s+", " ", result.stderr)) is tty
        assert smpchat("--json", "-p", "bob", "contacts").objects("contact")[0]["alias"] == "contact"
        smpchat.relay.running = True
        result = smpchat("-p", "bob", "connect", link, "-m", "hi", tty=True)
        if tty:
            assert result.code == 0
        else:
            assert result.code == 1 and "'contact'" in result.stderr, "it goes on by itself"

    def test_ctrl_c_while_the_link_is_read_keeps_the_join(self, smpchat: Terminal) -> None:
        link = short_link(smpchat)

        async def interrupt() -> None:
            main = next(task for task in asyncio.all_tasks() if task.get_name() == "command")
            await asyncio.sleep(0.01)
            main.cancel()

        result = smpchat("-p", "bob", "connect", link, tty=True, meanwhile=interrupt)
        assert result.code == 130 and "run the same command to continue" in re.sub(r"\s+", " ", result.stderr)
        assert smpchat("-p", "bob", "connect", link, tty=True).code == 0

    def test_changed_data_is_a_verification_failure(self, smpchat: Terminal) -> None:
        link = short_link(smpchat)

        def changed(message: BrokerMessage) -> BrokerMessage:
            return Lnk(message.sender_id, message.fixed[::-1], message.user) if isinstance(message, Lnk) else message

        smpchat.relay.rewrite = changed
        for tty in (False, True):
            result = smpchat("-p", "bob", "connect", link, "--alias", "alice", tty=tty)
            assert result.code == (5 if not tty else 1)
            if not tty:
                assert "does not decrypt the data" in result.stderr and "Ask for a new link" in result.stderr
        asked = smpchat("-p", "carol", "connect", short_link(smpchat), tty=True)
        assert asked.code == 5 and "Your name for this contact?" not in asked.stderr, "there is nobody to name"

    def test_a_used_link_ends_like_a_used_full_one(self, smpchat: Terminal) -> None:
        link = short_link(smpchat)
        assert smpchat("-p", "bob", "connect", link, "--alias", "alice").code == 0
        result = smpchat("-p", "carol", "connect", link, "--alias", "alice")
        assert result.code == 4 and "This invitation was already used or was deleted." in result.stderr

    def test_the_short_form_of_a_link_used_in_full_is_not_called_somebody_elses_doing(self, smpchat: Terminal) -> None:
        [made] = smpchat("--json", "-p", "alice", "invite", "--no-wait").objects("invitation")
        assert smpchat("-p", "bob", "connect", made["link"], "--alias", "alice").code == 0
        result = smpchat("-p", "bob", "connect", made["short_link"], "--alias", "again")
        assert result.code == 4
        said = re.sub(r"\s+", " ", result.stderr)
        assert "if this is the short form of one of them, write to that contact." in said


# -- the QR code ------------------------------------------------------------------------------------------------------


def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: str) -> list[str]:
    """Lines of the code of a link on a terminal of 80 columns and 24 lines; none if it does not fit."""
    out = FakeTerminal()
    monkeypatch.setattr(sys, "stdout", out)
    show_qr(Environment(tmp_path, "alice"), link, tmp_path / "code.png")
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in out.getvalue().splitlines()]
    return [line for line in lines if line]


def test_the_code_of_a_link_to_a_relay_that_apps_know_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for server in PRESET_SERVERS:
        link = format_short_link(shorten(ShortInvitation(server, b"\xff" * 24, b"\xff" * 32)))
        lines = drawn(tmp_path, monkeypatch, link)
        size = (41, 21) if len(link) <= 106 else (45, 23)
        assert ({len(line) for line in lines}, len(lines)) == ({size[0]}, size[1])
    assert not (tmp_path / "code.png").exists()


def test_that_of_another_relay_is_two_lines_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = replace(PRESET_SERVERS[0], hosts=PRESET_SERVERS[0].hosts[:1])
    own = ShortInvitation(server, bytes(24), bytes(32), web=False)
    assert drawn(tmp_path, monkeypatch, format_short_link(own)) == []
    assert (tmp_path / "code.png").exists()
    monkeypatch.setenv("LINES", "26")
    assert len(drawn(tmp_path, monkeypatch, format_short_link(own))) == 25
