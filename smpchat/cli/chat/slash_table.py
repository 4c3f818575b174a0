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
    "/history": Command("/history [N]", "page back; /history forward pages forth, /history 50 shows the last 50"),
    "/search": Command("/search TEXT", "messages that contain a text"),
    "/status": Command("/status", "connection progress"),
    "/verify": Command("/verify [CODE]", "the security code, or compare it"),
    "/set": Command("/set [NAME VALUE]", "what you allow each other; /set disappear 1d"),
    "/switch": Command("/switch [URI]", "receive at another relay; /switch cancel gives that up"),
    "/resync": Command("/resync [refuse]", "set the encryption up anew, accept new keys, or refuse them"),
    "/anyway": Command("/anyway", "send what is held because keys have changed"),
    "/reply": Command("/reply [N] TEXT", "answer message N, or the last one"),
    "/edit": Command("/edit [N] [TEXT]", "edit your message N, or your last one (Up in an empty line)"),
    "/editor": Command("/editor", "write in $EDITOR (Ctrl-X Ctrl-E)"),
    "/forward": Command("/forward N WHO", "pass message N on to another contact"),
    "/delete": Command("/delete [N...]", "delete messages of yours for both, within 78 hours: /delete 3-5 7"),
    "/react": Command("/react [N] EMOJI", "react to message N, or the last one: +1, heart; -EMOJI takes it away"),
    "/invite": Command("/invite [ALIAS]", "make a one-time link"),
    "/connect": Command("/connect LINK ALIAS", "use somebody's link, and call them ALIAS"),
    "/rename": Command("/rename ALIAS", "call this contact something else"),
    "/requests": Command("/requests", "who wants to connect through your address"),
    "/accept": Command("/accept [WHO] [ALIAS]", "accept a request, by its number or the name in it"),
    "/reject": Command("/reject WHO", "forget a request; its sender is told nothing"),
    "/bell": Command("/bell [on|off]", "ring when somebody writes (default off, remembered)"),
    "/help": Command("/help", "this list"),
    "/quit": Command("/quit", "leave (Ctrl-D)"),
}
ELSEWHERE = (
    Command("@WHO TEXT", "one message to another contact"),
    Command("//TEXT", "a text that begins with /"),
    Command("Alt-Enter", "a new line in the message"),
    Command("Ctrl-Z", "leave for a moment; `fg` comes back"),
)
KEYS = (
    Command("Enter", "sends the line"),
    Command("Alt-Enter", "begins a new line in the message"),
    Command(
        "Up, in an empty line",
        "edits your last message; Up again goes further back through what you wrote to this contact",
    ),
    Command("Ctrl-R", "searches through what you wrote to this contact"),
    Command("Tab", "completes a slash command, an alias, the number of a request, the emoji after `/react`"),
    Command("Alt-A", "goes to the next contact with unread messages"),
    Command(
        "Ctrl-X Ctrl-E",
        "opens the line in your editor (`VISUAL`, else `EDITOR`); leaving the editor sends nothing",
    ),
    Command("Ctrl-C", "empties the line; in an empty line it leaves"),
    Command("Ctrl-D, in an empty line", "leaves"),
    Command("Ctrl-Z", "puts `chat` aside; `fg` in the shell brings it back"),
)
"""What keys do in `chat`: for the manual page, and docs/chat.md."""
