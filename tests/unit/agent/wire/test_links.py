from __future__ import annotations

import pytest

from smpchat.agent.errors import IncompatibleVersion, LinkError
from smpchat.agent.wire.links import (
    MAX_LINK_LENGTH,
    AgreedVersions,
    ContactLink,
    InvitationLink,
    LinkScheme,
    agree_versions,
    format_link,
    parse_link,
)
from smpchat.agent.wire.queue import QueueURI
from smpchat.crypto.agreement import E2EParamsRange, E2EVersions
from smpchat.crypto.keys import Ed25519PublicKey, X448PublicKey, X25519PublicKey
from smpchat.encoding.record import replace
from smpchat.encoding.text import percent_encode
from smpchat.protocol.address import SMPServer
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.version import VersionRange

# agent-wire 2.4
EXAMPLE = (
    "simplex:/invitation#/?v=2-7&smp=smp%3A%2F%2F1234-w%3D%3D%40smp.simplex.im%3A5223%2F3456-w%3D%3D%23%2F%3Fv%3D1-4"
    "%26dh%3DMCowBQYDK2VuAyEAjiswwI3O_NlS8Fk3HJUW870EY2bAwmttMBsvRB9eV3o%253D%26q%3Dm%26k%3Ds"
    "&e2e=v%3D2-3%26x3dh%3DMEIwBQYDK2VvAzkAmKuSYeQ_m0SixPDS8Wq8VBaTS1cW-Lp0n0h4Diu-kUpR-qXx4SDJ32YGEFoGFGSbGPry5Ychr6U"
    "%3D%2CMEIwBQYDK2VvAzkAmKuSYeQ_m0SixPDS8Wq8VBaTS1cW-Lp0n0h4Diu-kUpR-qXx4SDJ32YGEFoGFGSbGPry5Ychr6U%3D"
)
QUEUE = QueueURI(
    VersionRange(1, 4),
    SMPServer(("smp.simplex.im",), "5223", bytes.fromhex("d76df8fb")),
    bytes.fromhex("df8e7afb"),
    X25519PublicKey(bytes.fromhex("8e2b30c08dcefcd952f059371c9516f3bd046366c0c26b6d301b2f441f5e577a")),
    QueueMode.MESSAGING,
)
KEY = X448PublicKey.from_der(
    bytes.fromhex(
        "3042300506032b656f033900"
        "98ab9261e43f9b44a2c4f0d2f16abc5416934b5716f8ba749f48780e2bbe914a51faa5f1e120c9df6606105a0614649b18faf2e58721afa5"
    )
)
INVITATION = InvitationLink(VersionRange(2, 7), (QUEUE,), E2EParamsRange(E2EVersions(2, 3), KEY, KEY))
REPLY_KEY = Ed25519PublicKey(bytes(range(32)))
REPLY_TEXT = "MCowBQYDK2VwAyEAAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


def test_example() -> None:
    assert parse_link(EXAMPLE) == INVITATION
    assert format_link(INVITATION) == EXAMPLE


def test_web_form() -> None:
    text = format_link(INVITATION, LinkScheme.WEB)
    assert text == EXAMPLE.replace("simplex:", "https://simplex.chat")
    assert parse_link(text) == INVITATION
    assert parse_link(text.replace("simplex.chat", "example.org:8443")) == INVITATION


@pytest.mark.parametrize("start", ["simplex:/invitation/#/?", "simplex:/invitation#/?"])
def test_slash_before_the_query_is_optional(start: str) -> None:
    assert parse_link(EXAMPLE.replace("simplex:/invitation#/?", start)) == INVITATION


class TestReplyKey:
    def test_stands_last_without_padding(self) -> None:
        link = replace(INVITATION, reply_key=REPLY_KEY, client_data="x")
        assert len(REPLY_TEXT) == 59
        assert format_link(link) == f"{EXAMPLE}&data=x&rk={REPLY_TEXT}"
        assert parse_link(format_link(link)) == link

    def test_may_stand_anywhere(self) -> None:
        text = EXAMPLE.replace("/?v=2-7", f"/?rk={REPLY_TEXT}&v=2-7")
        assert parse_link(text) == replace(INVITATION, reply_key=REPLY_KEY)

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "x",
            REPLY_TEXT[:-1],
            REPLY_TEXT + "=",
            REPLY_TEXT.replace("2VwAyEA", "2VuAyEA"),
            REPLY_TEXT[:-1] + "9",
            REPLY_TEXT[:-1] + "!",
        ],
    )
    def test_anything_else_under_the_name_is_malformed(self, value: str) -> None:
        with pytest.raises(LinkError, match=r"reply key \(rk\)"):
            parse_link(f"{EXAMPLE}&rk={value}")

    def test_a_contact_address_has_none(self) -> None:
        contact = ContactLink(VersionRange(2, 7), (replace(QUEUE, mode=QueueMode.CONTACT),))
        assert parse_link(f"{format_link(contact)}&rk={REPLY_TEXT}") == contact


