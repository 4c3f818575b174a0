"""What `smpchat explain` says about the words that `groups` and `group members` print."""

from __future__ import annotations

from smpchat.cli.topic import Kind, Mover, Topic

_STAYS = "The conversation stays on your computer."
_DELETE = ("smpchat delete WHO", "remove the conversation from this computer")

GROUP_TOPICS = (
    Topic(
        Kind.GROUP,
        "invited",
        "somebody is invited and not in the group yet",
        "`groups` shows the invitations that you have not answered. `group members` shows people whom you invited, and"
        " people who are just joining with the group's link.",
        (
            (Mover.YOU, "Join, or decline. If you decline, the person who invited you is not told."),
            (Mover.MEMBER, "A person whom you invited joins while you are online."),
        ),
        (
            ("smpchat group join NUMBER", "join; `smpchat groups` shows the number"),
            ("smpchat group leave NUMBER", "decline"),
            ("smpchat group remove GROUP MEMBER", "take back your invitation"),
        ),
    ),
    Topic(
        Kind.GROUP,
        "joining",
        "you want to join, and nobody has let you in yet",
        "Your answer to the invitation is sent, or saved here until the relay is reached. You need not stay online.",
        ((Mover.MEMBER, "The person who invited you, or who made the group's link, comes online."),),
        (
            ("smpchat listen", "stay online until you are in the group"),
            ("smpchat groups", "whether you are in the group"),
            ("smpchat group leave GROUP", "give up"),
        ),
    ),
    Topic(
        Kind.GROUP,
        "pending",
        "the newcomer is waiting to be let in; somebody in the group decides",
        "Until then, only the members who can let the newcomer in can read what the newcomer writes. In JSON,"
        " `pending` means that the member who made the group's link decides, and `review` that the moderators decide.",
        (
            (Mover.MEMBER, "If you are the newcomer: a member lets you in, or turns you away."),
            (Mover.YOU, "If you are a moderator: let the newcomer in, or turn them away."),
        ),
        (
            ("smpchat group accept GROUP MEMBER", "let the newcomer in"),
            ("smpchat group remove GROUP MEMBER", "turn the newcomer away"),
            ("smpchat group leave GROUP", "stop waiting"),
        ),
        also=("review", "waiting to be let in"),
    ),
    Topic(
        Kind.GROUP,
        "current",
        "in the group; lists show the role instead: owner, admin, moderator, member or observer",
        "Observers read and react. Members and authors also write. Moderators also let in newcomers, block members and"
        " delete messages of others. Admins also invite and remove members, and give roles. Owners also change the"
        " group and end it.",
        ((Mover.NOBODY, "You need not do anything."),),
        (
            ("smpchat group members GROUP", "who is in the group"),
            ("smpchat send WHO -- TEXT", "write to the group"),
            ("smpchat group role GROUP MEMBER ROLE", "change what a member may do"),
        ),
        also=("member", "owner", "admin", "moderator", "author", "observer"),
    ),
    Topic(
        Kind.GROUP,
        "left",
        "you left, or this member left",
        f"The group continues without the person who left. {_STAYS}",
        ((Mover.MEMBER, "They invite you again, or give you the group's link, if you want to come back."),),
        (_DELETE, ("smpchat group members GROUP --all", "list also those who left")),
        also=("you left",),
    ),
    Topic(
        Kind.GROUP,
        "removed",
        "you were removed, or this member was removed",
        f"An admin or owner did it. The group continues without the person who was removed. {_STAYS}",
        ((Mover.MEMBER, "They invite you again, or give you the group's link, if you want to come back."),),
        (_DELETE, ("smpchat history WHO", "who removed you or the member")),
        also=("you were removed",),
    ),
    Topic(
        Kind.GROUP,
        "deleted",
        "an owner ended the group for everybody",
        f"Nobody can write in it any more. {_STAYS}",
        ((Mover.NOBODY, "The group cannot be brought back."),),
        (_DELETE, ("smpchat group create NAME", "make a new group")),
    ),
    Topic(
        Kind.GROUP,
        "unknown",
        "somebody who wrote here, and is not a member that you know",
        "Another member passed on a message of this person. Nobody has introduced them to you, and nothing proves who"
        " they are.",
        ((Mover.MEMBER, "The member who let the person in comes online and introduces them."),),
        (("smpchat group members GROUP --all", "list also people whom you do not know"),),
        also=("not a member that you know",),
    ),
    Topic(
        Kind.MEMBER,
        "none",
        "you are not connected; another member passes messages on between you",
        "The member who let one of you in passes the messages on, and could change them. These messages are marked"
        " with the name of that member, such as [via alice].",
        ((Mover.MEMBER, "The member who passes messages on introduces you to each other."),),
        (("smpchat listen", "stay online, so that you can be connected"),),
        also=("not connected",),
    ),
    Topic(
        Kind.MEMBER,
        "wanted",
        "the connection is waiting for its turn; smpchat limits new connections per minute",
        "Until you are connected, messages come through the member who let one of you in.",
        ((Mover.NOBODY, "Every command that goes online continues connecting."),),
        (("smpchat listen", "stay online until all connections are made"),),
        also=("to-join", "waiting for its turn"),
    ),
    Topic(
        Kind.MEMBER,
        "making",
        "your app and the member's app are connecting",
        "Until you are connected, messages come through the member who let one of you in.",
        ((Mover.MEMBER, "The member comes online, and so does the member who let one of you in."),),
        (("smpchat listen", "stay online until you are connected"),),
        also=("offered", "joining", "connecting"),
    ),
    Topic(
        Kind.MEMBER,
        "connected",
        "you and this member write to each other directly",
        "Only such a connection proves that a message is from this member, because anyone can choose any name.",
        ((Mover.NOBODY, "The connection is complete."),),
    ),
)
