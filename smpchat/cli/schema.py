"""The JSON objects of ``--json`` as one table, from which their documentation is made.

``python -m smpchat.cli.schema`` prints ``docs/json.md``. One test checks that ``docs/json.md`` is current. Other tests
check that all commands print what the table says.
"""

from __future__ import annotations

import re
from typing import Any

from smpchat.chat.machines.group_states import Link, Standing
from smpchat.chat.store.files import FileState
from smpchat.chat.wire.group_values import Role
from smpchat.chat.wire.preferences import Allow, Feature
from smpchat.cli.environment import JSON_VERSION
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.fields import Field, Kind, ObjectType, flag, number, text
from smpchat.cli.topic import Kind as Explained
from smpchat.cli.topic import Mover
from smpchat.relay.statistics import Kind as FigureKind
from smpchat.relay.statistics import figures


def _figures() -> tuple[Field, ...]:
    """The relay's counters. A counter with parts, such as refusals by reason, is an object with a number for each."""
    by_kind = {"refused", "files_refused"} | {name for name, kind, _ in figures() if kind is FigureKind.HISTOGRAM}
    return tuple(
        Field(name, Kind.COUNTS if name in by_kind else Kind.NUMBER, meaning[0].lower() + meaning[1:])
        for name, _, meaning in figures()
    )


_CONNECTION_STATES = ("invited", "joining", "ready", "connected", "failed", "deleted")
_DIRECTION = text("direction", "`sent`: you wrote the quoted message", "sent", "received")
_REACTED = text(
    "direction", "`sent`: you reacted; `received`: the contact or members of the group reacted", "sent", "received"
)

_COMMANDS = Field(
    "commands",
    Kind.LIST,
    "the commands of the bot; to use one, send `/` and its keyword",
    optional=True,
    fields=(
        text("keyword", "the keyword of the command, without the slash"),
        text("label", "the words for the command in a menu"),
        text("params", "the parameters to write after the keyword; may be empty"),
    ),
)

_MOVE = Field(
    "move",
    Kind.OBJECT,
    "your queue for this contact is moving to another relay",
    optional=True,
    fields=(
        text(
            "step",
            "`creating`: the new queue is being created; `asked`: the contact's app has not answered yet; `securing`:"
            " the new queue is being secured; `using`: the contact's first message in the new queue has not come yet",
            "creating",
            "asked",
            "securing",
            "using",
        ),
        Field("since", Kind.TIME, "when this step of the move began"),
        text("relay", "host of the new relay, once it is known", optional=True),
    ),
)

_FILE_FIELDS = (
    text("name", "the name that the sender gave the file; not a path on this computer"),
    number("size", "the size of the file in bytes, as its sender states it"),
    text(
        "state",
        "`offered`: you can receive the file; `received`: the whole file is on this computer and was checked; `sent`:"
        " the contact can receive the file; `expired`: relays have deleted the file",
        *FileState,
    ),
    number("bytes", "about how many bytes have been transferred so far"),
    text("path", "the path of the file on this computer", optional=True),
    text("reason", "a sentence: why the transfer is waiting, has stopped or has failed", optional=True),
    text(
        "trouble",
        "for programs: the kind of problem that `reason` describes, such as `unreachable`; missing if no kind fits",
        optional=True,
    ),
    Field("expires_at", Kind.TIME, "when relays delete the file, as far as smpchat knows", optional=True),
)

_INCOGNITO = text("incognito", "a made-up name; others see this name, not your own", optional=True)