class TestTolerance:
    @pytest.mark.parametrize("extra", ["&x=1", ";x=1", "&x", "&=1", "&", "&v=9-9", "&x=%C3%A9", "&h=#"])
    def test_of_unknown_outer_parameters(self, extra: str) -> None:
        assert parse_link(EXAMPLE + extra) == INVITATION

    @pytest.mark.parametrize("at", ["%26q%3Dm", "%26k%3Ds", "v%3D1-4"])
    def test_of_unknown_parameters_of_the_queue(self, at: str) -> None:
        extra = "extra_param%3Dabc"
        text = EXAMPLE.replace(at, f"{extra}%26{at}" if at.startswith("v") else f"%26{extra}{at}")
        assert parse_link(text) == INVITATION

    def test_of_versions_before_2(self) -> None:
        for theirs, lifted in (("1-7", (2, 7)), ("1", (2, 2)), ("9-11", (9, 11))):
            link = parse_link(EXAMPLE.replace("v=2-7", f"v={theirs}"))
            assert isinstance(link, InvitationLink)
            assert link.agent_versions == VersionRange(*lifted)

    def test_of_blanks_around(self) -> None:
        assert parse_link(f"\n  {EXAMPLE}\t\r\n") == INVITATION

    def test_first_of_a_repeated_parameter_wins(self) -> None:
        assert parse_link(EXAMPLE.replace("?v=2-7", "?v=2-7&v=3-4")) == INVITATION

    def test_several_queues(self) -> None:
        other = replace(QUEUE, sender_id=b"other")
        link = replace(INVITATION, queues=(QUEUE, other))
        assert "%3B" in format_link(link)
        assert parse_link(format_link(link)) == link


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("hello", "not a SimpleX connection link"),
        ("https://example.org/", "not a SimpleX connection link"),
        ("simplex:/chat#/?v=1", "not a SimpleX connection link"),
        ("x" * (MAX_LINK_LENGTH + 1), "characters long"),
        (EXAMPLE.replace("v=2-7", "v=7-2"), r"version range \(v\) is invalid"),
        (EXAMPLE.replace("v=2-7&", ""), r"version range \(v\) is missing"),
        (EXAMPLE[: EXAMPLE.index("&e2e")], r"encryption keys \(e2e\) are missing"),
        (EXAMPLE[:-30], r"encryption keys \(e2e\) are invalid"),
        (EXAMPLE.replace("smp=smp", "smp=xmp"), r"queue address \(smp\) is invalid"),
        (EXAMPLE.replace("%3A5223", "%3A99999"), r"queue address \(smp\) is invalid"),
        (EXAMPLE.replace("smp%3A%2F%2F1234-w%3D%3D%40", "smp%3A%2F%2F1234-w%3D%3D%3Apw%40"), "queue address"),
        (EXAMPLE.replace("%23%2F%3Fv", "%2Fpath%23%2F%3Fv"), "queue address"),
        (EXAMPLE.replace("dh%3D", "dx%3D"), "queue address"),
        (EXAMPLE[:60] + "\n" + EXAMPLE[60:], "space or line break"),
        (EXAMPLE.replace("&e2e", " &e2e"), "space or line break"),
        (EXAMPLE + "&data=%FF", "not UTF-8"),
        (EXAMPLE.replace("&e2e=v%3D2-3%26", "&e2e=v%3D2-3%26kem_ct%3Dx%26"), "encryption keys"),
    ],
)
def test_malformed_part_is_named(text: str, sentence: str) -> None:
    with pytest.raises(LinkError, match=sentence):
        parse_link(text)


class TestVersions:
    def test_highest_common_ones(self) -> None:
        assert agree_versions(INVITATION) == AgreedVersions(agent=7, client=4, e2e=3)
        older = replace(
            INVITATION,
            agent_versions=VersionRange(2, 5),
            queues=(replace(QUEUE, versions=VersionRange(1, 3)),),
            e2e=replace(INVITATION.e2e, versions=E2EVersions(2, 2)),
        )
        assert agree_versions(older) == AgreedVersions(agent=5, client=3, e2e=2)

    @pytest.mark.parametrize(
        ("link", "layer", "who"),
        [
            (replace(INVITATION, agent_versions=VersionRange(8, 9)), "agent protocol", "you must upgrade"),
            (replace(INVITATION, queues=(replace(QUEUE, versions=VersionRange(5, 6)),)), "SMP client", "you must"),
            (
                replace(INVITATION, e2e=replace(INVITATION.e2e, versions=E2EVersions(1, 1))),
                "end-to-end encryption",
                "your contact must upgrade",
            ),
        ],
    )
    def test_layer_without_one_is_named(self, link: InvitationLink, layer: str, who: str) -> None:
        with pytest.raises(IncompatibleVersion, match=layer) as caught:
            agree_versions(link)
        assert who in str(caught.value)


def test_percent_encoding_of_the_text_apps_put_into_data() -> None:
    data = '{"type":"group","groupLinkId":"x+y;z&é"}'
    link = replace(INVITATION, client_data=data)
    assert format_link(link).endswith(f"&data={percent_encode(data)}")
    assert parse_link(format_link(link)) == link
