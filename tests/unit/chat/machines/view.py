"""What a person sees of a group: effects of its machine, kept in lists as a store would keep them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from smpchat.chat.machines import group_effects as effects
from smpchat.chat.machines.group_effects import Effect, Hidden, Refused, Send, Show, Tell
from smpchat.chat.machines.group_inputs import NOTHING, Heard, Input, Item, Known, Seen, asks
from smpchat.chat.machines.group_states import Group, Link, Standing
from smpchat.chat.machines.groups import step
from smpchat.chat.wire.group_events import Forward, Post
from smpchat.chat.wire.group_values import MemberId
from smpchat.chat.wire.groups import GroupMessage

Key = tuple[MemberId, str]


@dataclass
class Line:
    """One message. ``gone``: who deleted it."""

    author: MemberId
    text: str
    said_at: float
    scope: MemberId | None
    forwarder: MemberId | None
    hidden: Hidden | None = None
    gone: MemberId | None = None
    edited: bool = False
    live: bool = False
    reactions: set[tuple[MemberId, str]] = field(default_factory=set)


@dataclass
class View:
    """A group, and what came of all that happened to it."""

    group: Group
    lines: dict[Key, Line] = field(default_factory=dict)
    seen: dict[Key, Seen] = field(default_factory=dict)
    whole: set[Key] = field(default_factory=set)
    deletions: dict[Key, list[MemberId]] = field(default_factory=dict)
    early: dict[Key, set[tuple[MemberId, str]]] = field(default_factory=dict)
    sent: list[Send] = field(default_factory=list)
    told: list[Tell] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    done: list[Effect] = field(default_factory=list)
    """All other effects, in order."""

    def happens(self, event: Input) -> tuple[Effect, ...]:
        """Step, and do what comes out."""
        self.group, found = step(self.group, event)
        for effect in found:
            self._do(effect)
        return found

    def becomes(self, group: Group) -> None:
        """Something changed it that is no event."""
        self.group = group

    def hears(self, sender: MemberId, message: GroupMessage, at: float) -> tuple[Effect, ...]:
        """A member says something."""
        asked = asks(sender, message)
        key = None if asked.event is None else (asked.by, asked.event)
        known = self._known(key, asked.item, asked.by)
        found = self.happens(Heard(sender, message, at, at, known))
        if key is not None:
            self.note(key, sender if isinstance(message.event, Forward) else None)
        return found

    def note(self, key: Key, forwarder: MemberId | None) -> None:
        """An event came."""
        if key not in self.seen or forwarder is None:
            self.seen[key] = Seen(forwarder)

    def says(self, shared_id: str, post: Post, at: float) -> None:
        """We write."""
        own = self.group.own.id
        self.lines[own, shared_id] = Line(own, post.text, at, post.scope, None)
        self.seen[own, shared_id] = Seen(None)

    def _known(self, key: Key | None, item: Key | None, by: MemberId) -> Known:
        if key is None and item is None:
            return NOTHING
        line = self.lines.get(item) if item else None
        found = None
        if line is not None:
            kinds = sum(who == by for who, _ in line.reactions)
            found = Item(line.author, line.said_at, line.scope, kinds)
        seen, moderators = (self.seen.get(key), self.deletions.get(key, [])) if key else (None, [])
        if item is not None and found is None:
            moderators = self.deletions.get(item, moderators)
        return Known(seen, found, item in self.whole, tuple(moderators))

    def _do(self, effect: Effect) -> None:
        match effect:
            case Show(author, shared_id, post, said_at, scope, forwarder, _, hidden, by):
                key = (author, shared_id or f"none {len(self.lines)}")
                line = Line(author, post.text, said_at, scope, forwarder, hidden, live=post.live)
                line.gone = by
                line.reactions = self.early.pop(key, set())
                assert key not in self.lines
                self.lines[key] = line
                if hidden is Hidden.MODERATED:
                    del self.deletions[key]
            case effects.Prove(author, shared_id, post):
                proven = self.lines.get((author, shared_id))
                if proven is not None:
                    proven.forwarder = None
                    proven.text = proven.text if proven.edited else post.text
            case effects.Change(author, edit):
                line = self.lines[author, edit.original]
                line.text, line.edited, line.live = Post(edit.content).text, True, edit.live
            case effects.Remove(author, shared_id, by, whole):
                self._remove((author, shared_id), by, whole=whole)
            case effects.RemoveAll(author, by, whole):
                for key in [key for key, line in self.lines.items() if line.author == author]:
                    self._remove(key, by, whole=whole)
            case effects.KeepDeletion(author, shared_id, by):
                self.deletions.setdefault((author, shared_id), []).append(by)
            case effects.React(author, shared_id, by, emoji, add):
                there = self.lines.get((author, shared_id))
                kept = there.reactions if there else self.early.setdefault((author, shared_id), set())
                (kept.add if add else kept.discard)((by, emoji))
            case Send():
                self.sent.append(effect)
            case Tell():
                self.told.append(effect)
            case Refused():
                self.refused.append(effect)
            case _:
                self.done.append(effect)

    def _remove(self, key: Key, by: MemberId, *, whole: bool) -> None:
        if whole:
            del self.lines[key]
            self.whole.add(key)
        else:
            self.lines[key].gone = by

    # -- what is looked at ------------------------------------------------------------------------------------------

    def name(self, member: MemberId) -> str:
        """How a member is called; we are "me"."""
        return "me" if member == self.group.own.id else self.group.members[member].name

    @property
    def members(self) -> dict[str, str]:
        """Everybody whom the group has or had, with role, and what else there is to say."""
        found = {}
        for member in self.group.members.values():
            marks = [] if member.standing is Standing.CURRENT else [member.standing.value]
            marks += [] if member.link is not Link.CONNECTED else ["connected"]
            marks += ["blocked"] if member.blocked else []
            found[member.name] = " ".join([member.role.word, *marks])
        return found

    def conversation(self, scope: MemberId | None = None) -> list[str]:
        """The main conversation, or a support chat, as text in the order in which it came."""
        return [self.text(line) for line in self.lines.values() if line.scope == scope]

    def text(self, line: Line) -> str:
        """One message."""
        marks = [f"{line.hidden.value}"] if line.hidden else []
        marks += [f"deleted by {self.name(line.gone)}"] if line.gone is not None and not line.hidden else []
        marks += ["edited"] if line.edited else []
        marks += [f"{emoji} {self.name(who)}" for who, emoji in sorted(line.reactions)]
        return f"{self.name(line.author)}: {line.text}" + "".join(f" ({mark})" for mark in marks)

    def count(self, kind: type[Any]) -> int:
        """How often an effect came, of those that no list of its own holds."""
        return sum(isinstance(effect, kind) for effect in self.done)
