"""What Tab offers in `chat`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from smpchat.chat.wire.message import REACTIONS
from smpchat.cli.chat.conversation import Conversation
from smpchat.cli.chat.slash_table import COMMANDS
from smpchat.cli.emoji import BY_NAME
from smpchat.cli.features import SETTINGS
from smpchat.cli.text import shortened


class SlashCompleter(Completer):
    """Completes slash commands at the beginning of a line, and the arguments of some slash commands.

    The completer offers aliases after ``/to``, ``/invite``, and an ``@`` at the beginning of a line. After every ``@``
    it also offers the members of the current group. After ``/react`` it offers the emoji with which apps can react.
    After ``/accept`` and ``/reject`` the completer finds requests by number or name, but offers only the numbers,
    because strangers chose the names.
    """

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._path_completer = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """See `Completer`."""
        text = document.text_before_cursor
        if text.startswith("/to "):
            yield from self._aliases(text.removeprefix("/to "), "")
        elif text.startswith("@") and " " not in text:
            yield from self._aliases(text[1:], " ")
            yield from self._members(text[1:], but=self._conversation.aliases())
        elif not text.startswith("/") and (mention := re.search(r"\s@(\S*)$", text)) is not None:
            yield from self._members(mention[1])
        elif text.startswith("/invite "):
            yield from self._aliases(text.removeprefix("/invite "), "")
        elif (invitation := re.fullmatch(r"/join +(\S*)", text)) is not None:
            yield from self._invitations(invitation[1])
        elif (reaction := re.fullmatch(r"/react +(?:\d+ +)?(-?)(\D\S*)?", text)) is not None:
            begun = reaction[2] or ""
            yield from (Completion(emoji, -len(begun)) for emoji in REACTIONS if emoji.startswith(begun))
            yield from (Completion(name, -len(begun)) for name in BY_NAME if begun and name.startswith(begun))
        elif (setting := re.fullmatch(r"/set +(\S*)", text)) is not None:
            yield from (Completion(name, -len(setting[1])) for name in SETTINGS if name.startswith(setting[1]))
        elif text.startswith("/file "):
            yield from self._paths(text.removeprefix("/file ").lstrip(), complete_event)
        elif text.startswith("/bell "):
            begun = text.removeprefix("/bell ")
            yield from (Completion(word, -len(begun)) for word in ("on", "off") if word.startswith(begun))
        elif (answer := re.fullmatch(r"/(?:accept|reject) +(.*)", text)) is not None:
            yield from self._requests(answer[1])
        elif text.startswith("/") and " " not in text:
            for name, command in COMMANDS.items():
                if name.startswith(text):
                    yield Completion(name, -len(text), display_meta=command.does)

    def _aliases(self, begun: str, after: str) -> Iterable[Completion]:
        for alias in self._conversation.aliases():
            if alias.casefold().startswith(begun.casefold()):
                yield Completion(alias + after, -len(begun))

    def _members(self, begun: str, but: Collection[str] = ()) -> Iterable[Completion]:
        """Members of the current group, so that the user can mention one; the names in ``but`` are left out."""
        view = self._conversation.current
        for member in () if view is None or view.group is None else view.group.current:
            if member.name.casefold().startswith(begun.casefold()) and member.name not in but:
                yield Completion(member.name + " ", -len(begun))

    def _invitations(self, begun: str) -> Iterable[Completion]:
        for group in self._conversation.service.groups():
            if group.alias is None and str(group.id).startswith(begun):
                yield Completion(str(group.id), -len(begun), display_meta=shortened(group.name))

    def _requests(self, begun: str) -> Iterable[Completion]:
        for request in self._conversation.requests():
            number = str(request.id)
            if number.startswith(begun) or request.name.casefold().startswith(begun.casefold()):
                yield Completion(number, -len(begun), display_meta=shortened(request.name))

    def _paths(self, begun: str, event: CompleteEvent) -> Iterable[Completion]:
        """Files and folders on this computer; names with blanks need no quotes."""
        yield from self._path_completer.get_completions(Document(begun, len(begun)), event)
