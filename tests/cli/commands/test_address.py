"""``address``, ``requests``, ``accept``, ``reject``, and `connect` with an address: output and exit statuses."""

from __future__ import annotations

import json
import re

import pytest

from smpchat.chat.store.settings import save_setting
from smpchat.chat.wire.profile import Profile
from smpchat.protocol.commands import Send
from tests.cli.terminal import FakeTerminal, InterruptedTerminal, Terminal
from tests.cli.test_hostile_text import ATTACKS, _without_styles, harmless, stored


@pytest.fixture
def link(smpchat: Terminal) -> str:
    """Alice's short link."""
    result = smpchat("--json", "-p", "alice", "address", "create")
    assert result.code == 0
    [address] = result.objects()
    return str(address["short_link"])


def test_an_address_is_printed_short_link_first_with_the_command_for_others(smpchat: Terminal, link: str) -> None:
    result = smpchat("-p", "alice", "address", "show")
    assert result.code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == link
    [full] = [line for line in lines if line.startswith("simplex:/contact#/?")]
    assert f"  smpchat connect '{link}' --alias alice" in lines
    assert "No requests waiting." in result.stdout
    [address] = smpchat("--json", "-p", "alice", "address", "show").objects()
    assert (address["type"], address["link"], address["short_link"]) == ("address", full, link)
    assert (address["auto_accept"], address["requests"]) == (False, 0)


def test_a_terminal_gets_a_qr_code_of_the_short_link(smpchat: Terminal, link: str) -> None:
    shown = _without_styles(smpchat("-p", "alice", "address", "show", tty=True).stdout)
    assert "█" in shown or "▀" in shown or (smpchat.home / "profiles" / "alice" / "address.png").exists()
    assert "█" not in smpchat("-p", "alice", "address", "show", "--no-qr", tty=True).stdout


def test_accepting_at_once_can_be_changed_later(smpchat: Terminal, link: str) -> None:
    [address] = smpchat("--json", "-p", "alice", "address", "create", "--auto-accept").objects()
    assert (address["short_link"], address["auto_accept"]) == (link, True)
    [address] = smpchat("--json", "-p", "alice", "address", "create", "--no-auto-accept").objects()
    assert not address["auto_accept"]


@pytest.mark.parametrize("options", [(), ("--server", f"smp://{'A' * 43}@other.test", "--auto-accept")])
def test_a_second_address_is_refused(smpchat: Terminal, link: str, options: tuple[str, ...]) -> None:
    result = smpchat("--json", "-p", "alice", "address", "create", *options)
    assert result.code == 1
    assert "already" in result.objects("error")[0]["message"]


@pytest.mark.parametrize("command", ["show", "delete"])
def test_no_address_is_said(smpchat: Terminal, command: str) -> None:
    result = smpchat("-p", "alice", "address", command)
    assert (result.code, result.stdout) == (1, "")
    assert result.stderr.startswith("You have no contact address.\n")


def test_no_requests_are_no_lines(smpchat: Terminal, link: str) -> None:
    for profile in ("alice", "nobody"):
        assert smpchat("-p", profile, "requests").stdout == ""


def test_from_the_request_to_the_first_answer(smpchat: Terminal, link: str) -> None:
    asked = smpchat("--json", "-p", "bob", "connect", link, "--alias", "alice", "-m", "hello", "-m", "more")
    assert asked.code == 0
    assert [(s["state"], s["step"], s["variant"]) for s in asked.objects("state")][-1] == ("ready", 2, None)
    assert [(m["text"], m["status"]) for m in asked.objects("message")] == [("hello", "sent"), ("more", "pending")]
    assert "and sent when" in asked.stderr

    heard = smpchat("--json", "-p", "alice", "listen", "--timeout", "1")
    [request] = heard.objects()
    assert set(request) == {"v", "type", "id", "name", "text", "received_at"}
    assert (request["type"], request["id"], request["name"], request["text"]) == ("request", 1, "bob", "hello")
    assert re.fullmatch(r"2023-11-14T22:13:\d\dZ", request["received_at"])
    assert smpchat("--json", "-p", "alice", "listen", "--timeout", "1").objects() == []
    assert smpchat("--json", "-p", "alice", "requests").objects() == [request]
    assert smpchat("-p", "alice", "requests").stdout == 'request 1: "bob" wants to connect: hello\n'
    [address] = smpchat("--json", "-p", "alice", "status").objects("address")
    assert (address["short_link"], address["requests"]) == (link, 1)

    accepted = smpchat("--json", "-p", "alice", "accept", "1", "--alias", "robert")
    assert accepted.code == 0
    assert accepted.objects("contact")[0]["alias"] == "robert"
    assert accepted.objects("state")[-1]["state"] == "ready"
    assert smpchat("--json", "-p", "alice", "requests").objects() == []
    assert smpchat("-p", "bob", "listen", "--timeout", "3").code == 0
    heard = smpchat("--json", "-p", "alice", "listen", "--timeout", "3")
    assert [message["text"] for message in heard.objects("message")] == ["hello", "more"]
    [contact] = smpchat("--json", "-p", "bob", "contacts").objects()
    assert (contact["state"], contact["profile"]["name"]) == ("connected", "alice")
    assert smpchat("-p", "alice", "send", "robert", "hi").code == 0