TYPES = (
    ObjectType(
        "invitation",
        "A one-time link that nobody has used yet.",
        "`invite`, `status`",
        (
            number("connection", "the number of the connection; `delete` takes it"),
            text("link", "the full link"),
            text("short_link", "a shorter form of the link", optional=True),
            text("command", "the command with which the other person connects to you"),
            text("note", "the alias for the person who will use the link", optional=True),
            Field("as_of", Kind.TIME, "when smpchat last knew that nobody had used the link", optional=True),
            _INCOGNITO,
        ),
    ),
    ObjectType(
        "state",
        "The current state of a connection; printed again after a change.",
        "`invite`, `connect`, `accept`, `listen`, `status`, `demo`",
        (
            number("connection", "the connection's number, as in `invitation`; a group has a negative number"),
            text("alias", "the contact's alias; null until someone uses the invitation", nullable=True),
            text(
                "role",
                "your role: `initiator` if you made the link, `joiner` if you used it; with a contact address,"
                " `initiator` if you sent the request, `joiner` if you received it",
                "initiator",
                "joiner",
            ),
            text(
                "variant",
                "the variant of the handshake; null while it is unknown",
                "instant",
                "three-step",
                "sender-secured",
                "standard",
                nullable=True,
            ),
            number("step", "the step of connecting: 1 invitation, 2 confirmation, 3 hello"),
            text("state", "`ready`: you can write; `connected`: the contact has answered", *_CONNECTION_STATES),
            number(
                "elapsed_ms",
                "milliseconds from making or using the link until the connection was `ready` or `connected`; in other"
                " states, until now",
            ),
            Field(
                "since",
                Kind.TIME,
                "when the connection became `ready` or `connected`; in other states, when the link was made or used",
                optional=True,
            ),
            text("reason", "a sentence: why the connection failed", optional=True),
            _MOVE,
            _INCOGNITO,
            flag("pq", "whether post-quantum encryption protects new messages (`status WHO`)", optional=True),
            flag("receipts", "whether the contact gets receipts for messages (`status`)", optional=True),
        ),
    ),
    ObjectType(
        "contact",
        "A contact.",
        "`contacts`, `contact show`, `contact set`, `mute`, `accept`, `rename`, `resync`, `rotate`, `listen`",
        (
            text("alias", "your name for the contact, used in commands"),
            number(
                "contact_id", "the contact's number: it never changes, and no other contact of the profile ever has it"
            ),
            flag(
                "alias_confirmed",
                "whether you chose the alias or verified the contact; if not, smpchat chose the alias",
            ),
            Field(
                "profile",
                Kind.OBJECT,
                "the contact's profile, with names that anyone can choose; null until the profile arrives",
                nullable=True,
                fields=(
                    text("name", "the name in the profile"),
                    text("full_name", "a longer name in the profile; may be empty"),
                    flag("bot", "the contact says that it is a bot", optional=True),
                    _COMMANDS,
                ),
            ),
            text(
                "state",
                "the state of the connection with the contact, as `state` in the object `state`",
                *_CONNECTION_STATES,
            ),
            number("unread", "messages that `listen` and `chat` have not shown yet"),
            flag("pq", "whether post-quantum encryption protects new messages"),
            flag("gone", "the contact removed you, so your messages no longer arrive", optional=True),
            Field("conditions", Kind.TEXTS, "the contact's problems: values of `kind` in `condition`", optional=True),
            flag("business", "the contact is a business: several people there may read your messages", optional=True),
            flag("group", "the contact is a group; `group members` lists its members", optional=True),
            flag("verified", "you compared the contact's security code, and it has not changed", optional=True),
            flag("receipts", "false: the contact gets no receipts for messages", optional=True),
            flag("muted", "messages from the contact ring no bell and show no notification", optional=True),
            Field(
                "muted_until",
                Kind.TIME,
                "when the contact is no longer muted; missing if the muting has no end",
                optional=True,
            ),
            text("looks_like", "the alias of another contact, which looks like this contact's name", optional=True),
            text("description", "a line in the contact's profile about the contact", optional=True),
            flag(
                "picture",
                "the contact's profile has a picture; `contact show --save-picture` saves the picture",
                optional=True,
            ),
            number(
                "disappear_after",
                "seconds after which messages disappear (`contact show`, `contact set`, `mute`)",
                optional=True,
            ),
            Field(
                "preferences",
                Kind.OBJECT,
                "the features that you and the contact allow (`contact show`, `contact set`, `mute`)",
                optional=True,
                fields=tuple(
                    Field(
                        str(feature),
                        Kind.OBJECT,
                        "who allows this feature, and who can use it",
                        fields=(
                            text(
                                "ours",
                                "whether you allow the contact to use the feature; `yes`: if the contact allows it too",
                                *Allow,
                            ),
                            text(
                                "theirs",
                                "whether the contact allows you to use the feature; `yes`: if you allow it too",
                                *Allow,
                            ),
                            flag("by_us", "whether you can use the feature"),
                            flag("by_them", "whether the contact can use the feature"),
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
        "group",
        "A group that you are or were in, or are invited to.",
        "`groups`, `group create`, `group join`, `group leave`, `group set`, `group delete`",
        (
            number("id", "the group's number; `group join` takes the number of an invitation"),
            text("alias", "your name for the group, used in commands; null for an invitation", nullable=True),
            text("name", "the name in the group's profile"),
            text("role", "your role", *(role.word for role in Role)),
            text("state", "`pending`, `review`: nobody has decided yet whether to let you in", *Standing),
            number("members", "current members, including you"),
            number("connected", "members to whom you are connected"),
            text("inviter", "alias of the contact that invites you", optional=True),
            flag(
                "business",
                "the group belongs to a business: several people there may read your messages",
                optional=True,
            ),
            text("description", "a line about the group", optional=True),
            text("welcome", "a greeting for people who join", optional=True),
            Field(
                "allows",
                Kind.TEXTS,
                "the features that you may use: `reactions`, `voice`, `files`, `links`, `direct`, `fulldelete`,"
                " `history`",
            ),
            number("disappear_after", "seconds after which messages disappear", optional=True),
            _INCOGNITO,
        ),
    ),
    ObjectType(
        "member",
        "A member of a group.",
        "`group members`, `group invite`, `group accept`, `group role`, `group remove`, `group block`, `group unblock`",
        (
            text("group", "the group's alias"),
            text("name", "the member's name, with a number if several have it; anyone can choose any name"),
            text("role", "what the member may do", *(role.word for role in Role)),
            text(
                "state",
                "`unknown`: other members mentioned this person, but nobody introduced the person to you",
                *Standing,
            ),
            text(
                "connection",
                "your direct connection to the member; if it is not `connected`, others pass the member's messages on,"
                " and could change them",
                *Link,
            ),
            flag("host", "this member let you in", optional=True),
            flag("blocked", "what this member writes is not shown", optional=True),
        ),
    ),
    ObjectType(
        "group-link",
        "Your link to a group.",
        "`group link`",
        (
            text("group", "the group's alias"),
            text("link", "the full link"),
            text("short_link", "a shorter form of the link", optional=True),
            text("command", "the command with which other people join"),
            text("role", "the role of people who join with this link", "observer", "member"),
        ),
    ),
    ObjectType(
        "address",
        "Your contact address.",
        "`address create`, `address set`, `address show`, `status`",
        (
            text("link", "the full link"),
            text("short_link", "a shorter form of the link", optional=True),
            text("command", "the command with which other people connect to you"),
            flag("auto_accept", "whether every request is accepted at once"),
            number("requests", "requests waiting for your answer"),
            number("turned_away", "requests turned away because too many were waiting", optional=True),
            Field(
                "turned_away_since",
                Kind.TIME,
                "when the first of the requests that were turned away came",
                optional=True,
            ),
            text("welcome", "text that people see before they send a request, and again when accepted", optional=True),
            text("auto_reply", "the message that is sent to each person you accept", optional=True),
        ),
    ),
    ObjectType(
        "request",
        "Someone used your address and wants to connect.",
        "`listen`, `requests`",
        (
            number("id", "the request's number, for `accept` and `reject`"),
            text("name", "the name in the sender's profile, which anyone can choose"),
            text("text", "the message in the request; null if the request contains none", nullable=True),
            Field("received_at", Kind.TIME, "when the relay received the request"),
            text(
                "relay_refused",
                "the reason why smpchat does not connect to the sender's relay: where the relay is, if it is not on the"
                " internet; `accept` then needs `--any-relay`",
                optional=True,
            ),
            flag("in_turn", "smpchat will accept the request automatically when its turn comes", optional=True),
            text("looks_like", "the alias of a contact of yours, which looks like this name", optional=True),
        ),
    ),
    ObjectType(
        "message",
        "A message in its current state.",
        "`connect`, `send`, `reply`, `forward`, `edit`, `retract`, `react`, `listen`, `history`, `search`, `demo`",
        (
            text("contact", "the contact's alias"),
            number("contact_id", "the contact's number, as in `contact`"),
            text("direction", "`sent`: you wrote the message", "sent", "received"),
            number(
                "id",
                "the number for `reply`, `edit`, `retract` and `react`; your contact's app has another number for"
                " this message",
            ),
            text("text", "the text of the message, exactly as it was written"),
            Field(
                "sent_at", Kind.TIME, "when you wrote the message; for a received message, when the relay accepted it"
            ),
            text("status", "explained at the top of this page", "pending", "sent", "delivered", "failed", "received"),
            text(
                "content",
                "the kind of message: `text`, `image`, `file`, `voice`, `video`, `link`, `chat` (a card with a"
                " link to a person or group), `call`, `group-invitation`, `group-event`, `profile-change`,"
                " `report`, or a kind that smpchat does not know; except for `text` and `link`, the text begins"
                " with a note in brackets",
            ),
            flag("verified", "you compared the contact's security code, and it has not changed", optional=True),
            text("reason", "a sentence: why the message failed", optional=True),
            text("sender", "who wrote the message, if the contact is a business or group", optional=True),
            flag("group", "the contact is a group", optional=True),
            text(
                "via",
                "in a group: the member who passed the message on and could have changed it; missing once the author's"
                " own copy has arrived",
                optional=True,
            ),
            number("delivered_to", "for a message to a group: how many members have received it", optional=True),
            number("members", "for a message to a group: to how many members it is sent directly", optional=True),
            text("command", "the keyword, if your profile is a bot and the text is one of its commands", optional=True),
            text("arguments", "the text after the keyword of the command", optional=True),
            flag(
                "forwarded", "the author did not write the text for this conversation, but forwarded it", optional=True
            ),
            flag("live", "the author had not finished writing the message when it was printed", optional=True),
            Field(
                "preview",
                Kind.OBJECT,
                "what the author's app says about a link in the message; smpchat did not open the link",
                optional=True,
                fields=(
                    text("uri", "the link"),
                    text("title", "the title of the page; may be empty"),
                    text("description", "a description of the page; may be empty"),
                ),
            ),
            Field(
                "reply_to",
                Kind.OBJECT,
                "the quoted message, which this message answers",
                optional=True,
                fields=(
                    number(
                        "id", "the number of the quoted message; null if you do not have this message", nullable=True
                    ),
                    _DIRECTION,
                    text("text", "the text of the quoted message"),
                    flag(
                        "deleted", "the quoted message was deleted or has disappeared; `text` is empty", optional=True
                    ),
                    text("sender", "the member of a group or business who wrote the quoted message", optional=True),
                ),
            ),
            Field("file", Kind.OBJECT, "the file in the message", optional=True, fields=_FILE_FIELDS),
            flag("edited", "the author edited the text", optional=True),
            flag("deleted", "the message was deleted; `text` is empty", optional=True),
            text(
                "deleted_by",
                "in a group: the member who deleted the message, if not the author; `you` if you deleted it",
                optional=True,
            ),
            number(
                "ttl",
                "seconds until the message disappears, counted from when it was shown or, if you wrote it, sent",
                optional=True,
            ),
            Field(
                "expires_at",
                Kind.TIME,
                "when the message disappears; missing until the countdown starts",
                optional=True,
            ),
            Field(
                "reactions",
                Kind.LIST,
                "the reactions to the message",
                optional=True,
                fields=(
                    text("emoji", "one of the eight emoji that apps accept"),
                    _REACTED,
                    number("people", "in a group: how many members chose this emoji; 1 if missing", optional=True),
                    Field(
                        "members", Kind.TEXTS, "in a group: names of the members who chose this emoji", optional=True
                    ),
                ),
            ),
        ),
    ),
    ObjectType(
        "file",
        "The current state of a message's file. `listen` prints it again when the state changes.",
        "`files`, `receive`, `cancel`, `listen`, `demo`",
        (
            number("message", "the number of the message with the file, for `receive`, `cancel` and `view`"),
            text("contact", "the contact's alias"),
            text("direction", "`sent`: you sent the file", "sent", "received"),
            *_FILE_FIELDS,
        ),
    ),
    ObjectType(
        "fetched",
        "A file that you received by its own link, without a message.",
        "`receive`",
        (
            text("path", "the path where the file was saved"),
            number("size", "the size of the file in bytes"),
        ),
    ),
    ObjectType(
        "progress",
        "How much of a file has been transferred; without `--json`, a progress bar shows this.",
        "`send`, `receive`",
        (
            number("message", "the number of the message with the file"),
            number("bytes", "about how many bytes have been transferred so far"),
            number("size", "the size of the file in bytes"),
        ),
    ),
    ObjectType(
        "version",
        "The versions of smpchat, of its protocols, and of the software that it runs on.",
        "`--version`",
        (
            text("smpchat", "the smpchat version"),
            text("python", "the Python version"),
            text("openssl", "the version of the TLS library"),
            text("sqlite", "the version of the database library"),
            Field(
                "protocols",
                Kind.OBJECT,
                "first and last supported version of each protocol",
                fields=tuple(
                    text(name, about)
                    for name, about in (
                        ("SMP", "versions that smpchat uses with relays"),
                        ("SMP of the embedded relay", "versions that the embedded relay offers to apps"),
                        ("agent", "versions that smpchat uses with other apps"),
                        ("end-to-end encryption", "versions of the double ratchet that smpchat supports"),
                    )
                ),
            ),
        ),
    ),
    ObjectType(
        "status",
        "The status of one of your messages changed.",
        "`send`, `reply`, `forward`, `listen`, `demo`",
        (
            number("id", "the message's number; an object of type `message` has the same number in its field `id`"),
            text("contact", "the contact's alias"),
            text("status", "the new status of the message", "pending", "sent", "delivered", "failed"),
            text("reason", "a sentence: why the message failed", optional=True),
            number("delivered_to", "for a message to a group: how many members have received it", optional=True),
            number("members", "for a message to a group: to how many members it is sent directly", optional=True),
        ),
    ),
    ObjectType(
        "profile",
        "One of your profiles.",
        "`profile show`, `profile set`, `profile list`, `profile switch`, `profile delete`, `import`, `status`",
        (
            text("name", "the profile's name on this computer, for the option `-p`"),
            text(
                "display_name", "the name that contacts see; null in a list if the profile is encrypted", nullable=True
            ),
            text("description", "a line about you that contacts see", optional=True),
            flag("picture", "whether the profile has a picture", optional=True),
            flag("bot", "whether the profile is a bot", optional=True),
            flag(
                "receipts",
                "whether contacts get receipts; `contact set` can change this for one contact (`profile show`,"
                " `profile set`, `status`)",
                optional=True,
            ),
            _COMMANDS,
            Field(
                "settings",
                Kind.OBJECT,
                "the imported profile's settings for relays and files (`import`)",
                optional=True,
                fields=(
                    Field("receives_at", Kind.TEXTS, "addresses of the relays that contacts write to"),
                    Field(
                        "servers",
                        Kind.TEXTS,
                        "addresses of the relays for new queues; empty: the embedded relay",
                        optional=True,
                    ),
                    text("socks", "the SOCKS proxy for relays, or `off`", optional=True),
                    flag(
                        "private_routing",
                        "messages to relays of other people go through the profile's own relays",
                        optional=True,
                    ),
                    text(
                        "strangers",
                        "`any`: relays named by other people may be anywhere, even in your own network",
                        "any",
                        optional=True,
                    ),
                    Field(
                        "file_servers",
                        Kind.TEXTS,
                        "addresses of the relays for files; empty: the embedded relay",
                        optional=True,
                    ),
                ),
            ),
            flag("active", "whether this profile is in use"),
            flag("deleted", "`profile delete` has deleted the profile", optional=True),
        ),
    ),
    ObjectType(
        "key",
        "Whether a profile is encrypted with a passphrase.",
        "`key set`, `key change`, `key remove`, `key test`",
        (
            text("profile", "the profile's name"),
            flag(
                "encrypted",
                "whether the profile is encrypted; after `key test`, true also means that the passphrase is right",
            ),
        ),
    ),
    ObjectType(
        "export",
        "A profile was exported to a file.",
        "`export`",
        (
            text("profile", "the profile's name"),
            text("file", "the full path of the exported file"),
            number("bytes", "the size of the exported file in bytes"),
            flag("moved", "whether the profile was moved; a moved profile can never go online on this computer again"),
        ),
    ),
    ObjectType(
        "server",
        "A relay.",
        "`server list`, `server add`, `server remove`, `server use`",
        (
            text("address", "the relay's address; null if the embedded relay has never been started", nullable=True),
            text("transport", "how smpchat reaches the relay", "tls", "websocket", "auto"),
            flag(
                "default", "whether new queues are created at this relay; for a file relay, whether new files go there"
            ),
            flag("embedded", "whether this is the embedded relay"),
            number("ws_port", "the relay's WebSocket port", optional=True),
        ),
    ),
    ObjectType(
        "config",
        "A setting, and where its value comes from.",
        "`config list`, `config get`, `config set`, `config unset`",
        (
            text("key", "the name of the setting"),
            Field("value", Kind.SETTING, "the value in use; `servers` and `file-servers` are lists of texts"),
            text(
                "source",
                "`everything`: the file for all profiles; `profile`: the profile's file; `stored`: set by a command for"
                " the profile; `option`: set by an option or variable of this command",
                "default",
                "everything",
                "profile",
                "stored",
                "option",
            ),
            text("path", "the config file in which the setting is set", optional=True),
            number("line", "the number of the line in this file", optional=True),
        ),
    ),
    ObjectType(
        "config-file",
        "A config file, which may not exist.",
        "`config path`",
        (
            text(
                "scope",
                "`everything`: the file for all profiles; `profile`: the file of this profile",
                "everything",
                "profile",
            ),
            text("path", "the full path of the file"),
            flag("exists", "whether the file exists"),
        ),
    ),
    ObjectType(
        "setting",
        "A setting that says how smpchat reaches relays.",
        "`server socks`, `server private-routing`, `server strangers`",
        (
            text("name", "the name of the setting", "socks", "private-routing", "strangers"),
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
        "A problem with a contact or relay that lasts until it is fixed.",
        "`listen`, `status`, `history`, `send`",
        (
            text("contact", "the contact's alias, if the problem is about a contact", optional=True),
            text("server", "address of the relay that cannot be reached", optional=True),
            text("kind", "the kind of problem, such as out-of-step, code-changed, queue-full or unreachable"),
            text("text", "one sentence; if a command helps, it names the command"),
            Field("since", Kind.TIME, "when the problem began"),
        ),
    ),
    ObjectType(
        "notice",
        "Something that happened to a connection or a relay. `listen` prints each notice only once.",
        "`listen`, `history`",
        (
            text("contact", "the contact's alias, if the notice is about a contact", optional=True),
            text("kind", "what happened, such as out-of-step, moved or relay-back; later versions may add kinds"),
            text("text", "one sentence: what happened"),
            Field("at", Kind.TIME, "when it happened"),
        ),
    ),
    ObjectType(
        "relay",
        "The embedded relay.",
        "`relay run`, `relay start`, `relay stop`, `relay status`, `relay restore`, `relay rotate-certificate`,"
        " `status`",
        (
            text("state", "whether the relay runs", "running", "stopped"),
            text("address", "the relay's address; null if the relay has never been started", nullable=True),
            number("pid", "the id of the relay's process; null if the relay is stopped", nullable=True),
            number("ws_port", "the relay's WebSocket port; null if there is none", nullable=True),
            number("files_port", "the relay's port for files; null if it stores no files", nullable=True),
            text(
                "files_address", "the relay's address for files, `xftp://…`; null if it stores no files", nullable=True
            ),
            text("files_trouble", "a sentence: why the relay does not store files although it should", optional=True),
            Field(
                "certificate_expires",
                Kind.TIME,
                "when the new certificate expires (`relay rotate-certificate`)",
                optional=True,
            ),
        ),
    ),
    ObjectType(
        "backup",
        "A relay was backed up to a file.",
        "`relay backup`",
        (
            text("file", "the full path of the backup"),
            number("bytes", "the size of the backup in bytes"),
        ),
    ),
    ObjectType(
        "stats",
        "The running relay's counters; they tell nothing about individual clients (relay.md).",
        "`relay stats`",
        _figures(),
    ),
    ObjectType(
        "deleted",
        "A contact or an invitation that you deleted.",
        "`delete`",
        (
            text("contact", "the contact's alias; null if you deleted an invitation", nullable=True),
            number("connection", "the number of the deleted connection"),
            flag(
                "finished",
                "whether the data at the relay is deleted too; if not, the next command that reaches the relay deletes"
                " these data",
            ),
        ),
    ),
    ObjectType(
        "verification",
        "A contact's security code.",
        "`verify`",
        (
            text("contact", "the contact's alias"),
            text("code", "the security code; your contact's app must show the same one"),
            flag("verified", "whether you have compared the code with your contact"),
        ),
    ),
    ObjectType(
        "check",
        "One check.",
        "`doctor`, `server test`",
        (
            text("name", "what was checked"),
            flag("ok", "whether the check passed"),
            text("detail", "what was found; may be empty"),
            flag("required", "whether smpchat needs what was checked (`doctor`)", optional=True),
            number("elapsed_ms", "how many milliseconds the check took (`server test`)", optional=True),
            text("server", "the address of the relay (`server test`)", optional=True),
        ),
    ),
    ObjectType(
        "explanation",
        "The meaning of an exit code or state.",
        "`explain`",
        (
            text("kind", "what the object explains", *Explained),
            text("name", "the name of the exit code or state, for `explain`"),
            number("code", "the exit code as a number; missing if the object explains a state", optional=True),
            text("meaning", "the meaning in one line"),
            text("text", "the meaning in sentences"),
            Field(
                "moves",
                Kind.LIST,
                "who does what next; several entries if that depends on the cause",
                fields=(
                    text("who", "who acts next", *Mover),
                    text("what", "a sentence: what happens, or has to be done"),
                ),
            ),
            Field(
                "commands",
                Kind.LIST,
                "commands that can help",
                fields=(
                    text("command", "what to type; replace the words in capitals"),
                    text("what", "what the command does"),
                ),
            ),
            Field("causes", Kind.TEXTS, "the usual causes of the exit code or state"),
        ),
    ),
    ObjectType(
        "error",
        "The command failed. The sentences in this object also go to standard error.",
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
        return ["not an object"]
    if value.get("v") != JSON_VERSION:
        return [f"v is {value.get('v')!r}"]
    kind = _BY_NAME.get(value.get("type", ""))
    if kind is None:
        return [f"unknown type {value.get('type')!r}"]
    rest = {name: item for name, item in value.items() if name not in ("v", "type")}
    return _problems(kind.name, kind.fields, rest)


def _problems(where: str, fields: tuple[Field, ...], value: object) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where}: not an object"]
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
                return [f"{where}: not a list"]
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
    return [] if fits else [f"{where}: {value!r} is not: {field.kind.value}"]


# -- the page ---------------------------------------------------------------------------------------------------------

_HEADER = """# What `--json` prints

`python -m smpchat.cli.schema` prints this page from the table in that module. Tests check that the page is current, and
that the commands print what the page says.

With `--json` anywhere in the command line, every command prints JSON objects on standard output: one per line, in
ASCII, flushed at once. Notices for people go to standard error; `-q` suppresses them. A command that fails prints an
`error` object, which contains the exit code.

Every object has `v`, which is {version}, and `type`. While `v` stays the same, no field is renamed or removed, or
changes its meaning. New fields and types may be added: ignore those you do not know. *Optional* fields are left out
when they do not apply. If commands stand in parentheses at the end of a meaning, only these commands print the field. A
*number* is a whole number. A *time* is ISO 8601 in UTC, such as `2025-01-31T09:14:00Z`, with or without a fraction.

The status of a message that you sent goes from `pending` to `sent` (a relay has it) to `delivered` (your contact's
app confirmed it), or to `failed`. Messages from others have the status `received`.
"""

_EXIT_CODES = """## Exit codes

`smpchat explain CODE` explains an exit code, and says what to do.

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
