"""Many carried forms of links, each the same as the bare link; and what is said of everything else."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smpchat.agent.errors import LinkError
from smpchat.agent.wire.links import ConnectionLink, ContactLink, InvitationLink, LinkScheme, format_link, parse_link
from smpchat.agent.wire.pasted import MAX_TEXT_LENGTH, find_link
from smpchat.agent.wire.presets import SIMPLEX_SERVERS
from smpchat.agent.wire.queue import QueueURI
from smpchat.agent.wire.short_links import (
    ContactType,
    ShortContact,
    ShortInvitation,
    ShortLink,
    format_short_link,
    shorten,
)
from smpchat.crypto.agreement import E2EParamsRange, E2EVersions
from smpchat.crypto.kem import KEMProposed, KEMPublicKey
from smpchat.crypto.keys import Ed25519PublicKey, X448PublicKey, X25519PublicKey
from smpchat.encoding.record import replace
from smpchat.protocol.address import SMPServer
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.version import VersionRange
from smpchat.testing.entropy import SeededEntropy
from tests.properties import wire
from tests.unit.agent.wire.carriers import ANY, SIMPLEX, WEB

RANDOM = SeededEntropy("links").random
SERVER = SMPServer(("smp.example.org", "a" * 56 + ".onion"), "5223", RANDOM(32))
PRESET = SIMPLEX_SERVERS[0]
QUEUE = QueueURI(VersionRange(1, 4), SERVER, RANDOM(24), X25519PublicKey(RANDOM(32)), QueueMode.MESSAGING)
CONTACT = replace(QUEUE, mode=QueueMode.CONTACT)
E2E = E2EParamsRange(E2EVersions(2, 3), X448PublicKey(RANDOM(56)), X448PublicKey(RANDOM(56)))
INVITATION = InvitationLink(VersionRange(2, 7), (QUEUE,), E2E, Ed25519PublicKey(RANDOM(32)))
GROUP_DATA = '{"groupLinkId":"hCkt5Ph057tSeJdyEI0uug=="}'
WITH_KEM = replace(INVITATION, e2e=replace(E2E, kem=KEMProposed(KEMPublicKey(RANDOM(1158)))), reply_key=None)

FULL: dict[str, ConnectionLink] = {
    "invitation": INVITATION,
    "invitation of apps": replace(INVITATION, reply_key=None),
    "invitation with a KEM key": WITH_KEM,
    "address": ContactLink(VersionRange(2, 7), (CONTACT,)),
    "address at two relays": ContactLink(VersionRange(2, 7), (CONTACT, replace(CONTACT, server=PRESET))),
    "group": ContactLink(VersionRange(2, 7), (CONTACT,), GROUP_DATA),
}
SHORT: dict[str, ShortLink] = {
    "short invitation": ShortInvitation(SERVER, RANDOM(24), RANDOM(32)),
    "shortened invitation": shorten(ShortInvitation(PRESET, RANDOM(24), RANDOM(32))),
    "short address": ShortContact(SERVER, RANDOM(32)),
    "shortened address": shorten(ShortContact(PRESET, RANDOM(32))),
    "short group": ShortContact(SERVER, RANDOM(32), ContactType.GROUP),
}
TEXTS = (
    {f"{name}, simplex:": format_link(link) for name, link in FULL.items()}
    | {f"{name}, https:": format_link(link, LinkScheme.WEB) for name, link in FULL.items()}
    | {f"{name}, simplex:": format_short_link(replace(link, web=False)) for name, link in SHORT.items()}
    | {f"{name}, https:": format_short_link(link) for name, link in SHORT.items()}
)


def same(text: str, link: str) -> None:
    found, bare = find_link(text), parse_link(link)
    if isinstance(bare, ShortInvitation | ShortContact) and isinstance(found, ShortInvitation | ShortContact):
        assert replace(found, web=bare.web) == bare
    else:
        assert found == bare


@pytest.mark.parametrize("form", ANY.values(), ids=ANY.keys())
def test_carried_forms_give_the_same_link(form: object) -> None:
    assert callable(form)
    for name, link in TEXTS.items():
        try:
            same(form(link), link)
        except (LinkError, AssertionError) as error:
            raise AssertionError(f"{name}: {error}: {form(link)}") from error


@pytest.mark.parametrize("forms", [SIMPLEX, WEB], ids=["simplex:", "https:"])
def test_forms_of_one_scheme(forms: dict[str, object]) -> None:
    start = "simplex:" if forms is SIMPLEX else "https:"
    for link in (text for text in TEXTS.values() if text.startswith(start)):
        for name, form in forms.items():
            assert callable(form)
            try:
                same(form(link), link)
                same(f"Use this:\n<{form(link)}>.\nBye", link)
            except (LinkError, AssertionError) as error:
                raise AssertionError(f"{name}: {error}: {form(link)}") from error


def test_there_are_enough_forms() -> None:
    assert len(ANY) + len(SIMPLEX) + len(WEB) >= 60


@pytest.mark.parametrize("width", [23, 40, 64, 72, 75, 76, 78, 80, 98, 100])
def test_wrapped_anywhere_a_link_keeps_all_its_parts(width: int) -> None:
    """A link whose first lines are a link already: what follows must not be lost, or a group is taken for a person."""
    for link in (text for text in TEXTS.values() if len(text) < 3000 or width == 76):
        lines = [link[at : at + width] for at in range(0, len(link), width)]
        same("\n".join(lines), link)
        same("Hello,\n" + "\n".join(f"> {line}" for line in lines) + "\n> \n> Alice", link)


def test_a_path_alone_has_all_that_counts() -> None:
    for link in (format_link(each) for each in FULL.values()):
        same(link.removeprefix("simplex:"), link)
        same(link.removeprefix("simplex:/"), link)


def test_two_different_links_are_refused() -> None:
    texts = list(TEXTS.values())
    for between in (" ", "\n", "", " and "):
        with pytest.raises(LinkError, match=r"^There are 2 different links in this text\.$") as caught:
            find_link(texts[0] + between + texts[-1])
        assert caught.value.hint == "Paste only the link that you want to use."


def test_both_forms_of_a_short_link_are_one_link() -> None:
    for link in SHORT.values():
        simplex, web = format_short_link(replace(link, web=False)), format_short_link(link)
        same(f"{simplex}\n{web}", web)


def test_a_shortened_copy_beside_the_whole_link_does_not_count() -> None:
    for link in TEXTS.values():
        same(f"{link} ({link[:40]}…)", link)
        same(f"{link[:30]}... {link}", link)


def test_a_link_cut_anywhere_is_never_another_link() -> None:
    """What remains is refused, or has all that leads to the person."""
    for name, link in TEXTS.items():
        bare = parse_link(link)
        if "KEM" in name:
            continue  # the same form, only longer
        for length in range(0, len(link), 1 if len(link) < 300 else 3):
            try:
                found = find_link(link[:length])
            except LinkError:
                continue
            if isinstance(found, ShortInvitation | ShortContact):
                assert isinstance(bare, ShortInvitation | ShortContact)
                assert found.link_key == bare.link_key and found.server.key_hash in (b"", bare.server.key_hash)
                assert not found.server.key_hash or found == bare
            else:
                assert isinstance(bare, InvitationLink | ContactLink)
                assert found.queues[0].sender_id == bare.queues[0].sender_id


@pytest.mark.parametrize("cut", range(1, 21))
def test_a_short_link_cut_by_some_characters_is_malformed(cut: int) -> None:
    link = format_short_link(replace(SHORT["short invitation"], web=False))
    with pytest.raises(LinkError, match=r"the fingerprint of its relay \(c\) is invalid"):
        find_link(link[:-cut])


KEY = "A" * 43
WHAT_IT_IS = {
    "nothing": ("", "The link is empty."),
    "blanks": (" \n\u200b", "The link is empty."),
    "text": ("hello there", "not a SimpleX connection link"),
    "web page": ("https://example.org/page#top", "not a SimpleX connection link"),
    "home page": ("https://simplex.chat/", "not a SimpleX connection link"),
    "unknown path": ("simplex:/chat#/?v=1", "not a SimpleX connection link"),
    "name of a contact": ("@alice.simplex", "names are not supported yet"),
    "name of a group": ("#team", "names are not supported yet"),
    "name alone": ("alice.simplex", "names are not supported yet"),
    "name with a domain": ("@alice.example.org", "names are not supported yet"),
    "name for tests": ("team.testing", "names are not supported yet"),
    "link of a name": ("simplex:/name#@alice", "names are not supported yet"),
    "relay": (f"smp://{KEY}@smp.example.org", "the address of a relay"),
    "relay in quotes": (f"Use 'SMP://{KEY}@smp.example.org'", "the address of a relay"),
    "file server": (f"xftp://{KEY}@xftp.example.org", "a file server"),
    "file": ("https://simplex.chat/file#/?desc=x", "leads to a file"),
    "file of apps": ("simplex:/file#/?desc=x", "leads to a file"),
    "remote control": ("xrcp:/abc@192.0.2.1:1234#/?v=1", "two devices"),
    "Telegram": ("https://t.me/alice", "a Telegram link"),
    "Signal": ("https://signal.me/#eu/abc", "a Signal link"),
    "Signal group": ("https://signal.group/#abc", "a Signal link"),
    "WhatsApp": ("wa.me/1234", "a WhatsApp link"),
    "WhatsApp group": ("https://chat.whatsapp.com/abc", "a WhatsApp link"),
    "Matrix": ("https://matrix.to/#/@alice:example.org", "a Matrix link"),
    "Session": ("05" + "ab" * 32, "a Session ID"),
    "Discord": ("https://discord.gg/abc", "a Discord link"),
    "Threema": ("https://threema.id/ABCDEFGH", "a Threema link"),
    "XMPP": ("xmpp:alice@example.org", "an XMPP address"),
    "e-mail": ("mailto:alice@example.org", "an e-mail address"),
    "service": (f"https://smp8.simplex.im/s#{KEY}", "leads to a service"),
    "unknown letter": (f"https://smp8.simplex.im/x#{KEY}", "of an unknown kind"),
    "cut before #": ("https://simplex.chat/invitation", "everything after # is missing"),
    "cut at #": ("https://simplex.chat/contact#", "everything after # is missing"),
    "cut at the first &": ("https://simplex.chat/contact#/?v=2-7", "cut off after v="),
    "cut behind the first &": ("simplex:/invitation#/?v=2-7&", "cut off after v="),
    "cut before e2e": (format_link(INVITATION).partition("&e2e")[0], r"encryption keys (e2e) are missing"),
    "cut in e2e": (format_link(WITH_KEM)[:-90], r"encryption keys (e2e) are invalid"),
    "cut in the queue": (format_link(INVITATION)[:120], "queue address (smp) is invalid"),
    "no version": (format_link(INVITATION).replace("v=2-7&", ""), "version range (v) is missing"),
    "cut in a key": (f"https://smp8.simplex.im/a#{KEY[1:]}", "key is invalid"),
    "one key": (f"https://smp8.simplex.im/i#{KEY}", "the id or the key"),
    "400 hosts": (f"simplex:/a#{KEY}?h={','.join(f'{n}.example' for n in range(400))}&c={KEY}", "has 400 hosts"),
    "port": (f"https://smp.example.org:443/a#{KEY}?c={KEY}", "a port where"),
    "surrogate": (f"simplex:/a#{KEY}?h=smp.example.org&c={KEY[1:]}\ud800", "fingerprint of its relay"),
    "surrogate alone": ("\udcff", "not a SimpleX connection link"),
    "too long": ("x" * (MAX_TEXT_LENGTH + 1), "65,537 characters long; smpchat looks for a link in at most 65,536"),
}


@pytest.mark.parametrize(("text", "sentence"), WHAT_IT_IS.values(), ids=WHAT_IT_IS.keys())
def test_what_is_no_usable_link_is_told_what_it_is(text: str, sentence: str) -> None:
    with pytest.raises(LinkError) as caught:
        find_link(text)
    assert sentence in str(caught.value)
    assert str(caught.value).endswith(".") and caught.value.hint.endswith(".")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("@alice", "Ask for the link instead."),
        ("smp://x@y", "To make your own links at this relay: `smpchat server add ADDRESS`."),
        ("https://simplex.chat/contact#/?v=2-7", "The shell cut the link at &: put the link in quotes."),
        ("https://t.me/x", "Ask the person for their SimpleX link."),
        (f"https://smp8.simplex.im/a#{KEY[1:]}", "Copy the whole link again, or ask for a new one."),
    ],
)
def test_the_next_step_fits_the_cause(text: str, hint: str) -> None:
    with pytest.raises(LinkError) as caught:
        find_link(text)
    assert caught.value.hint == hint


LINK_LIKE = (
    "simplex:/ https:// /i# /a# contact#/?v=2-7 &smp= %23 %25 %3A%2F ? # &amp; > \u200b \\ smp8.simplex.im < )"
    f" \x1b[ \ud800 =3D utm_source=x : {KEY}"
).split(" ")


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(max_size=200), st.lists(st.sampled_from([*LINK_LIKE, " ", "\n", "=\n"]), max_size=30).map("".join)
    )
)
@example("https:" * 100)
@example("simplex:/i#" + "/" * 1000)
@example("%" * 1000)
def test_any_text_gives_a_link_or_the_documented_error(text: str) -> None:
    try:
        find_link(text)
    except LinkError as error:
        assert str(error).endswith(".") and str(error).isprintable() and len(str(error)) < 300


@settings(max_examples=200, deadline=None)
@given(wire.sized(24), wire.sized(32), st.sampled_from([*ANY]))
@example(bytes(24), b"\xff" * 32, "italic")
@example(b"\xff" * 24, b"\xfb\xef\xbe" * 10 + b"\xff\xff", "struck out")
def test_any_key_is_found_in_any_form(link_id: bytes, key: bytes, form: str) -> None:
    """Letters of keys are marks of emphasis and punctuation elsewhere."""
    for link in (ShortInvitation(SERVER, link_id, key), shorten(ShortContact(PRESET, key))):
        assert find_link(ANY[form](format_short_link(link))) == link


HOSTILE = (
    "simplex:/i#",
    "https:",
    "https://a/a#",
    "contact#/?",
    "contact?",
    "a.bc/i#",
    "a.",
    "a-",
    "%2525",
    "%23",
    "> ",
    "=\n",
    "&amp;",
    "\\_",
    "\x1b]",
    "\u200b",
    "utm_a=",
    "simplex:/contact#/?v=2-7&smp=x ",
    "A ",
    "@a.",
    "t.me",
    "[",
    "=3D",
)


@pytest.mark.parametrize("filling", HOSTILE, ids=map(repr, HOSTILE))
@pytest.mark.parametrize("start", ["", "simplex:/invitation#/?v=2-7&smp=", "https%3A%2F%2F"])
def test_a_hostile_text_takes_no_longer_than_its_length_allows(start: str, filling: str) -> None:
    def seconds(length: int) -> float:
        text = (start + filling * (length // len(filling) + 1))[:length]
        began = time.process_time()
        with pytest.raises(LinkError):
            find_link(text)
        return time.process_time() - began

    assert seconds(MAX_TEXT_LENGTH) < 2.0
