"""The JSON objects of ``--json`` as one table: what the documentation shows and the tests hold the program to.

``python -m smpchat.cli.schema`` prints ``docs/json.md``; a test checks that the page is current, and others that
whatever any command prints is as the table says.
"""

from __future__ import annotations

import re
from typing import Any

from smpchat.chat.wire.preferences import Allow, Feature
from smpchat.cli.environment import JSON_VERSION
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.explanations import Kind as Explained
from smpchat.cli.explanations import Mover
from smpchat.cli.fields import Field, Kind, ObjectType, flag, number, text
from smpchat.relay.statistics import Kind as FigureKind
from smpchat.relay.statistics import figures


def _figures() -> tuple[Field, ...]:
    """Those of the relay; what it counts by kind is an object."""
    by_kind = {"refused", "files_refused"} | {name for name, kind, _ in figures() if kind is FigureKind.HISTOGRAM}
    return tuple(
        Field(name, Kind.COUNTS if name in by_kind else Kind.NUMBER, meaning[0].lower() + meaning[1:])
        for name, _, meaning in figures()
    )


_CONNECTION_STATES = ("invited", "joining", "ready", "connected", "failed", "deleted")
_DIRECTION = text("direction", "who said it: `sent` is ours", "sent", "received")
_REACTED = text("direction", "whose it is: `sent` is ours", "sent", "received")
_DELETED = flag("deleted", "its author took it back; the text is empty", optional=True)

_COMMANDS = Field(
    "commands",
    Kind.LIST,
    "what that program offers: write `/` and the keyword to it",
    optional=True,
    fields=(
        text("keyword", "what follows the slash"),
        text("label", "what a menu shows"),
        text("params", "what is to stand behind the keyword; may be empty"),
    ),
)

_MOVE = Field(
    "move",
    Kind.OBJECT,
    "our queue for this contact is moving to another relay",
    optional=True,
    fields=(
        text(
            "step",
            "the new queue is being made; their app was asked; the queue is being secured; their first message there"
            " is awaited",
            "creating",
            "asked",
            "securing",
            "using",
        ),
        Field("since", Kind.TIME, "when this step began"),
        text("relay", "host of the new relay, once it is known", optional=True),
    ),
)

_INCOGNITO = text("incognito", "the made-up name that they know us by, in place of our own", optional=True)