def test_a_waiting_request_looks_like_one(smpchat: Terminal, link: str) -> None:
    shown = smpchat("-p", "bob", "connect", link, "--alias", "alice", tty=True)
    assert "your request is at their relay" in _without_styles(shown.stdout)
    for command in (["contacts"], ["status", "alice"]):
        assert "for their answer" in " ".join(smpchat("-p", "bob", *command).stdout.split())
    late = smpchat("-p", "bob", "connect", link, "--alias", "other", "--wait")
    assert (late.code, late.stderr.partition("\n")[0]) == (
        1,
        "You have already used this link, for your contact 'alice'.",
    )


def test_waiting_for_the_answer_can_take_too_long(smpchat: Terminal, link: str) -> None:
    result = smpchat("-p", "bob", "connect", link, "--alias", "alice", "--wait", "--timeout", "5")
    assert result.code == 6
    assert "alice has not answered yet." in result.stderr


def test_a_deleted_address_ends_with_4(smpchat: Terminal, link: str) -> None:
    deleted = smpchat("-p", "alice", "address", "delete")
    assert (deleted.code, deleted.stderr) == (0, "Deleted. You keep your contacts.\n")
    result = smpchat("--json", "-p", "bob", "connect", link, "--alias", "alice", "-m", "hello")
    assert result.code == 4
    [error] = result.objects("error")
    assert error["message"] == "This address does not exist: it was deleted, or its link was changed on its way."
    assert error["hint"] == "Ask its owner for a new link."
    assert result.objects("message")[0]["status"] == "failed"


def test_a_relay_that_is_away_ends_with_3_and_the_request_goes_out_later(smpchat: Terminal, link: str) -> None:
    smpchat.relay.running = False
    assert smpchat("-p", "bob", "connect", link, "--alias", "alice", "-m", "hello").code == 3
    smpchat.relay.running = True
    assert smpchat("-p", "bob", "listen", "--timeout", "5").code == 0
    assert smpchat("--json", "-p", "alice", "listen", "--timeout", "3").objects("request")[0]["text"] == "hello"


def test_an_address_is_made_later_if_the_relay_is_away(smpchat: Terminal) -> None:
    smpchat.relay.running = False
    result = smpchat("-p", "alice", "address", "create")
    assert result.code == 3
    assert "The next command that goes online will create" in result.stderr
    smpchat.relay.running = True
    assert smpchat("-p", "alice", "address", "show").stdout.startswith("simplex:/a#")


def test_ones_own_address_is_refused(smpchat: Terminal, link: str) -> None:
    result = smpchat("-p", "alice", "connect", link, "--alias", "myself_too")
    assert (result.code, result.stdout) == (1, "")
    assert result.stderr.startswith("This is your own address.\n")


@pytest.mark.parametrize("letter", ["c", "r"])
def test_channels_are_refused(smpchat: Terminal, link: str, letter: str) -> None:
    result = smpchat("-p", "bob", "connect", link.replace("/a#", f"/{letter}#"), "--alias", "them")
    assert (result.code, result.stdout) == (1, "")
    assert result.stderr.startswith("This link leads to a channel, which smpchat does not support.\n")


def test_rejecting_tells_nobody(smpchat: Terminal, link: str) -> None:
    smpchat("-p", "bob", "connect", link, "--alias", "alice")
    smpchat("-p", "alice", "listen", "--timeout", "1")
    result = smpchat("-p", "alice", "reject", "bob")
    assert (result.code, result.stdout) == (0, "")
    assert result.stderr == "Request 1 is rejected. The sender is not told.\n"
    unknown = smpchat("-p", "alice", "accept", "bob")
    assert (unknown.code, unknown.stderr.partition("\n")[0]) == (1, "There is no request 'bob'.")


