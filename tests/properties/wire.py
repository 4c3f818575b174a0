"""Strategies for what travels: commands, messages, addresses, envelopes, links and their data; and damaged bytes."""

from __future__ import annotations

from typing import TypeVar

from hypothesis import strategies as st

from smpchat.agent.wire import envelope as e
from smpchat.agent.wire.link_data import ConnLinkData, ContactLinkData, FixedLinkData, InvitationLinkData, OwnerAuth
from smpchat.agent.wire.links import ConnectionLink, ContactLink, InvitationLink
from smpchat.agent.wire.queue import QueueAddress, QueueInfo, QueueURI
from smpchat.agent.wire.short_links import ContactType, ShortContact, ShortInvitation, ShortLink
from smpchat.crypto.agreement import E2EParams, E2EParamsRange, E2EVersions
from smpchat.crypto.kem import KEMAccepted, KEMCiphertext, KEMParams, KEMProposed, KEMPublicKey
from smpchat.crypto.keys import Ed448PublicKey, Ed25519PublicKey, X448PublicKey, X25519PublicKey
from smpchat.encoding.record import replace
from smpchat.protocol import commands as c
from smpchat.protocol.address import MAX_HOSTS, SMPServer
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.version import VersionRange


def sized(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


short = st.binary(max_size=255)
large = st.binary(max_size=400)
body = st.binary(max_size=400)
int64 = st.integers(-(1 << 63), (1 << 63) - 1)
x25519 = sized(32).map(X25519PublicKey)
ed25519 = sized(32).map(Ed25519PublicKey)
x448 = sized(56).map(X448PublicKey)
auth_keys = st.one_of(ed25519, x25519, sized(57).map(Ed448PublicKey))

hosts = st.one_of(
    st.from_regex(r"[a-z0-9][a-z0-9.-]{0,30}", fullmatch=True),
    st.from_regex(r"[a-z2-7]{56}\.onion", fullmatch=True),
    st.sampled_from(["::1", "2001:db8::7", "127.0.0.1"]),
)
ports = st.one_of(st.just(""), st.integers(1, 65535).map(str))
servers = st.builds(SMPServer, st.lists(hosts, min_size=1, max_size=MAX_HOSTS).map(tuple), ports, sized(32))
modes = st.sampled_from([QueueMode.MESSAGING, QueueMode.CONTACT])
version_ranges = st.lists(st.integers(0, 0xFFFF), min_size=2, max_size=2).map(sorted).map(lambda v: VersionRange(*v))

# -- relay protocol ---------------------------------------------------------------------------------------------------

messaging_links = st.builds(c.LinkData, short, large, large)
contact_links = st.builds(c.LinkData, short, large, large, short)
queue_requests = st.one_of(
    st.builds(c.QueueRequest, st.just(QueueMode.MESSAGING), st.none() | messaging_links),
    st.builds(c.QueueRequest, st.just(QueueMode.CONTACT), st.none() | contact_links),
)
new = st.builds(
    c.New,
    auth_keys,
    x25519,
    st.none() | short,
    st.booleans(),
    st.none() | queue_requests,
    st.none() | st.builds(c.NtfRequest, auth_keys, x25519),
)
commands: st.SearchStrategy[c.Command] = st.one_of(
    new,
    st.sampled_from([c.Sub(), c.LDel(), c.NDel(), c.Get(), c.Off(), c.Del(), c.Que(), c.LGet(), c.NSub(), c.Ping()]),
    st.sampled_from([c.Subs(), c.NSubs()]),
    st.builds(c.Key, auth_keys),
    st.builds(c.SKey, auth_keys),
    st.builds(c.LKey, auth_keys),
    st.builds(c.RKey, st.lists(auth_keys, min_size=1, max_size=3).map(tuple)),
    st.builds(c.LSet, short, large, large),
    st.builds(c.NKey, auth_keys, x25519),
    st.builds(c.Ack, short),
    st.builds(c.Send, st.booleans(), body),
    st.builds(c.Prxy, servers, st.none() | short),
    st.builds(c.PFwd, st.integers(0, 0xFFFF), x25519, body),
    st.builds(c.RFwd, body),
)

_plain_errors = st.sampled_from(
    [ErrorCode.AUTH, ErrorCode.BLOCK, ErrorCode.QUOTA, ErrorCode.NO_MSG, ErrorCode.cmd("SYNTAX"), ErrorCode.SERVICE]
)
_broker_errors = st.one_of(
    st.sampled_from(
        [
            ErrorCode.proxy("BROKER", "TIMEOUT"),
            ErrorCode.proxy("BROKER", "NETWORK"),
            ErrorCode.proxy("BROKER", "NETWORK", "FAILED"),
            ErrorCode.proxy("BROKER", "TRANSPORT", "HANDSHAKE", "IDENTITY"),
            ErrorCode.proxy("BASIC_AUTH"),
        ]
    ),
    st.builds(ErrorCode, st.just(("PROXY", "BROKER", "UNEXPECTED")), short),
    st.builds(ErrorCode, st.just(("PROXY", "BROKER", "NETWORK", "TLS")), short),
)
errors = st.one_of(
    _plain_errors,
    _broker_errors,
    st.builds(ErrorCode, st.just(("STORE",)), body),
    st.sampled_from([b"reason=spam", b'reason=content,notice={"ttl":1}']).map(
        lambda text: ErrorCode(("BLOCKED",), text)
    ),
    _plain_errors.map(lambda code: ErrorCode(("PROXY", "PROTOCOL", *code.words), code.text)),
    _broker_errors.map(lambda code: ErrorCode(("PROXY", "PROTOCOL", *code.words), code.text)),
)
ids = st.builds(
    c.Ids,
    short,
    short,
    x25519,
    st.none() | modes,
    st.none() | short,
    st.none() | short,
    st.none() | st.builds(c.NtfIds, short, x25519),
)
broker_messages: st.SearchStrategy[c.BrokerMessage] = st.one_of(
    ids,
    st.sampled_from([c.End(), c.Deld(), c.Ok(), c.Pong(), c.Info(b'{"qiSnd":true}')]),
    st.builds(c.Lnk, short, large, large),
    st.builds(c.Sok, st.none() | short),
    st.builds(c.Soks, int64),
    st.builds(c.Ends, int64),
    st.builds(c.Msg, short, body),
    st.builds(c.Nid, short, x25519),
    st.builds(c.NMsg, sized(24), short),
    st.builds(c.PKey, short, version_ranges, st.lists(large, min_size=1, max_size=3).map(tuple), large),
    st.builds(c.RRes, body),
    st.builds(c.PRes, body),
    st.builds(c.Err, errors),
)

# -- agent ------------------------------------------------------------------------------------------------------------

kem_keys = sized(1158).map(KEMPublicKey)
kem_params: st.SearchStrategy[KEMParams] = st.one_of(
    st.builds(KEMProposed, kem_keys), st.builds(KEMAccepted, sized(1039).map(KEMCiphertext), kem_keys)
)
e2e_params = st.one_of(
    st.builds(E2EParams, st.just(2), x448, x448), st.builds(E2EParams, st.just(3), x448, x448, st.none() | kem_params)
)
e2e_ranges = st.builds(
    E2EParamsRange,
    st.sampled_from([E2EVersions(2, 2), E2EVersions(2, 3), E2EVersions(3, 3)]),
    x448,
    x448,
    st.none(),
) | st.builds(E2EParamsRange, st.just(E2EVersions(2, 3)), x448, x448, st.builds(KEMProposed, kem_keys))

sender_ids = st.binary(min_size=1, max_size=40)
queue_addresses = st.builds(QueueAddress, servers, sender_ids)
queue_infos = st.builds(QueueInfo, st.just(4), servers, sender_ids, x25519, modes)
client_ranges = st.sampled_from([VersionRange(1, 4), VersionRange(2, 4), VersionRange(3, 4), VersionRange(4, 4)])
queue_uris = st.builds(QueueURI, client_ranges, servers, sender_ids, x25519, modes)

_exact_uris = st.one_of(
    st.builds(QueueURI, client_ranges, servers, sender_ids, x25519, st.just(QueueMode.MESSAGING)),
    st.builds(QueueURI, st.just(VersionRange(4, 4)), servers, sender_ids, x25519, modes),
)
"""Those whose binary form tells the mode."""
receipts = st.builds(e.Receipt, int64, short, large)
T = TypeVar("T")


def some(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(strategy, min_size=1, max_size=3).map(tuple)


a_messages: st.SearchStrategy[e.AMessage] = st.one_of(
    st.just(e.Hello()),
    st.builds(e.UserMessage, body),
    st.builds(e.Receipts, some(receipts)),
    st.builds(e.QueueContinue, queue_addresses),
    st.builds(e.QueueAdd, some(st.tuples(_exact_uris, st.none() | queue_addresses))),
    st.builds(e.QueueKey, some(st.tuples(queue_infos, auth_keys))),
    st.builds(e.QueueUse, some(st.tuples(queue_addresses, st.booleans()))),
    st.builds(e.QueueTest, some(queue_addresses)),
    st.builds(e.RatchetReady, int64),
)
agent_messages: st.SearchStrategy[e.AgentMessage] = st.one_of(
    st.builds(e.ConnInfo, body),
    st.builds(e.ConnInfoReply, some(queue_infos), body),
    st.builds(e.ConnInfoSecured, ed25519, some(queue_infos), body),
    st.builds(e.RatchetInfo, body),
    st.builds(e.NumberedMessage, int64, short, a_messages),
)
word16 = st.integers(0, 0xFFFF)
agent_envelopes: st.SearchStrategy[e.AgentEnvelope] = st.one_of(
    st.builds(e.Confirmation, word16, st.none() | e2e_params, body),
    st.builds(e.MessageEnvelope, word16, body),
    st.builds(e.InvitationEnvelope, word16, large, body),
    st.builds(e.RatchetKeyEnvelope, word16, e2e_params, body),
)

agent_ranges = st.sampled_from([VersionRange(2, 7), VersionRange(3, 3), VersionRange(7, 9)])
client_data = st.none() | st.text(max_size=60)
queue_lists = st.lists(queue_uris, min_size=1, max_size=2).map(tuple)
full_links: st.SearchStrategy[ConnectionLink] = st.one_of(
    st.builds(InvitationLink, agent_ranges, queue_lists, e2e_ranges, st.none() | ed25519, client_data),
    st.builds(ContactLink, agent_ranges, queue_lists, client_data),
)
short_links: st.SearchStrategy[ShortLink] = st.one_of(
    st.builds(ShortInvitation, servers, sized(24), sized(32), st.booleans()),
    st.builds(ShortContact, servers, sized(32), st.sampled_from(ContactType), st.booleans()),
)


def as_binary(link: ConnectionLink) -> ConnectionLink:
    """The link without what its binary form does not hold."""
    return replace(link, reply_key=None) if isinstance(link, InvitationLink) else link


fixed_data = st.builds(FixedLinkData, version_ranges, ed25519, full_links.map(as_binary), st.none() | short)
owners = st.builds(OwnerAuth, st.binary(max_size=32), ed25519, sized(64))
link_data: st.SearchStrategy[ConnLinkData] = st.one_of(
    st.builds(InvitationLinkData, version_ranges, large, st.none() | ed25519),
    st.builds(
        ContactLinkData,
        version_ranges,
        large,
        st.booleans(),
        st.lists(owners, max_size=2).map(tuple),
        st.lists(short_links.map(lambda link: replace(link, web=True)), max_size=2).map(tuple),
    ),
)


# -- damage -----------------------------------------------------------------------------------------------------------


@st.composite
def damaged(draw: st.DrawFn, good: st.SearchStrategy[bytes]) -> bytes:
    """Bytes near good ones: cut, longer, with changed bytes, or anything at all."""
    data = draw(good)
    match draw(st.integers(0, 4)):
        case 0:
            return data[: draw(st.integers(0, len(data)))]
        case 1:
            return data + draw(st.binary(min_size=1, max_size=20))
        case 2:
            return draw(st.binary(max_size=300))
        case 3 if data:
            at = draw(st.integers(0, len(data) - 1))
            return data[:at] + draw(st.binary(max_size=3)) + data[at + draw(st.integers(0, 3)) :]
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 4)) if data else 0):
        changed[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(changed)


@st.composite
def damaged_text(draw: st.DrawFn, good: st.SearchStrategy[str]) -> str:
    """Text near good text: cut, with other characters in the middle, or anything at all."""
    text = draw(good)
    if draw(st.integers(0, 4)) == 0:
        return draw(st.text(max_size=200))
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(st.text(max_size=4)) + text[at + draw(st.integers(0, 40)) :]