TYPES = (
    ObjectType(
        "invitation",
        "A one-time link that nobody has used yet.",
        "`invite`, `status`",
        (
            number("connection", "the connection that comes of it; `delete` takes it"),
            text("link", "the full link"),
            text("short_link", "a shorter link that means the same", optional=True),
            text("command", "what the other person types"),
            text("note", "the alias that whoever uses the link will get", optional=True),
            Field("as_of", Kind.TIME, "until when it is known that nobody used it", optional=True),
            _INCOGNITO,
        ),
    ),
    ObjectType(
        "state",
        "Where a connection is, or that it went on.",
        "`invite`, `connect`, `accept`, `listen`, `status`, `demo`",
        (
            number("connection", "as in `invitation`"),
            text("alias", "the contact's alias; null until somebody used the invitation", nullable=True),
            text(
                "role",
                "whether we made the link or used it; whoever uses an address sends a link with the request",
                "initiator",
                "joiner",
            ),
            text(
                "variant",
                "the handshake that both ends can do; null while unknown",
                "instant",
                "three-step",
                "sender-secured",
                "standard",
                nullable=True,
            ),
            number("step", "1 invitation, 2 confirmation, 3 hello"),
            text("state", "`ready`: we may write; `connected`: they have answered", *_CONNECTION_STATES),
            number("elapsed_ms", "milliseconds since the link was made or used"),
            Field("since", Kind.TIME, "when this state began", optional=True),
            text("reason", "a sentence: why it failed", optional=True),
            _MOVE,
            _INCOGNITO,
            flag("pq", "whether post-quantum keys protect what is sent now (`status WHO`)", optional=True),
            flag("receipts", "whether they are told that their messages arrived (`status`)", optional=True),
        ),
    ),
    ObjectType(
        "contact",
        "A person to write to.",
        "`contacts`, `contact show`, `contact set`, `accept`, `rename`, `resync`, `rotate`, `listen`",
        (
            text("alias", "what commands call the contact"),
            number("contact_id", "its number, which no rename changes and no other contact of the profile ever has"),
            flag(
                "alias_confirmed",
                "whether you chose the alias, or verified whoever has it; if not, only they call themselves that",
            ),
            Field(
                "profile",
                Kind.OBJECT,
                "what they call themselves, which proves nothing; null until they said so",
                nullable=True,
                fields=(
                    text("name", "the name"),
                    text("full_name", "a longer one; may be empty"),
                    flag("bot", "a program writes there, as it says", optional=True),
                    _COMMANDS,
                ),
            ),
            text("state", "of the connection, as in `state`", *_CONNECTION_STATES),
            number("unread", "messages that no `listen` or `chat` has shown"),
            flag("pq", "whether post-quantum keys protect what is sent now"),
            flag("gone", "they deleted the contact with us, so nothing reaches them", optional=True),
            Field("conditions", Kind.TEXTS, "kinds of what is wrong with it, as in `condition`", optional=True),
            flag("business", "a business: several people there may read what you write", optional=True),
            flag("verified", "the security code was compared", optional=True),
            flag("receipts", "false: they are not told that their messages arrived", optional=True),
            text("looks_like", "another contact, whose alias looks like the name that this one chose", optional=True),
            text("description", "a line that they wrote about themselves", optional=True),
            flag("picture", "their profile has a picture; `contact show --save-picture` saves it", optional=True),
            number("disappear_after", "seconds after which messages disappear (`contact show`)", optional=True),
            Field(
                "preferences",
                Kind.OBJECT,
                "what both sides allow (`contact show`)",
                optional=True,
                fields=tuple(
                    Field(
                        str(feature),
                        Kind.OBJECT,
                        "one of them",
                        fields=(
                            text("ours", "what we allow them", *Allow),
                            text("theirs", "what they allow us", *Allow),
                            flag("by_us", "whether we may use it"),
                            flag("by_them", "whether they may"),
                        ),
                    )
                    for feature in Feature
                ),
            ),
            _MOVE,
            _INCOGNITO,
        ),
    ),
    ObjectType(
        "address",
        "Our contact address.",
        "`address create`, `address set`, `address show`, `status`",
        (
            text("link", "the full link"),
            text("short_link", "a shorter link that means the same", optional=True),
            text("command", "what other people type"),
            flag("auto_accept", "whether every request is accepted at once"),
            number("requests", "requests that wait for an answer"),
            number("turned_away", "requests that were not kept because too many waited", optional=True),
            Field("turned_away_since", Kind.TIME, "when the first of them came", optional=True),
            text("welcome", "what people read before they ask, and get once accepted", optional=True),
            text("auto_reply", "a message that everybody gets who is accepted", optional=True),
        ),
    ),
    ObjectType(
        "request",
        "Somebody uses our address and asks to be a contact.",
        "`listen`, `requests`",
        (
            number("id", "what `accept` and `reject` take"),
            text("name", "what they call themselves, which proves nothing"),
            text("text", "what they say; null if nothing", nullable=True),
            Field("received_at", Kind.TIME, "when the relay got it"),
            text(
                "relay_refused",
                "why it is not accepted without `--any-relay`: where the relay is that it names",
                optional=True,
            ),
            flag("in_turn", "it is accepted by itself, after those before it", optional=True),
            text("looks_like", "a contact of yours, whose alias looks like the name", optional=True),
        ),
    ),
    ObjectType(
        "message",
        "One message, as it is now.",
        "`connect`, `send`, `reply`, `forward`, `edit`, `retract`, `react`, `listen`, `history`, `search`, `demo`",
        (
            text("contact", "the alias"),
            number("contact_id", "the contact's number, as in `contact`"),
            text("direction", "`sent` is ours", "sent", "received"),
            number("id", "what `reply`, `edit`, `retract` and `react` take; the other side has another number"),
            text("text", "the text, exactly as it was written"),
            Field("sent_at", Kind.TIME, "when it was written here, or taken by the relay"),
            text("status", "see below", "pending", "sent", "delivered", "failed", "received"),
            text(
                "content",
                "what kind of thing it is: `text`, `image`, `file`, `voice`, `video`, `link`, `chat` (a card with the"
                " link of somebody or of a group), `call`, `group-invitation`, `group-event`, `profile-change`,"
                " `report`, or what only their app knows; of all but `text` and `link` the text begins with a note in"
                " brackets",
            ),
            flag("verified", "the contact's security code was compared, and is still the same", optional=True),
            text("reason", "a sentence: why it failed", optional=True),
            text("sender", "who said it, where the contact is a business or group and passed it on", optional=True),
            text(
                "command", "the keyword, if your profile is a bot and the text calls one of its commands", optional=True
            ),
            text("arguments", "what stands behind the command", optional=True),
            flag("forwarded", "its author passes on what somebody else wrote", optional=True),
            flag("live", "its author had not finished it when it was printed", optional=True),
            Field(
                "preview",
                Kind.OBJECT,
                "what their app says of the link in it; smpchat has not looked there",
                optional=True,
                fields=(text("uri", "the link"), text("title", "may be empty"), text("description", "may be empty")),
            ),
            Field(
                "reply_to",
                Kind.OBJECT,
                "the message that it answers",
                optional=True,
                fields=(
                    number("id", "null if we do not have it", nullable=True),
                    _DIRECTION,
                    text("text", "what it says"),
                    _DELETED,
                ),
            ),
            flag("edited", "the text is another one than at first", optional=True),
            _DELETED,
            number("ttl", "seconds after which it disappears, once it was shown or has left", optional=True),
            Field("expires_at", Kind.TIME, "when it disappears; not there before that time runs", optional=True),
            Field(
                "reactions",
                Kind.LIST,
                "those of both sides",
                optional=True,
                fields=(text("emoji", "one of eight"), _REACTED),
            ),
        ),
    ),
    ObjectType(
        "version",
        "What a fault may depend on.",
        "`--version`",
        (
            text("smpchat", "this program"),
            text("python", "what runs it"),
            text("openssl", "of its TLS"),
            text("sqlite", "of its store"),
            Field(
                "protocols",
                Kind.OBJECT,
                "first and last version of each that it speaks",
                fields=tuple(
                    text(name, about)
                    for name, about in (
                        ("SMP", "with relays"),
                        ("SMP of the embedded relay", "with clients"),
                        ("agent", "with other apps"),
                        ("end-to-end encryption", "of the ratchet"),
                    )
                ),
            ),
        ),
    ),
    ObjectType(
        "status",
        "A message of ours has another status.",
        "`send`, `reply`, `forward`, `listen`, `demo`",
        (
            number("id", "as in `message`"),
            text("contact", "the alias"),
            text("status", "the new one", "pending", "sent", "delivered", "failed"),
            text("reason", "a sentence: why it failed", optional=True),
        ),
    ),
    ObjectType(
        "profile",
        "One of your profiles.",
        "`profile show`, `profile set`, `profile list`, `profile switch`, `import`, `status`",
        (
            text("name", "what `-p` takes"),
            text("display_name", "what contacts are told; null in a list if it is encrypted", nullable=True),
            text("description", "a line about you that contacts are told", optional=True),
            flag("picture", "whether contacts are told a picture", optional=True),
            flag("bot", "whether contacts are told that a program writes", optional=True),
            flag(
                "receipts",
                "whether contacts are told that their messages arrived, but for those with a setting of their own"
                " (`profile show`, `profile set`, `status`)",
                optional=True,
            ),
            _COMMANDS,
            Field(
                "network",
                Kind.OBJECT,
                "what the imported file says of relays and the way to them (`import`)",
                optional=True,
                fields=(
                    Field("receives_at", Kind.TEXTS, "addresses of the relays where contacts write to"),
                    Field("servers", Kind.TEXTS, "of those for new queues; empty: this computer's", optional=True),
                    text("socks", "the proxy, or `off`", optional=True),
                    flag("private_routing", "messages to other relays go through its own", optional=True),
                    text("strangers", "relays that strangers name may be anywhere", "any", optional=True),
                ),
            ),
            flag("active", "the one that this command used, or that later ones will"),
        ),
    ),
    ObjectType(
        "key",
        "Whether a profile is encrypted with a passphrase.",
        "`key set`, `key change`, `key remove`, `key test`",
        (
            text("profile", "its name"),
            flag("encrypted", "with `key test`, the passphrase given is the right one as well"),
        ),
    ),
    ObjectType(
        "export",
        "A profile was written to a file.",
        "`export`",
        (
            text("profile", "its name"),
            text("file", "the whole path"),
            number("bytes", "size of the file"),
            flag("moved", "whether the profile stays offline here from now on"),
        ),
    ),
    ObjectType(
        "server",
        "A relay.",
        "`server list`, `server add`, `server remove`, `server use`",
        (
            text("address", "null for the embedded relay before its first start", nullable=True),
            text("transport", "how it is reached", "tls", "websocket", "auto"),
            flag("default", "whether new queues are made there"),
            flag("embedded", "whether it is the one that comes with smpchat"),
            number("ws_port", "port of its WebSocket", optional=True),
        ),
    ),
    ObjectType(
        "config",
        "A setting of the config files, and who says what it is.",
        "`config list`, `config get`, `config set`, `config unset`",
        (
            text("key", "its name"),
            Field("value", Kind.SETTING, "what holds; `servers`: a list of texts"),
            text(
                "source",
                "`stored`: a command of the profile chose it; `option`: an option or a variable of this command",
                "default",
                "everything",
                "profile",
                "stored",
                "option",
            ),
            text("path", "the file that says so", optional=True),
            number("line", "its line there", optional=True),
        ),
    ),
    ObjectType(
        "config-file",
        "A config file, which need not be there.",
        "`config path`",
        (
            text("scope", "what it is for", "everything", "profile"),
            text("path", "the whole path"),
            flag("exists", "whether it is there"),
        ),
    ),
    ObjectType(
        "setting",
        "How relays are reached.",
        "`server socks`, `server private-routing`, `server strangers`",
        (
            text("name", "which one", "socks", "private-routing", "strangers"),
            text(
                "value",
                "`socks`: the proxy, null if there is none; `private-routing`: `on` or `off`; `strangers`: `public` or"
                " `any`",
                nullable=True,
            ),
        ),
    ),
    ObjectType(
        "condition",
        "What is wrong with a contact or relay now: it stands until it is mended.",
        "`listen`, `status`, `history`, `send`",
        (
            text("contact", "alias; absent for what concerns no contact", optional=True),
            text("server", "address of the relay that is not reached", optional=True),
            text("kind", "such as out-of-step, code-changed, queue-full or unreachable"),
            text("text", "one sentence, and the command that helps where there is one"),
            Field("since", Kind.TIME, "since when"),
        ),
    ),
    ObjectType(
        "notice",
        "Something that happened to a connection; `listen` prints it once, as it does messages.",
        "`listen`, `history`",
        (
            text("contact", "alias; absent for what concerns no contact", optional=True),
            text("kind", "what happened, such as out-of-step, moved or relay-back"),
            text("text", "one sentence"),
            Field("at", Kind.TIME, "when"),
        ),
    ),
    ObjectType(
        "relay",
        "The relay that comes with smpchat.",
        "`relay run`, `relay start`, `relay stop`, `relay status`, `relay restore`, `relay rotate-certificate`,"
        " `status`",
        (
            text("state", "whether it runs", "running", "stopped"),
            text("address", "null before its first start", nullable=True),
            number("pid", "its process; null if it is stopped", nullable=True),
            number("ws_port", "port of its WebSocket; null if it has none", nullable=True),
            number("files_port", "port on which it keeps files; null if it keeps none", nullable=True),
            text("files_address", "`xftp://…`, where it keeps files; null if it does not", nullable=True),
            text("files_trouble", "why it keeps no files although it should, in a sentence", optional=True),
            Field(
                "certificate_expires",
                Kind.TIME,
                "until when the new certificate is valid (`relay rotate-certificate`)",
                optional=True,
            ),
        ),
    ),
    ObjectType(
        "backup",
        "A relay was copied to a file.",
        "`relay backup`",
        (
            text("file", "the whole path"),
            number("bytes", "size of the file"),
        ),
    ),
    ObjectType(
        "stats",
        "What the relay that runs counts, without anything that tells one client from another (relay.md).",
        "`relay stats`",
        _figures(),
    ),
    ObjectType(
        "deleted",
        "A contact or an invitation that you deleted.",
        "`delete`",
        (
            text("contact", "the alias; null if it was an invitation", nullable=True),
            number("connection", "its number"),
            flag("finished", "whether its relay was told as well; else the next command that reaches it does that"),
        ),
    ),
    ObjectType(
        "verification",
        "A contact's security code.",
        "`verify`",
        (
            text("contact", "the alias"),
            text("code", "what both sides see"),
            flag("verified", "whether you have compared it"),
        ),
    ),
    ObjectType(
        "check",
        "One thing that was looked at.",
        "`doctor`, `server test`",
        (
            text("name", "what was checked"),
            flag("ok", "whether it is as it should be"),
            text("detail", "what was found; may be empty"),
            flag("required", "whether nothing works without it (`doctor`)", optional=True),
            number("elapsed_ms", "how long it took (`server test`)", optional=True),
            text("server", "the relay (`server test`)", optional=True),
        ),
    ),
    ObjectType(
        "explanation",
        "What an exit code or a state means.",
        "`explain`",
        (
            text("kind", "what is explained", *Explained),
            text("name", "what `explain` takes"),
            number("code", "of an exit code: the number", optional=True),
            text("meaning", "one line"),
            text("text", "the same in sentences"),
            Field(
                "moves",
                Kind.LIST,
                "whose move is next; several where it depends on the cause",
                fields=(text("who", "whose", *Mover), text("what", "what they do")),
            ),
            Field(
                "commands",
                Kind.LIST,
                "what to type",
                fields=(text("command", "with words in capitals to be replaced"), text("what", "what for")),
            ),
            Field("causes", Kind.TEXTS, "what usually led here"),
        ),
    ),
    ObjectType(
        "error",
        "The command failed. The same sentences are on standard error.",
        "every command",
        (
            number("code", "the exit code"),
            text("message", "a sentence: what happened"),
            text("hint", "a sentence: what to do; may be empty"),
        ),
    ),
)

