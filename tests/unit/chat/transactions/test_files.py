"""Files of messages in the store: what is offered, asked for and withdrawn, and when a message counts as sent.

Two people on one relay; what file relays would do is told to the agent's application by hand, so that no byte is moved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from smpchat.agent.errors import RelaysNotApproved
from smpchat.agent.store import consents
from smpchat.chat.errors import FileUnavailable, InputError
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store import events, settings
from smpchat.chat.store import files as message_files
from smpchat.chat.store.files import FileState, FileView, MessageFile
from smpchat.chat.store.records import Direction, Message, MessageStatus
from smpchat.chat.transactions import conversation, files
from smpchat.chat.wire.files import MAX_FILE, PART, DescriptionPart, FileDescription
from smpchat.client.trouble import Trouble
from smpchat.encoding.record import replace
from smpchat.protocol.address import FileServer, parse_file_server
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import MemoryRelay
from tests.faults.people import START, Person

RELAY = "xftp://KTkvICiCbmKGH_w5Wxy6_qIzbLclG5bqbaDD7t_EaGw=@files.example.org"
SERVER = parse_file_server(RELAY).server
DAY = 86_400.0


def description(*, relay: str = RELAY, size: str = "64kb") -> str:
    """A file of one chunk, made up."""
    return (
        f"chunkSize: {size}\n"
        "digest: Rzf1S1c7Q1IP1dPRo2_56floK54O4rvYJQVQPf3WsBx11OffVfxFiyVn9RVC4pcy8qvIIoMipcz9dps5ZBIhAQ==\n"
        "key: BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=\n"
        "nonce: BgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYG\n"
        "party: recipient\n"
        "replicas:\n"
        "- chunks:\n"
        "  - 1:oaGhoaGhoaGhoaGhoaGhoQ==:MC4CAQAwBQYDK2VwBCIEICAhIiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5Ojs8PT4_"
        ":a4ayc_80_OGda4BO_1o_V0etpOqiLx1JwB5S3beHW0s=\n"
        f"  server: {relay}\n"
        f"size: {size}\n"
    )


class Two:
    """Alice and Bob, connected on one relay."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.relay = MemoryRelay(SeededEntropy("relay"), lambda: START, host="relay.test")
        self.alice, self.bob = (Person(name, folder / name, [self.relay], home=self.relay) for name in ("alice", "bob"))
        self.photo = folder / "photo.txt"
        self.photo.write_bytes(b"hello world\n")

    async def connect(self) -> None:
        number = self.alice.service.invite("bob")
        await self.alice.until(lambda service: service.invitations()[0].link is not None)
        invitation = self.alice.service.invitation(number)
        assert invitation is not None and invitation.link is not None
        self.bob.service.connect(invitation.link, "alice")
        await self.bob.until(lambda service: service.contact("alice").state.state == "connected")
        await self.alice.until(lambda service: service.contact("bob").state.state == "connected")

    async def sent(self, text: str = "") -> tuple[int, int]:
        """A file of Alice's whose message has arrived: its number on her side and on Bob's."""
        before = len(self.bob.service.history("alice"))
        ours = self.alice.service.send_file("bob", self.photo, text).id
        await self.bob.until(lambda service: len(service.history("alice")) > before)
        return ours, self.bob.service.history("alice")[-1].id

    def upload(self, number: int, text: str | None = None) -> None:
        """What the agent says once the file is at its relays; then whoever is online tends it."""
        service = self.alice.service
        with service.database.transaction() as tx:
            file = message_files.find(tx, number)
            assert file is not None and file.transfer is not None
            service.context.application.file_uploaded(tx, file.transfer, (description() if text is None else text,))
        service.tend_files()

    async def described(self, ours: int, theirs: int, text: str | None = None) -> None:
        self.upload(ours, text)
        await self.alice.until(lambda service: view(service, ours).state is FileState.SENT)
        await self.bob.until(lambda service: row(service, theirs).complete or view(service, theirs).reason is not None)

    async def close(self) -> None:
        await self.relay.stop()
        self.alice.service.close()
        self.bob.service.close()


def message(service: ChatService, number: int) -> Message:
    found = service.message(number)
    assert found is not None
    return found


def view(service: ChatService, number: int) -> FileView:
    file = message(service, number).file
    assert file is not None
    return file


def row(service: ChatService, number: int) -> MessageFile:
    file = message_files.find(service.database.connection, number)
    assert file is not None
    return file


