"""Bodies that real apps sent, played to one person: what its app heard, joined and wrote (``groups-real.jsonl.gz``).

``python -m tests.unit.chat.machines.replaying FILE`` prints what everybody in another file sees in the end.

The file has what went through connections, not what agents said of them. That a connection works is taken from what
only follows then: a first message through it, or the report to the host.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from smpchat.chat.machines.group_effects import MakeLink, Refused
from smpchat.chat.machines.group_inputs import Accept, Confirmed, Connected, Leave, Linked
from smpchat.chat.machines.group_links import answered, invited, invited_again
from smpchat.chat.machines.group_states import Group, Link, Standing
from smpchat.chat.wire.group_encoding import encode_group_event
from smpchat.chat.wire.group_events import (
    Deletion,
    Edit,
    GroupEvent,
    Invitation,
    InvitationAccepted,
    LinkForMember,
    LinkInvitation,
    MemberLeft,
    MemberPresents,
    MembersConnected,
    Post,
    Reaction,
)
from smpchat.chat.wire.group_values import MemberId
from smpchat.chat.wire.groups import GroupMessage, decode_group_messages
from smpchat.protocol.version import VersionRange
from tests.unit.chat.machines.view import View
from tests.vectors.formats.app_bodies import body_of

FILE = Path(__file__).parents[3] / "vectors" / "data" / "groups-real.jsonl.gz"
SPEAKS = VersionRange(1, 16)


@cache
def records(file: Path = FILE) -> tuple[dict[str, Any], ...]:
    """All bodies, in order."""
    content = file.read_bytes()
    lines = (gzip.decompress(content) if file.suffix == ".gz" else content).splitlines()
    return tuple(map(json.loads, lines))


@dataclass
class Replay:
    """What one person goes through, group after group.

    Attributes:
        views: Each group that the person was ever invited to, by the group's first name, in order.
        wrote: What the app wrote of its own accord, as the machine should.
        file: What is played.
        make: Keeps what a group is.
    """

    person: str
    file: Path = FILE
    make: Callable[[Group], View] = View
    views: dict[str, View] = field(default_factory=dict)
    ids: dict[str, MemberId] = field(default_factory=dict)
    wrote: list[GroupEvent] = field(default_factory=list)

    @property
    def view(self) -> View:
        """The group in hand."""
        return list(self.views.values())[-1]

    def until(self, case: str) -> Replay:
        """Play everything up to that step, with it."""
        seen = False
        for record in records(self.file):
            here = record["case"].startswith(case)
            if seen and not here:
                return self
            seen = seen or here
            self._play(record)
        assert seen, "no such step"
        return self

    # -- one body ---------------------------------------------------------------------------------------------------

    def _play(self, record: dict[str, Any]) -> None:
        if record["event"] == "A_RCVD":
            return
        for message in decode_group_messages(body_of(record)):
            self._note(record, message.event)
            if record["to"].partition("(")[0] == self.person and self._comes(record):
                self._hear(record, message)
            elif record["from"].partition("(")[0] == self.person and self._leaves(record):
                self._say(record, message)

    @staticmethod
    def _comes(record: dict[str, Any]) -> bool:
        # what a peer says when it allows, and when it answers a request, stands in the file as it left
        return record["sent_or_received"] == "received" or "peer gets INFO" in record["what"]

    @staticmethod
    def _leaves(record: dict[str, Any]) -> bool:
        return record["sent_or_received"] == "sent" or record["event"] in ("x.grp.acpt", "x.grp.mem.info")

    def _note(self, record: dict[str, Any], event: GroupEvent) -> None:
        """Who has which id in the group in hand: everybody tells its own when it joins."""
        match event:
            case Invitation(host, invited=own) | LinkInvitation(host, invited=own):
                self.ids[record["from"]], self.ids[record["to"].partition("(")[0]] = host.member, own.member
            case InvitationAccepted(member) | MemberPresents(member):
                self.ids[record["from"].partition("(")[0]] = member

    def _hear(self, record: dict[str, Any], message: GroupMessage) -> None:
        event, at = message.event, record["at"] / 1000
        match event:
            case Invitation():
                name = event.profile.name
                if name in self.views:
                    again, refused = invited_again(self.view.group, event)
                    assert not refused
                    self.view.becomes(again)
                    return
                group = invited(event, record["from"], SPEAKS)
                assert not isinstance(group, Refused)
                self.views[name] = self.make(group)
                return
            case LinkInvitation():
                group = answered(event, SPEAKS)
                assert not isinstance(group, Refused)
                name = event.profile.name
                self.views[name + "'" * sum(known.startswith(name) for known in self.views)] = self.make(group)
                self.view.happens(Confirmed(event.host.member, event))
                return
        if record["via"].startswith("contact") or not self.views:
            return
        sender = self.ids[record["from"].partition("(")[0]]
        if record["what"].startswith("connInfo"):
            if sender in self.view.group.members:
                self.view.happens(Confirmed(sender, event))
            return
        known = self.view.group.members.get(sender)
        if known is not None and known.link in (Link.JOINING, Link.OFFERED) and not known.gone:
            self.view.happens(Connected(sender))
        found = self.view.hears(sender, message, at)
        for effect in found:
            if isinstance(effect, MakeLink):
                self.view.happens(Linked(effect.member, f"simplex:/invitation#{effect.member.hex()}"))

    def _say(self, record: dict[str, Any], message: GroupMessage) -> None:
        if not self.views or record["via"].startswith("contact"):
            return
        event, view, at = message.event, self.view, record["at"] / 1000
        if not isinstance(event, InvitationAccepted) and not view.group.active:
            return
        match event:
            case InvitationAccepted():
                if view.group.own.standing is Standing.INVITED:
                    view.happens(Accept())
            case MembersConnected(member):
                if view.group.members[member].link in (Link.JOINING, Link.OFFERED):
                    view.happens(Connected(member))
                self.wrote.append(event)
            case LinkForMember(member, _, direct):
                self.wrote.append(LinkForMember(member, f"simplex:/invitation#{member.hex()}", direct))
            case MemberLeft():
                view.happens(Leave())
            case Post():
                assert message.shared_id is not None
                if (view.group.own.id, message.shared_id) not in view.lines:
                    view.says(message.shared_id, event, at)
            case Edit(original) if (view.group.own.id, original) in view.lines:
                line = view.lines[view.group.own.id, original]
                line.text, line.edited = Post(event.content).text, True
            case Deletion(original, author):
                self._deleted(original, author or view.group.own.id)
            case Reaction(original, author, emoji, add) if author is not None:
                line = view.lines[author, original]
                (line.reactions.add if add else line.reactions.discard)((view.group.own.id, emoji))

    def _deleted(self, original: str, author: MemberId) -> None:
        if (author, original) in self.view.lines:
            self.view.lines[author, original].gone = self.view.group.own.id


def of_its_own_accord(view: View) -> Iterator[bytes]:
    """What the machine wants said without being asked, as JSON."""
    for send in view.sent:
        if isinstance(send.event, MembersConnected | LinkForMember):
            yield encode_group_event(send.event)


def main(file: Path) -> None:
    """What everybody in another file of this form sees in the end, and what of it was refused."""
    persons = dict.fromkeys(record["to"].partition("(")[0] for record in records(file))
    for person in persons:
        replay = Replay(person, file).until(records(file)[-1]["case"])
        for name, view in replay.views.items():
            print(f"== {person} in {name} ({view.group.own.standing}, {view.group.own.role.word}): {view.members}")
            for line in view.lines.values():
                print(f"   {view.text(line)[:100]}")
            for refused in view.refused:
                print(f"   refused: {refused.event}: {refused.why}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FILE)
