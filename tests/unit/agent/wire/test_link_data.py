from __future__ import annotations

from collections.abc import Callable

import pytest

from smpchat.agent.errors import LinkDataError, LinkError
from smpchat.agent.wire.link_data import (
    FIXED_PADDING,
    USER_PADDING,
    ConnLinkData,
    ContactLinkData,
    FixedLinkData,
    InvitationLinkData,
    OwnerAuth,
    SealedLink,
    conn_link_data,
    connection_request,
    contact_keys,
    fixed_link_data,
    invitation_box_key,
    link_key_of,
    open_blob,
    open_link,
    seal_blob,
    seal_link,
    seal_user_data,
    sender_id_for,
    signed,
)
from smpchat.agent.wire.links import ConnectionLink, ContactLink, InvitationLink
from smpchat.agent.wire.queue import QueueURI
from smpchat.agent.wire.short_links import ShortContact, ShortInvitation, ShortLink
from smpchat.crypto.agreement import X3DHKeys
from smpchat.crypto.kem import KEMAccepted, KEMCiphertext, KEMPublicKey
from smpchat.crypto.keys import Ed25519PrivateKey, X25519PrivateKey
from smpchat.encoding.codec import short_bytes
from smpchat.encoding.reader import DecodeError, EncodeError
from smpchat.encoding.record import replace
from smpchat.protocol.address import SMPServer
from smpchat.protocol.commands import Lnk
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.version import VersionRange
from smpchat.testing.entropy import SeededEntropy

AGENT, CLIENT = VersionRange(2, 7), VersionRange(1, 4)
ENTROPY = SeededEntropy("1")
ROOT, REPLY, OTHER = (Ed25519PrivateKey.generate(ENTROPY) for _ in range(3))
SERVER = SMPServer(("smp.example.org",), "", bytes(32))
SENDER_ID = sender_id_for(bytes(24))
QUEUE = QueueURI(CLIENT, SERVER, SENDER_ID, X25519PrivateKey.generate(ENTROPY).public(), QueueMode.MESSAGING)
INVITATION = InvitationLink(AGENT, (QUEUE,), X3DHKeys.generate(ENTROPY).params_range(), REPLY.public())
CONTACT = ContactLink(AGENT, (replace(QUEUE, mode=QueueMode.CONTACT),), "free text é")
USER_DATA = b'{"profile":{"displayName":"alice","fullName":""}}'


def link_to(sealed: SealedLink, server: SMPServer = SERVER) -> ShortLink:
    if sealed.link_id is None:
        return ShortInvitation(server, bytes(24), sealed.link_key)
    return ShortContact(server, sealed.link_key)


def answer(sealed: SealedLink, sender_id: bytes = SENDER_ID) -> Lnk:
    return Lnk(sender_id, sealed.fixed, sealed.user)


def seal(request: ConnectionLink, user_data: bytes = USER_DATA) -> SealedLink:
    return seal_link(ROOT, request, user_data, SeededEntropy("2"))


class TestDerivations:
    """The values of agent-wire 2.7 and smp-wire 10, computed independently."""

    KEY = b"0123456789abcdef" * 2

    def test_contact(self) -> None:
        link_id, key = contact_keys(self.KEY)
        assert link_id.hex() == "7bb6cac6ddda05661de73a9974926c4d3d30f3dd36e0e365"
        assert key.hex() == "92f91f61f480698b6edcbc6277359f463f5810065e47253f72657bb8847e0ebe"

    def test_invitation(self) -> None:
        assert invitation_box_key(self.KEY).hex() == "7414e908a26d11b2e23016afa771e45d62bcdd72a14237958069e33f9c2c2319"

    def test_sender_id(self) -> None:
        assert sender_id_for(bytes(range(24))).hex() == "3ae1a7e6f8e0007f53167b85c478203b8445ac2b7b092da2"


class TestSealAndOpen:
    @pytest.mark.parametrize("request_", [INVITATION, CONTACT, replace(INVITATION, reply_key=None)])
    def test_round_trip(self, request_: ConnectionLink) -> None:
        sealed = seal(request_)
        assert (len(sealed.fixed), len(sealed.user)) == (2048, 13824)
        opened = open_link(link_to(sealed), answer(sealed))
        assert opened.request == request_
        assert opened.user_data == USER_DATA
        assert opened.fixed.root_key == ROOT.public()

    def test_contact_link_id_follows_from_the_key(self) -> None:
        sealed = seal(CONTACT)
        assert sealed.link_id == contact_keys(sealed.link_key)[0]

    def test_user_data_can_be_replaced(self) -> None:
        sealed = seal(CONTACT)
        data = ContactLinkData(AGENT, b"new")
        user = seal_user_data(ROOT, contact_keys(sealed.link_key)[1], data, SeededEntropy("3"))
        assert open_link(link_to(sealed), Lnk(SENDER_ID, sealed.fixed, user)).user_data == b"new"

    def test_request_gets_the_relay_of_the_link(self) -> None:
        sealed = seal(INVITATION)
        server = SMPServer(SERVER.hosts, "443", SERVER.key_hash)
        opened = open_link(link_to(sealed, server), answer(sealed))
        assert opened.request.queues[0].server == server

    def test_longest_user_data(self) -> None:
        longest = USER_PADDING - 2 - 65 - (1 + 4) - 3 - (3 + 45)
        assert len(open_link(link_to(s := seal(INVITATION, bytes(longest))), answer(s)).user_data) == longest
        with pytest.raises(LinkDataError, match="at most"):
            seal(INVITATION, bytes(longest + 1))

    def test_request_that_is_too_long(self) -> None:
        with pytest.raises(LinkDataError, match="at most"):
            seal(replace(CONTACT, client_data="x" * FIXED_PADDING))

    def test_secrets_stay_out_of_repr(self) -> None:
        sealed = seal(INVITATION)
        assert repr(sealed.link_key) not in repr(sealed)
        assert "alice" not in repr(open_link(link_to(sealed), answer(sealed)))