def run(folder: Path, scenario: Callable[[Two], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        two = Two(folder)
        async with two.alice.online(), two.bob.online():
            await two.connect()
            await scenario(two)
        await two.close()

    run_jumping(main)


def own(server: FileServer) -> bool:
    return server == SERVER


# -- sending ----------------------------------------------------------------------------------------------------------


def test_a_message_with_a_file_is_sent_once_the_contact_can_fetch_it(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        ours, theirs = await two.sent("look")
        received = message(two.bob.service, theirs)
        assert (received.text, received.content) == ("[file photo.txt, 12 bytes] look", "file")
        assert view(two.bob.service, theirs) == replace(
            view(two.bob.service, theirs), name="photo.txt", size=12, state=FileState.OFFERED, reason=None
        )
        await asyncio.sleep(60)  # its receipt has come long ago
        assert message(two.alice.service, ours).status is MessageStatus.PENDING
        assert view(two.alice.service, ours).state is FileState.SENDING
        await two.described(ours, theirs)
        assert message(two.alice.service, ours).status is MessageStatus.DELIVERED
        assert not row(two.alice.service, ours).description  # its keys are the contact's alone
        assert row(two.bob.service, theirs).description == description()

    run(tmp_path, scenario)


def test_a_long_description_arrives_in_parts_and_whole(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        text = "".join(chr(33 + number % 90) for number in range(3 * PART + 5))
        ours, theirs = await two.sent()
        await two.described(ours, theirs, text)
        assert (row(two.bob.service, theirs).description, row(two.bob.service, theirs).parts) == (text, 4)

    run(tmp_path, scenario)


def test_a_file_whose_upload_fails_fails_its_message_and_no_other(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        ours, _ = await two.sent()
        other, _ = await two.sent()
        service = two.alice.service
        with service.database.transaction() as tx:
            service.context.application.file_failed(tx, row(service, ours).transfer or 0, Trouble.TIME_UP)
        failed = message(service, ours)
        assert (failed.status, view(service, ours).state) == (MessageStatus.FAILED, FileState.FAILED)
        assert failed.reason == "The file could not be uploaded within a day." == view(service, ours).reason
        assert message(service, other).status is MessageStatus.PENDING

    run(tmp_path, scenario)


def test_a_caption_can_be_edited(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        ours, theirs = await two.sent("helo")
        two.alice.service.edit(ours, "hello")
        await two.bob.until(lambda service: message(service, theirs).edited)
        for service, number in ((two.alice.service, ours), (two.bob.service, theirs)):
            assert message(service, number).text == "[file photo.txt, 12 bytes] hello"
            assert (message(service, number).content, view(service, number).name) == ("file", "photo.txt")

    run(tmp_path, scenario)


@pytest.mark.parametrize("how", ["cancel", "retract"])
def test_what_is_taken_back_is_deleted_at_its_relays_and_cannot_be_received(tmp_path: Path, how: str) -> None:
    async def scenario(two: Two) -> None:
        ours, theirs = await two.sent()
        await two.described(ours, theirs)
        two.bob.service.receive_file(theirs, tmp_path, own=own)
        transfer = row(two.bob.service, theirs).transfer
        if how == "cancel":
            two.alice.service.cancel_file(ours)
            await two.bob.until(lambda service: view(service, theirs).state is FileState.CANCELLED)
            assert view(two.bob.service, theirs).reason == "alice cancelled the file."
            assert view(two.alice.service, ours).state is FileState.CANCELLED
            with pytest.raises(FileUnavailable, match="alice cancelled the file"):
                two.bob.service.receive_file(theirs, tmp_path, own=own)
        else:
            two.alice.service.retract(ours)
            await two.bob.until(lambda service: message(service, theirs).deleted)
            assert message(two.alice.service, ours).file is None
        for service in (two.alice.service, two.bob.service):
            service.tend_files()
            assert message_files.dropped(service.database.connection) == []
        left = two.bob.service.database.connection.execute("SELECT * FROM message_files").fetchall()
        assert not any(found["description"] for found in left) and transfer is not None
        from smpchat.agent.transactions.files import transfer as how_far

        assert how_far(two.bob.service.database.connection, transfer) is None

    run(tmp_path, scenario)


@pytest.mark.parametrize("name", ["missing", "folder", "pipe"])
def test_what_cannot_be_sent_is_refused_at_once(tmp_path: Path, name: str) -> None:
    import os

    service = ChatService(tmp_path / "alice", "alice")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError):
        service.look_at_file("bob", tmp_path / name)
    service.close()


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        large = tmp_path / "large"
        with large.open("wb") as file:
            file.truncate(MAX_FILE + 1)
        with pytest.raises(InputError, match="1,073,741,825 bytes"):
            two.alice.service.look_at_file("bob", large)
        with large.open("wb") as file:
            file.truncate(MAX_FILE)
        assert two.alice.service.look_at_file("bob", large).size == MAX_FILE
        _, theirs = await two.sent()
        with two.bob.service.database.transaction() as tx:
            tx.execute("UPDATE message_files SET size = ?", (MAX_FILE + 1,))
        with pytest.raises(InputError, match="receives at most"):
            two.bob.service.receive_file(theirs, tmp_path, own=own)

    run(tmp_path, scenario)


# -- receiving --------------------------------------------------------------------------------------------------------


def test_a_file_is_asked_for_before_or_after_its_description_comes(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        early, early_theirs = await two.sent()
        late, late_theirs = await two.sent()
        bob = two.bob.service
        bob.receive_file(early_theirs, tmp_path, own=own)
        assert view(bob, early_theirs).state is FileState.RECEIVING and row(bob, early_theirs).transfer is None
        await two.described(early, early_theirs)
        await two.described(late, late_theirs)
        bob.tend_files(own)
        bob.receive_file(late_theirs, tmp_path / "other.txt", own=own)
        bob.receive_file(late_theirs, tmp_path, own=own)  # once more: it is on its way
        for number, place in ((early_theirs, tmp_path / "photo.txt"), (late_theirs, tmp_path / "other.txt")):
            file = row(bob, number)
            assert file.target == place and file.transfer is not None
            with bob.database.transaction() as tx:
                bob.context.application.file_received(tx, file.transfer, place)
            assert (view(bob, number).state, view(bob, number).path) == (FileState.RECEIVED, place)
            assert not row(bob, number).description
            with pytest.raises(InputError, match="already received"):
                bob.receive_file(number, tmp_path, own=own)

    run(tmp_path, scenario)


def test_relays_that_the_sender_chose_are_asked_about(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        ours, theirs = await two.sent()
        early, early_theirs = await two.sent()
        bob = two.bob.service
        bob.receive_file(early_theirs, tmp_path)
        await two.described(ours, theirs)
        assert bob.relays_to_approve(theirs) == ("files.example.org",)
        with pytest.raises(RelaysNotApproved):
            bob.receive_file(theirs, tmp_path)
        assert view(bob, theirs).state is FileState.OFFERED and row(bob, theirs).target is None
        assert bob.relays_to_approve(theirs, own) == ()
        bob.receive_file(theirs, tmp_path, approved=True)
        assert view(bob, theirs).state is FileState.RECEIVING
        assert consents.covers(bob.database.connection, SERVER)
        # The other one was asked for before anybody could know where it would be.
        await two.described(early, early_theirs)
        bob.tend_files()
        asked = view(bob, early_theirs)
        assert asked.state is FileState.OFFERED and "files.example.org" in (asked.reason or "")
        [notice] = [notice for notice in bob.notices("alice") if "files.example.org" in notice.text]
        assert f"`smpchat receive {early_theirs} --approve`" in notice.text

    run(tmp_path, scenario)


def test_relays_of_the_own_list_and_those_of_own_queues_are_not_asked_about(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        bob = two.bob.service
        here = two.relay.server
        assert bob.knows_file_relay(FileServer(here.hosts, "443", here.key_hash))
        assert not bob.knows_file_relay(FileServer((*here.hosts, "evil.example"), "443", here.key_hash))
        assert not bob.knows_file_relay(SERVER)
        bob.add_file_server(RELAY)
        assert bob.knows_file_relay(SERVER)
        assert not bob.knows_file_relay(FileServer((*SERVER.hosts, "evil.example"), "", SERVER.key_hash))
        bob.remove_file_server(RELAY)
        assert not bob.knows_file_relay(SERVER)

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        ("this is no description", None),
        (description(size="9gb"), None),
        (description().replace("party: recipient", "party: &a [*a]"), None),
        (description(relay="xftp://short@files.example.org"), None),
        (description().replace("1:oaGh", "2:oaGh"), None),
    ],
)
def test_a_description_that_cannot_be_used_loses_that_file_alone(
    tmp_path: Path, damaged: str, reason: str | None
) -> None:
    async def scenario(two: Two) -> None:
        ours, theirs = await two.sent()
        good, good_theirs = await two.sent()
        bob = two.bob.service
        for number in (theirs, good_theirs):
            bob.receive_file(number, tmp_path / "in", own=own)
        await two.described(ours, theirs, damaged)
        await two.described(good, good_theirs)
        bob.tend_files(own)
        assert (view(bob, theirs).state, view(bob, theirs).trouble) == (FileState.FAILED, Trouble.DAMAGED)
        assert view(bob, theirs).reason and not row(bob, theirs).description
        with pytest.raises(FileUnavailable):
            bob.receive_file(theirs, tmp_path, own=own)
        assert view(bob, good_theirs).state is FileState.RECEIVING

    run(tmp_path, scenario)


def parts(*numbers: int) -> Iterator[FileDescription]:
    for number in numbers:
        yield FileDescription(f"part {number}\n", number, number == 3)


@pytest.mark.parametrize(
    ("numbers", "state", "text"),
    [
        ((1, 2, 3), FileState.OFFERED, "part 1\npart 2\npart 3\n"),
        ((1, 1, 2, 2, 3, 3), FileState.OFFERED, "part 1\npart 2\npart 3\n"),
        ((1, 3), FileState.FAILED, ""),
        ((2, 3), FileState.FAILED, ""),
    ],
)
def test_parts_count_once_and_in_order(tmp_path: Path, numbers: tuple[int, ...], state: FileState, text: str) -> None:
    async def scenario(two: Two) -> None:
        _, theirs = await two.sent()
        bob = two.bob.service
        shared = message(bob, theirs).shared_id or ""
        contact = bob.contact("alice").contact
        for part in parts(*numbers):
            with bob.database.transaction() as tx:
                files.part_came(tx, contact, DescriptionPart(shared, part), None)
        assert (view(bob, theirs).state, row(bob, theirs).description) == (state, text)

    run(tmp_path, scenario)


def test_a_description_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(two: Two) -> None:
        _, theirs = await two.sent()
        bob = two.bob.service
        contact, shared = bob.contact("alice").contact, message(bob, theirs).shared_id or ""
        monkeypatch.setattr(files, "MAX_DESCRIPTION", 10)
        for number, letters in ((1, "x" * 10), (2, "y")):
            with bob.database.transaction() as tx:
                part = DescriptionPart(shared, FileDescription(letters, number, False))
                files.part_came(tx, contact, part, None)
        assert view(bob, theirs).state is FileState.FAILED and not row(bob, theirs).description

    run(tmp_path, scenario)


def test_nobody_describes_or_cancels_the_file_of_somebody_else(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        ours, theirs = await two.sent()
        bob = two.bob.service
        contact, shared = bob.contact("alice").contact, message(bob, theirs).shared_id or ""
        part = DescriptionPart(shared, FileDescription(description(), 1, True))
        with bob.database.transaction() as tx:
            files.part_came(tx, contact, part, "mallory")  # a member of a group
            files.part_came(tx, contact, DescriptionPart("b3RoZXI=", part.description), None)
        assert not row(bob, theirs).complete
        # Ours has the same id at both ends: what Bob says of it concerns his own messages only.
        with two.alice.service.database.transaction() as tx:
            files.part_came(tx, two.alice.service.contact("bob").contact, part, None)
        assert not row(two.alice.service, ours).complete

    run(tmp_path, scenario)


def test_an_offer_ends_after_two_days(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        ours, theirs = await two.sent()
        await two.described(ours, theirs)
        bob = two.bob.service
        after = bob.last_event()
        for _ in range(20):  # hour by hour: a leap of the clock would count as one
            await asyncio.sleep(3 * 3600)
            bob.note_clock()
            bob.tend_files()
        assert view(bob, theirs).state is FileState.EXPIRED and not row(bob, theirs).description
        assert events.FileChanged(theirs, "alice", "expired") in [event for _, event in bob.events_after(after)]
        with pytest.raises(FileUnavailable, match="no longer available"):
            bob.receive_file(theirs, tmp_path, own=own)
        assert message(bob, theirs).file is not None  # it stays in the conversation

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("trouble", "state", "again"),
    [
        (Trouble.GONE, FileState.EXPIRED, False),
        (Trouble.DAMAGED, FileState.FAILED, False),
        (Trouble.BLOCKED, FileState.FAILED, False),
        (Trouble.TIME_UP, FileState.FAILED, True),
        (Trouble.CANNOT_WRITE, FileState.FAILED, True),
    ],
)
def test_why_a_file_does_not_come_decides_what_can_be_done(
    tmp_path: Path, trouble: Trouble, state: FileState, again: bool
) -> None:
    async def scenario(two: Two) -> None:
        ours, theirs = await two.sent()
        await two.described(ours, theirs)
        bob = two.bob.service
        bob.receive_file(theirs, tmp_path, own=own)
        with bob.database.transaction() as tx:
            bob.context.application.file_failed(tx, row(bob, theirs).transfer or 0, trouble)
        assert (view(bob, theirs).state, view(bob, theirs).trouble) == (state, trouble)
        assert (view(bob, theirs).reason or "").endswith(".")
        if again:
            bob.receive_file(theirs, tmp_path, own=own)
            assert view(bob, theirs).state is FileState.RECEIVING
        else:
            with pytest.raises(FileUnavailable):
                bob.receive_file(theirs, tmp_path, own=own)

    run(tmp_path, scenario)


def test_who_cancels_a_download_may_begin_it_again(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        ours, theirs = await two.sent()
        await two.described(ours, theirs)
        bob = two.bob.service
        with pytest.raises(InputError, match="not being received"):
            bob.cancel_file(theirs)
        bob.receive_file(theirs, tmp_path, own=own)
        bob.cancel_file(theirs)
        assert (view(bob, theirs).state, view(bob, theirs).reason) == (FileState.CANCELLED, files.CANCELLED_BY_US)
        bob.receive_file(theirs, tmp_path, own=own)
        assert view(bob, theirs).state is FileState.RECEIVING
        assert view(two.alice.service, ours).state is FileState.SENT  # she is told nothing

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("auto", "kind", "size", "known", "expected"),
    [
        ("off", "image", 12, True, FileState.OFFERED),
        ("known", "image", 12, True, FileState.RECEIVING),
        ("known", "voice", 12, True, FileState.RECEIVING),
        ("known", "file", 12, True, FileState.OFFERED),
        ("known", "image", 522_241, True, FileState.OFFERED),
        ("known", "video", 12, True, FileState.RECEIVING),
        ("known", "video", 1_047_553, True, FileState.OFFERED),
        ("known", "image", 12, False, FileState.OFFERED),
        ("on", "image", 12, False, FileState.RECEIVING),
    ],
)
def test_what_comes_by_itself(
    tmp_path: Path, auto: str, kind: str, size: int, known: bool, expected: FileState
) -> None:
    async def scenario(two: Two) -> None:
        bob = two.bob.service
        with bob.database.transaction() as tx:
            settings.save_defaults(tx, {settings.FILES_AUTO: auto, settings.FILES_FOLDER: str(tmp_path / "in")})
        ours, theirs = await two.sent()
        with bob.database.transaction() as tx:
            tx.execute("UPDATE messages SET content = ? WHERE id = ?", (kind, theirs))
            tx.execute("UPDATE message_files SET size = ?", (size,))
        await two.described(ours, theirs)
        bob.tend_files(own if known else lambda _: False)
        assert view(bob, theirs).state is expected
        assert (row(bob, theirs).target == tmp_path / "in" / "photo.txt") == (expected is FileState.RECEIVING)
        bob.cancel_file(theirs) if expected is FileState.RECEIVING else None
        bob.tend_files(own)  # it is looked at once
        assert view(bob, theirs).state is not FileState.RECEIVING

    run(tmp_path, scenario)


@pytest.mark.parametrize("to", ["missing/file", "missing/", "photo.txt/x"])
def test_a_folder_that_is_not_there_is_told_before_anything_is_asked_for(tmp_path: Path, to: str) -> None:
    async def scenario(two: Two) -> None:
        _, theirs = await two.sent()
        with pytest.raises(InputError):
            two.bob.service.receive_file(theirs, f"{tmp_path}/{to}", own=own)
        assert view(two.bob.service, theirs).state is FileState.OFFERED

    run(tmp_path, scenario)


@pytest.mark.parametrize("name", ["../../x", "CON", "x" * 300, "\u202egpj.exe", "a\x00b", ".bashrc"])
def test_no_name_of_a_peer_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    async def scenario(two: Two) -> None:
        _, theirs = await two.sent()
        bob, folder = two.bob.service, tmp_path / "in"
        folder.mkdir()
        with bob.database.transaction() as tx:
            tx.execute("UPDATE message_files SET name = ?", (name,))
        bob.receive_file(theirs, folder, own=own)
        target = row(bob, theirs).target
        assert target is not None and target.parent == folder and target.name not in ("..", ".", "CON", ".bashrc")
        target.touch()
        assert [path.name for path in folder.iterdir()] == [target.name]

    run(tmp_path, scenario)


def test_what_has_no_file_says_so(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        number = two.alice.service.send("bob", "hello").id
        await two.bob.until(lambda service: bool(service.history("alice")))
        theirs = two.bob.service.history("alice")[-1].id
        for service, one in ((two.alice.service, number), (two.bob.service, theirs)):
            with pytest.raises(InputError, match="has no file"):
                service.receive_file(one, tmp_path, own=own)
            with pytest.raises(InputError, match="has no file"):
                service.cancel_file(one)
        with pytest.raises(InputError, match="There is no file from alice"):
            two.bob.service.offered_by("alice")
        ours, _ = await two.sent()
        with pytest.raises(InputError, match="is your own"):
            two.alice.service.receive_file(ours, tmp_path, own=own)
        assert [m.direction for m in two.alice.service.files()] == [Direction.SENT]

    run(tmp_path, scenario)


def test_a_deleted_contact_leaves_nothing_at_file_relays(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        ours, theirs = await two.sent()
        await two.described(ours, theirs)
        service = two.alice.service
        service.delete("bob")
        assert message_files.dropped(service.database.connection)
        service.tend_files()
        tx = service.database.connection
        assert message_files.dropped(tx) == [] and tx.execute("SELECT count(*) FROM files").fetchone()[0] == 0

    run(tmp_path, scenario)


def test_the_words_of_a_file_message_are_found_and_it_cannot_be_forwarded_as_a_text(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        ours, _ = await two.sent("the beach")
        assert [m.id for m in two.alice.service.find("photo beach").messages] == [ours]
        with two.alice.service.database.transaction() as tx, pytest.raises(InputError, match="not a text"):
            conversation.forward(tx, two.alice.service.context, ours, two.alice.service.contact("bob").contact)

    run(tmp_path, scenario)


def test_a_file_is_forwarded_as_itself_with_its_words_and_name(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        ours, theirs = await two.sent("the beach")
        alice, bob = two.alice.service, two.bob.service
        assert bob.has_file(theirs) and not bob.has_file(bob.send("alice", "a text").id)
        with pytest.raises(InputError, match="not received") as refused:
            bob.forwarded_file(theirs, "alice")
        assert f"receive {theirs}" in refused.value.hint
        await two.described(ours, theirs)
        bob.receive_file(theirs, tmp_path, own=own)
        (tmp_path / "photo_1.txt").write_bytes(b"hello world\n")
        with bob.database.transaction() as tx:
            bob.context.application.file_received(tx, row(bob, theirs).transfer or 0, tmp_path / "photo_1.txt")
        file = bob.forwarded_file(theirs, "alice")
        assert (file.name, file.text, file.size, file.path.name) == ("photo.txt", "the beach", 12, "photo_1.txt")
        before = len(alice.history("bob"))
        with bob.encrypt_file(file) as encrypted:
            again = bob.store_file(file, encrypted)
        assert again.forwarded and again.text == "[file photo.txt, 12 bytes] the beach"
        await two.alice.until(lambda service: any(m.forwarded for m in service.history("bob")[before:]))
        came = next(m for m in alice.history("bob")[before:] if m.forwarded)
        assert came.text == again.text and view(alice, came.id).state is FileState.OFFERED
        mine = alice.forwarded_file(ours, "bob")  # one's own goes once more
        assert (mine.path, mine.text, mine.forwarded) == (two.photo, "the beach", True)
        (tmp_path / "photo_1.txt").unlink()
        with pytest.raises(InputError, match="cannot be read"):
            bob.forwarded_file(theirs, "alice")
        with pytest.raises(InputError):
            bob.forwarded_file(99, "alice")

    run(tmp_path, scenario)


def test_a_preview_is_the_picture_that_came_and_nothing_else(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        _, theirs = await two.sent()
        bob = two.bob.service
        assert bob.preview_of(theirs) is None
        with bob.database.transaction() as tx:
            tx.execute("UPDATE message_files SET preview = 'data:image/jpg;base64,/9j/AAAA'")
        assert bob.preview_of(theirs) == b"\xff\xd8\xff\x00\x00\x00"
        with bob.database.transaction() as tx:
            tx.execute("UPDATE message_files SET preview = 'data:image/jpg;base64,AAAA'")
        with pytest.raises(InputError, match="not a JPEG or PNG"):
            bob.preview_of(theirs)

    run(tmp_path, scenario)