_BY_NAME = {kind.name: kind for kind in TYPES}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")

# -- checking ---------------------------------------------------------------------------------------------------------


def problems(value: object) -> list[str]:
    """What is wrong with an object that a command printed: unknown and missing fields, wrong types and values."""
    if not isinstance(value, dict):
        return ["no object"]
    if value.get("v") != JSON_VERSION:
        return [f"v is {value.get('v')!r}"]
    kind = _BY_NAME.get(value.get("type", ""))
    if kind is None:
        return [f"unknown type {value.get('type')!r}"]
    rest = {name: item for name, item in value.items() if name not in ("v", "type")}
    return _problems(kind.name, kind.fields, rest)


def _problems(where: str, fields: tuple[Field, ...], value: object) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where}: no object"]
    known = {field.name: field for field in fields}
    found = [f"{where}.{name}: unknown" for name in value if name not in known]
    for name, field in known.items():
        if name in value:
            found += _field_problems(f"{where}.{name}", field, value[name])
        elif not field.optional:
            found.append(f"{where}.{name}: missing")
    return found


def _field_problems(where: str, field: Field, value: Any) -> list[str]:
    if value is None:
        return [] if field.nullable else [f"{where}: null"]
    match field.kind:
        case Kind.OBJECT:
            return _problems(where, field.fields, value)
        case Kind.LIST:
            if not isinstance(value, list):
                return [f"{where}: no list"]
            return [problem for item in value for problem in _problems(where, field.fields, item)]
        case Kind.TEXTS:
            fits = isinstance(value, list) and all(isinstance(item, str) for item in value)
        case Kind.COUNTS:
            fits = isinstance(value, dict) and all(type(count) is int for count in value.values())
        case Kind.NUMBER:
            fits = isinstance(value, int) and not isinstance(value, bool)
        case Kind.FLAG:
            fits = isinstance(value, bool)
        case Kind.SETTING:
            items = value if isinstance(value, list) else [value]
            fits = isinstance(value, bool) or all(isinstance(item, str) for item in items)
        case Kind.TIME:
            fits = isinstance(value, str) and _TIME.fullmatch(value) is not None
        case Kind.TEXT:
            fits = isinstance(value, str) and (not field.values or value in field.values)
    return [] if fits else [f"{where}: {value!r} is no {field.kind.value}"]