def resealed(
    request: ConnectionLink,
    *,
    fixed: Callable[[bytes], bytes] = lambda data: data,
    data: ConnLinkData | None = None,
    fixed_signer: Ed25519PrivateKey = ROOT,
    user_signer: Ed25519PrivateKey = ROOT,
    keep_key: bool = False,
) -> tuple[ShortLink, Lnk]:
    """A link whose blobs were made by somebody who knows its key but breaks one rule."""
    good = seal(request)
    invitation = good.link_id is None
    stripped = replace(request, reply_key=None) if isinstance(request, InvitationLink) else request
    content = fixed(fixed_link_data.encode(FixedLinkData(AGENT, ROOT.public(), stripped)))
    key = good.link_key if keep_key else link_key_of(content)
    box_key = invitation_box_key(key) if invitation else contact_keys(key)[1]
    part = data or (InvitationLinkData(AGENT, USER_DATA) if invitation else ContactLinkData(AGENT, USER_DATA))
    sealed = SealedLink(
        key,
        good.link_id,
        seal_blob(box_key, bytes(24), signed(fixed_signer, content), FIXED_PADDING),
        seal_user_data(user_signer, box_key, part, SeededEntropy("4")),
    )
    return link_to(sealed), answer(sealed)


class TestReaderChecks:
    """In the order of agent-wire 2.7; each one alone refuses the link."""

    def test_nothing_broken(self) -> None:
        assert open_link(*resealed(INVITATION)).user_data == USER_DATA

    @pytest.mark.parametrize("part", ["fixed", "user"])
    def test_blob_that_does_not_open(self, part: str) -> None:
        link, lnk = resealed(INVITATION)
        blob = getattr(lnk, part)
        for broken in (blob[:-1] + bytes([blob[-1] ^ 1]), b"", blob[:20], blob[:39]):
            with pytest.raises(LinkDataError, match="does not decrypt"):
                open_link(link, replace(lnk, **{part: broken}))

    def test_another_link_of_the_same_kind(self) -> None:
        link, _ = resealed(INVITATION)
        other = seal(replace(INVITATION, client_data="other"))
        with pytest.raises(LinkDataError, match="does not decrypt"):
            open_link(link, answer(other))

    def test_hash(self) -> None:
        with pytest.raises(LinkDataError, match="data that was not made for this link"):
            open_link(*resealed(INVITATION, fixed=lambda data: data + b"\0", keep_key=True))

    def test_signature_of_the_request(self) -> None:
        with pytest.raises(LinkDataError, match="data is not signed"):
            open_link(*resealed(INVITATION, fixed_signer=OTHER))

    def test_signature_of_the_user_data(self) -> None:
        for request in (INVITATION, CONTACT):
            with pytest.raises(LinkDataError, match="user data is not signed"):
                open_link(*resealed(request, user_signer=OTHER))

    def test_host(self) -> None:
        link, lnk = resealed(INVITATION)
        with pytest.raises(LinkDataError, match="names another"):
            open_link(replace(link, server=SMPServer(("other.example",), "", bytes(32))), lnk)

    def test_sender_id(self) -> None:
        link, lnk = resealed(INVITATION)
        with pytest.raises(LinkDataError, match="leads to one queue"):
            open_link(link, replace(lnk, sender_id=bytes(24)))

    def test_malformed_request(self) -> None:
        with pytest.raises(LinkDataError, match="The link's data is invalid"):
            open_link(*resealed(INVITATION, fixed=lambda data: data[:60]))

    def test_kinds_must_agree(self) -> None:
        with pytest.raises(LinkDataError, match="does not match the kind"):
            open_link(*resealed(INVITATION, data=ContactLinkData(AGENT, USER_DATA)))
        content = fixed_link_data.encode(FixedLinkData(AGENT, ROOT.public(), CONTACT))
        with pytest.raises(LinkDataError, match="does not match the kind"):
            open_link(*resealed(INVITATION, fixed=lambda _: content))

    def test_shortened_link_to_an_unknown_relay(self) -> None:
        link, lnk = resealed(INVITATION)
        with pytest.raises(LinkError, match="fingerprint"):
            open_link(replace(link, server=SMPServer(SERVER.hosts, "", b"")), lnk)


