"""`connect` and `delete` take links as people carry them; what is no link is told what it is."""

from __future__ import annotations

import json
import re

import pytest

from smpchat.agent.wire.links import LinkScheme, format_link, parse_link
from smpchat.agent.wire.short_links import ShortInvitation, format_short_link, parse_short_link
from smpchat.protocol.address import format_server
from tests.cli.terminal import Result, Terminal
from tests.unit.agent.wire.carriers import ANY, SIMPLEX, WEB

FORMS = [
    "angle brackets",
    "bracket and full stop",
    "markdown target",
    "HTML attribute and text",
    "zero width spaces everywhere",
    "quoted and wrapped",
    "quoted-printable mail",
    "command with a prompt",
    "redirector",
    "whole link percent-encoded",
    "fbclid before #",
]


def invitation(smpchat: Terminal) -> tuple[str, str]:
    """Alice's new links, in full and short."""
    [made] = smpchat("--json", "-p", "alice", "invite", "--no-wait").objects("invitation")
    return made["link"], made["short_link"]


def said(result: Result) -> str:
    return re.sub(r"\s+", " ", result.stderr)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("short", [False, True], ids=["full", "short"])
def test_connect_takes_carried_forms(smpchat: Terminal, form: str, short: bool) -> None:
    link = invitation(smpchat)[short]
    result = smpchat("-p", "bob", "connect", ANY[form](link), "--alias", "alice", "-m", "hi")
    assert result.code == 0, result
    assert "Ready" in said(result)


@pytest.mark.parametrize("form", [*SIMPLEX.values(), *(lambda link, each=each: each(link) for each in WEB.values())])
def test_connect_takes_forms_of_the_scheme(smpchat: Terminal, form: object) -> None:
    assert callable(form)
    full = invitation(smpchat)[0]
    link = full if form in SIMPLEX.values() else format_link(parse_link(full), LinkScheme.WEB)  # type: ignore[arg-type]
    assert smpchat("-p", "bob", "connect", form(link), "--alias", "alice").code == 0


def test_a_mail_on_standard_input(smpchat: Terminal) -> None:
    mail = ANY["wrapped, text around"](invitation(smpchat)[0])
    assert smpchat("-p", "bob", "connect", "-", "--alias", "alice", stdin=mail).code == 0


@pytest.mark.parametrize("short", [False, True], ids=["full", "short"])
def test_a_link_is_known_again_in_every_form(smpchat: Terminal, short: bool) -> None:
    link = invitation(smpchat)[short]
    assert smpchat("-p", "bob", "connect", link, "--alias", "alice").code == 0
    for form in ("markdown target", "redirector", "wrapped at 76"):
        result = smpchat("-p", "bob", "connect", ANY[form](link), "--alias", "again")
        assert result.code == 1 and "You have already used this link, for your contact 'alice'." in said(result)
        result = smpchat("-p", "alice", "connect", ANY[form](link), "--alias", "myself_too")
        assert result.code == 1 and "-p NAME" in said(result), "one's own link"


@pytest.mark.parametrize("short", [False, True], ids=["full", "short"])
def test_an_invitation_is_cancelled_by_its_link_in_every_form(smpchat: Terminal, short: bool) -> None:
    for form in ("angle brackets", "command", "percent signs encoded once more"):
        other, link = invitation(smpchat), invitation(smpchat)[short]
        assert smpchat("-p", "alice", "delete", ANY[form](link)).code == 0
        left = smpchat("--json", "-p", "alice", "status").objects("invitation")
        assert [made["link"] for made in left] == [other[0]]
        assert smpchat("-p", "alice", "delete", other[0]).code == 0


def test_two_different_links_are_refused_and_nothing_is_stored(smpchat: Terminal) -> None:
    one, two = invitation(smpchat), invitation(smpchat)
    result = smpchat("-p", "bob", "connect", f"{one[0]} or {two[0]}", "--alias", "alice")
    assert result.code == 1
    assert result.stderr.startswith(
        "There are 2 different links in this text.\nPaste only the link that you want to use."
    )
    assert smpchat("--json", "-p", "bob", "contacts").objects("contact") == []


@pytest.mark.parametrize("cut", range(1, 21))
def test_a_short_link_that_was_cut_is_refused_at_once(smpchat: Terminal, cut: int) -> None:
    result = smpchat("-p", "bob", "connect", invitation(smpchat)[1][:-cut], "--alias", "alice")
    assert result.code == 1 and "fingerprint of its relay (c) is invalid" in said(result)


@pytest.mark.parametrize(
    ("text", "sentence", "hint"),
    [
        ("@alice.simplex", "names are not supported yet", "Ask for the link"),
        ("smp://x@smp.example.org", "the address of a relay", "server add ADDRESS`"),
        ("https://simplex.chat/contact#/?v=2-7", "cut off after v=", "put the link in quotes"),
        ("https://t.me/alice", "a Telegram link", "Ask the person"),
        ("https://simplex.chat/file#/?desc=x", "leads to a file", "how to fetch it"),
    ],
)
def test_what_is_no_link_is_told_what_it_is(smpchat: Terminal, text: str, sentence: str, hint: str) -> None:
    result = smpchat("--json", "-p", "bob", "connect", text, "--alias", "alice")
    assert result.code == 1
    [error] = result.objects("error")
    assert sentence in error["message"] and hint in error["hint"] and "Copy the whole link again" not in error["hint"]


def test_a_channel_is_not_to_be_copied_again(smpchat: Terminal) -> None:
    for letter in "cr":
        result = smpchat("-p", "bob", "connect", f"https://smp8.simplex.im/{letter}#{'A' * 43}", "--alias", "team")
        assert result.code == 1 and "a channel" in said(result) and "Copy" not in result.stderr


class TestOwnRelay:
    """Short links without a fingerprint, as an operator's pages give them."""

    def links(self, smpchat: Terminal) -> tuple[str, str]:
        link = parse_short_link(invitation(smpchat)[1])
        assert isinstance(link, ShortInvitation)
        whole = format_short_link(link)
        start = whole.partition("#")[0].replace("simplex:", f"https://{link.server.hosts[0]}")
        return f"{start}#{whole.partition('#')[2].partition('?')[0]}", format_server(link.server)

    def test_is_found_among_the_configured_ones(self, smpchat: Terminal) -> None:
        link, server = self.links(smpchat)
        result = smpchat("-p", "bob", "connect", link, "--alias", "alice")
        assert (
            result.code == 1 and "`smpchat -p bob server add ADDRESS`" in said(result) and "full link" in said(result)
        )
        assert smpchat("-p", "bob", "server", "add", server).code == 0
        assert smpchat("-p", "bob", "connect", f"<{link.upper()[:18]}{link[18:]}>", "--alias", "alice").code == 0

    def test_makes_no_profile_while_it_is_unknown(self, smpchat: Terminal) -> None:
        link, _ = self.links(smpchat)
        assert smpchat("-p", "new", "connect", link, "--alias", "alice").code == 1
        profiles = [json.loads(line) for line in smpchat("--json", "profile", "list").stdout.splitlines()]
        assert "new" not in {profile.get("name") for profile in profiles}

    def test_a_link_that_the_shell_cut_is_not_taken_for_one(self, smpchat: Terminal) -> None:
        cut = invitation(smpchat)[1].partition("&")[0]
        result = smpchat("-p", "bob", "connect", cut, "--alias", "alice")
        assert result.code == 1 and "put the link in quotes" in said(result)