# -- the page ---------------------------------------------------------------------------------------------------------

_HEADER = """# What `--json` prints

Printed by `python -m smpchat.cli.schema` from the table in that module; tests check that this page is current, and that
what the commands print is as it says.

With `--json`, which may stand anywhere in a command line, every command prints one JSON object per line on standard
output, in ASCII, each flushed as it is printed. Notices for people stay on standard error; `-q` leaves them out. An
error is an object too, its sentences are on standard error in every mode, and its code is the exit code.

Every object has `v`, which is {version}, and `type`. Fields are never renamed, and none ever gets another meaning; new
fields and new types may come: ignore what you do not know. *Optional* fields are left out where they say nothing. A
*number* is a whole number. A *time* is ISO 8601 in UTC, such as `2025-01-31T09:14:00Z`, with or without a fraction.

A message's status goes from `pending` to `sent` (a relay has it) and `delivered` (the other side confirmed it), or to
`failed`; what others wrote is `received`.
"""

_EXIT_CODES = """## Exit codes

`smpchat explain CODE` says more about each: whose move is next, and what to type.

| code | means |
|---|---|
"""


def markdown() -> str:
    """The page."""
    codes = "".join(f"| {int(status)} | {status.meaning} |\n" for status in ExitStatus)
    return "\n".join([_HEADER.format(version=JSON_VERSION), *map(_section, TYPES), _EXIT_CODES + codes])


def _section(kind: ObjectType) -> str:
    lines = [f"## `{kind.name}`\n", f"{kind.meaning} Printed by {kind.printed_by}.\n"]
    lines += ["| field | value | meaning |", "|---|---|---|"]
    lines += [_row(prefix, field) for prefix, field in _flat("", kind.fields)]
    return "\n".join([*lines, ""])


def _flat(prefix: str, fields: tuple[Field, ...]) -> list[tuple[str, Field]]:
    rows = []
    for field in fields:
        rows.append((prefix, field))
        rows += _flat(f"{prefix}{field.name}{'[]' if field.kind is Kind.LIST else ''}.", field.fields)
    return rows


def _row(prefix: str, field: Field) -> str:
    value = ", ".join(f"`{value}`" for value in field.values) or field.kind.value
    value += " or null" if field.nullable else ""
    value += " (optional)" if field.optional else ""
    return f"| `{prefix}{field.name}` | {value} | {field.meaning} |"


if __name__ == "__main__":
    print(markdown(), end="")
