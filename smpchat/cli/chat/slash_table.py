"""The slash commands of `chat`: how each is written, and what it does."""

from __future__ import annotations

from smpchat.encoding.record import Record


class Command(Record):
    """A slash command: how it is written, and what it does."""

    usage: str
    does: str


COMMANDS = {
    "/to": Command("/to WHO", "write to another contact"),
    "/next": Command("/next", "go to the next contact with unread messages (Alt-A)"),
    "/contacts": Command("/contacts", "list contacts"),
    "/history": Command("/history [N]", "page back; /history forward pages forward, /history 50 shows the last 50"),
    "/search": Command("/search TEXT", "search this conversation"),
    "/status": Command("/status", "show connection progress"),
    "/verify": Command("/verify [CODE]", "show your security code, or check theirs"),
    "/set": Command("/set [NAME VALUE]", "show or set what you allow each other, for example /set disappear 1d"),
    "/switch": Command(
        "/switch [ADDRESS]", "receive this contact's messages at another relay (also /rotate); /switch cancel undoes it"
    ),
    "/resync": Command("/resync [refuse]", "renew the encryption, or accept or refuse new keys"),
    "/anyway": Command("/anyway", "send the messages that are held because keys have changed"),
    "/reply": Command("/reply [N] TEXT", "reply to message N, or the last one"),
    "/edit": Command("/edit [N] [TEXT]", "edit your message N, or your last one (Up in an empty line)"),
    "/editor": Command("/editor", "write in $EDITOR (Ctrl-X Ctrl-E)"),
    "/forward": Command("/forward [N] WHO", "forward message N, or the last one, to another contact"),
    "/delete": Command(
        "/delete [N...]",
        "delete your messages for both of you, up to 78 hours after sending (also /retract): /delete 3-5 7",
    ),
    "/file": Command("/file PATH", "send a file, with a text if you like: /file a.jpg the beach"),
    "/get": Command("/get [N] [PATH]", "receive the file of message N, or the last file (also /receive)"),
    "/files": Command("/files", "list files of this conversation"),
    "/cancel": Command("/cancel N", "cancel a file; a file you sent is deleted at its relays"),
    "/view": Command("/view N", "show the picture of message N, or the path of its file"),
    "/react": Command(
        "/react [N] EMOJI", "react to message N, or the last one, for example with +1 or heart; -EMOJI removes it"
    ),
    "/invite": Command("/invite [WHO]", "make a one-time link for WHO; in a group, invite your contact WHO to it"),
    "/connect": Command("/connect LINK ALIAS", "open a link; ALIAS is your name for the contact or group"),
    "/rename": Command("/rename ALIAS", "change this contact's alias"),
    "/groups": Command("/groups", "list groups, and invitations to groups"),
    "/join": Command("/join N [ALIAS]", "accept invitation N to a group (/groups shows the numbers)"),
    "/members": Command("/members", "list who is in this group"),
    "/leave": Command("/leave GROUP", "leave this group; type its alias to confirm"),
    "/requests": Command("/requests", "list people who want to connect"),
    "/accept": Command("/accept [WHO] [ALIAS]", "accept a request, by its number or name"),
    "/reject": Command("/reject WHO", "reject a request; the sender is not told"),
    "/bell": Command("/bell [on|off]", "ring when someone writes (default off, remembered)"),
    "/mute": Command("/mute [8h|off]", "no bell or notifications for this contact, for a time or until /mute off"),
    "/help": Command("/help", "show this list"),
    "/quit": Command("/quit", "leave chat (Ctrl-D)"),
}
COMMANDS_OF_SHELL = {"/receive": "/get", "/retract": "/delete", "/rotate": "/switch"}
"""Commands such as `smpchat receive` whose slash command has another name. In `chat`, both names work."""
ELSEWHERE = (
    Command("@WHO TEXT", "send one message to another contact; in a group, any other @NAME mentions a member"),
    Command("//TEXT", "send a text that begins with /"),
    Command("Alt-Enter", "start a new line in the message"),
    Command("Ctrl-Z", "suspend chat; `fg` in the shell brings it back"),
)
KEYS = (
    Command("Enter", "sends the line"),
    Command("Alt-Enter", "starts a new line in the message"),
    Command(
        "Up, in an empty line",
        "edits your last message; Up again goes further back through your messages to this contact",
    ),
    Command("Ctrl-R", "searches your messages to this contact"),
    Command("Tab", "completes a slash command, an alias, a request's number, an emoji after `/react`"),
    Command("Alt-A", "goes to the next contact with unread messages"),
    Command(
        "Ctrl-X Ctrl-E",
        "opens the line in your editor (`VISUAL`, else `EDITOR`); leaving the editor sends nothing",
    ),
    Command("Ctrl-C", "clears the line; in an empty line, leaves `chat`"),
    Command("Ctrl-D, in an empty line", "leaves `chat`"),
    Command("Ctrl-Z", "suspends `chat`; `fg` in the shell brings it back"),
)
"""What keys do in `chat`: for the manual page, and docs/chat.md."""