class TestOwners:
    @staticmethod
    def owner(key: Ed25519PrivateKey, by: Ed25519PrivateKey) -> OwnerAuth:
        return OwnerAuth(b"owner", key.public(), by.sign(b"owner" + key.public().der))

    def test_owner_may_sign_user_data(self) -> None:
        data = ContactLinkData(AGENT, b"x", owners=(self.owner(OTHER, ROOT),))
        assert open_link(*resealed(CONTACT, data=data, user_signer=OTHER)).user_data == b"x"

    def test_owner_may_be_authorised_by_an_owner_before(self) -> None:
        owners = (self.owner(OTHER, ROOT), self.owner(REPLY, OTHER))
        data = ContactLinkData(AGENT, b"x", owners=owners)
        assert open_link(*resealed(CONTACT, data=data, user_signer=REPLY)).user_data == b"x"
        with pytest.raises(LinkDataError, match="was not authorised"):
            open_link(*resealed(CONTACT, data=replace(data, owners=owners[::-1]), user_signer=REPLY))

    def test_owner_that_authorises_itself(self) -> None:
        data = ContactLinkData(AGENT, b"x", owners=(self.owner(OTHER, OTHER),))
        with pytest.raises(LinkDataError, match="was not authorised"):
            open_link(*resealed(CONTACT, data=data, user_signer=OTHER))


class TestForms:
    def test_request_queue_without_mode_is_a_contact_queue(self) -> None:
        encoded = connection_request.encode(replace(CONTACT, queues=(replace(QUEUE, mode=None),)))
        assert connection_request.decode(encoded) == CONTACT

    def test_request_has_no_room_for_a_reply_key(self) -> None:
        with pytest.raises(EncodeError):
            connection_request.encode(INVITATION)

    def test_request_cannot_accept_a_kem_key(self) -> None:
        kem = KEMAccepted(KEMCiphertext(bytes(1039)), KEMPublicKey(bytes(1158)))
        link = replace(INVITATION, reply_key=None, e2e=replace(INVITATION.e2e, kem=kem))
        with pytest.raises(DecodeError, match="KEM"):
            connection_request.decode(connection_request.encode(link))

    @pytest.mark.parametrize("entity_id", [None, b"", b"id"])
    def test_fixed_data(self, entity_id: bytes | None) -> None:
        data = FixedLinkData(AGENT, ROOT.public(), CONTACT, entity_id)
        assert fixed_link_data.decode(fixed_link_data.encode(data)) == data
        if entity_id is not None:
            assert fixed_link_data.decode(fixed_link_data.encode(data) + b"later") == data

    def test_unknown_tail_of_fixed_data(self) -> None:
        data = FixedLinkData(AGENT, ROOT.public(), CONTACT)
        assert fixed_link_data.decode(fixed_link_data.encode(data) + b"\xffx") == data

    @pytest.mark.parametrize("size", [0, 1, 254, 255, 256, 13_000])
    def test_framing_of_user_data(self, size: int) -> None:
        for data in (InvitationLinkData(AGENT, bytes(size)), ContactLinkData(AGENT, bytes(size), direct=False)):
            encoded = conn_link_data.encode(data)
            assert conn_link_data.decode(encoded) == data
            assert encoded.endswith((bytes([size]) if size < 255 else b"\xff" + size.to_bytes(2, "big")) + bytes(size))

    @pytest.mark.parametrize("tail", [b"x", b"\x02rj", b"\x05other"])
    def test_unknown_tail_of_link_data_is_ignored(self, tail: bytes) -> None:
        for data in (InvitationLinkData(AGENT, b"x"), ContactLinkData(AGENT, b"x")):
            assert conn_link_data.decode(conn_link_data.encode(data) + tail) == data

    def test_reply_key_is_the_tail(self) -> None:
        data = InvitationLinkData(AGENT, b"x", REPLY.public())
        encoded = conn_link_data.encode(data)
        assert encoded == b"I\x00\x02\x00\x07\x01x\x02rk" + short_bytes.encode(REPLY.public().der)
        assert conn_link_data.decode(encoded + b"later") == data

    @pytest.mark.parametrize("tail", [b"", b"\x00", b"\x2c", short_bytes.encode(QUEUE.dh_key.der)])
    def test_anything_else_under_our_name_is_malformed(self, tail: bytes) -> None:
        with pytest.raises(DecodeError):
            conn_link_data.decode(b"I\x00\x02\x00\x07\x01x\x02rk" + tail)

    def test_contact_data_with_relays(self) -> None:
        data = ContactLinkData(
            AGENT, b"x", relays=(ShortContact(SERVER, bytes(32)), ShortInvitation(SERVER, bytes(24), bytes(32)))
        )
        assert conn_link_data.decode(conn_link_data.encode(data)) == data

    def test_blob_round_trip(self) -> None:
        assert open_blob(bytes(32), seal_blob(bytes(32), bytes(24), b"content", 64)) == b"content"