def test_a_requester_who_is_gone_ends_the_acceptance_with_4(smpchat: Terminal, link: str) -> None:
    smpchat("-p", "bob", "connect", link, "--alias", "alice")
    smpchat("-p", "alice", "listen", "--timeout", "1")
    smpchat("-p", "bob", "delete", "alice")
    result = smpchat("-p", "alice", "accept", "bob")
    assert result.code == 4
    happened, advice = result.stderr.splitlines()[-2:]
    assert happened.startswith("The person who sent this request can no longer be reached: they withdrew")
    assert advice == "Delete the contact; they can send a new request."
    [state] = smpchat("--json", "-p", "alice", "status", "bob").objects("state")
    assert state["reason"] == f"{happened} {advice}"


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
@pytest.mark.parametrize("tty", [False, True], ids=["pipe", "terminal"])
def test_a_hostile_request_is_shown_harmless(smpchat: Terminal, link: str, attack: str, tty: bool) -> None:
    with smpchat.service("bob") as service, service.database.transaction() as tx:
        save_setting(tx, "profile", Profile(attack).to_json())
    assert smpchat("-p", "bob", "connect", link, "--alias", "alice", "-m", attack).code == 0
    for command in (["listen", "--timeout", "1"], ["requests"], ["accept", "1"]):
        result = smpchat("-p", "alice", *command, tty=tty)
        assert result.code == 0
        harmless(_without_styles(result.stdout))
        harmless(_without_styles(result.stderr))
    [contact] = smpchat("--json", "-p", "alice", "contacts").objects()
    harmless(contact["alias"])
    assert contact["profile"]["name"] == stored(attack)


def test_a_text_cannot_pass_for_another_request(smpchat: Terminal, link: str) -> None:
    smpchat("-p", "bob", "connect", link, "--alias", "alice", "-m", "hi\nrequest 2: carol wants to connect")
    smpchat("-p", "alice", "listen", "--timeout", "1")
    shown = smpchat("-p", "alice", "requests").stdout.splitlines()
    assert [line for line in shown if line.startswith("request ")] == ['request 1: "bob" wants to connect: hi']
    assert json.loads(smpchat("--json", "-p", "alice", "requests").stdout)["text"].startswith("hi\n")


# -- the name behind a short link -------------------------------------------------------------------------------------


def sent(smpchat: Terminal) -> int:
    return sum(isinstance(command, Send) for command in smpchat.relay.commands)


def test_off_a_terminal_the_name_in_the_link_becomes_the_alias(smpchat: Terminal, link: str) -> None:
    result = smpchat("--json", "-p", "bob", "connect", link, "-m", "hi")
    assert result.code == 0
    assert {state["alias"] for state in result.objects("state")} == {"alice"}
    assert [message["contact"] for message in result.objects("message")] == ["alice"]
    assert "The contact's alias is alice. `smpchat -p bob rename alice ALIAS` changes it." in result.stderr
    named = smpchat("-p", "carol", "connect", link, "--alias", "friend")
    assert named.code == 0 and 'The person who made this link uses the name "alice".' in named.stderr


def test_on_a_terminal_the_name_is_offered_before_the_request_goes_out(smpchat: Terminal, link: str) -> None:
    before: list[int] = []

    class Typing(FakeTerminal):
        def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
            before.append(sent(smpchat))
            return "\n"

    smpchat.stdin = Typing
    result = smpchat("-p", "bob", "connect", link, "-m", "hi", tty=True)
    assert (result.code, before, sent(smpchat)) == (0, [0], 1)
    told = re.sub(r"\s+", " ", result.stderr)
    assert (
        'The person who made this link uses the name "alice". Nothing is sent until you give this contact'
        " a name. Your name for this contact? [alice]"
    ) in told
    assert "reserved for you" not in told, "others may use an address too"
    smpchat("-p", "alice", "listen", "--timeout", "1")
    assert smpchat("-p", "alice", "requests").stdout == 'request 1: "bob" wants to connect: hi\n'


def test_a_question_left_open_is_asked_again_by_the_same_command(smpchat: Terminal, link: str) -> None:
    smpchat.stdin = InterruptedTerminal
    result = smpchat("-p", "bob", "connect", link, "-m", "hi", tty=True)
    assert result.code == 130 and "run the same command to continue" in re.sub(r"\s+", " ", result.stderr)
    assert "You have not named alice yet" in smpchat("-p", "bob", "status").stderr
    assert sent(smpchat) == 0
    smpchat.stdin = FakeTerminal
    result = smpchat("-p", "bob", "connect", link, "-m", "hi", stdin="friend\n", tty=True)
    assert result.code == 0 and "[alice]" in result.stderr
    assert smpchat("--json", "-p", "bob", "history", "friend").stdout.count('"hi"') == 1


def test_a_link_that_leads_nowhere_asks_nothing(smpchat: Terminal, link: str) -> None:
    smpchat("-p", "alice", "address", "delete")
    result = smpchat("-p", "bob", "connect", link, tty=True)
    assert result.code == 4 and "Your name for this contact?" not in result.stderr
    assert "This address does not exist" in result.stderr


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_a_hostile_name_in_a_link_is_shown_harmless(smpchat: Terminal, attack: str) -> None:
    with smpchat.service("alice") as service, service.database.transaction() as tx:
        save_setting(tx, "profile", Profile(attack).to_json())
    [address] = smpchat("--json", "-p", "alice", "address", "create").objects()
    for profile, tty in (("bob", False), ("carol", True)):
        result = smpchat("-p", profile, "connect", address["short_link"], tty=tty)
        assert result.code == 0
        harmless(_without_styles(result.stdout))
        harmless(_without_styles(result.stderr))
