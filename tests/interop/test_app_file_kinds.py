"""Pictures and voice messages between us and the app, and files at relays that only the app uses."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from smpchat.agent.errors import RelaysNotApproved
from smpchat.chat.store.records import Message
from smpchat.relay.folder import status
from tests.interop.peers import App, Object, nowhere, official_file_server, real_app
from tests.interop.people import Person, ours, relay, run, until
from tests.unit.chat.wire.test_media import mp4


@asynccontextmanager
async def friends(folder: Path, kind: str) -> AsyncIterator[tuple[Person, App, str]]:
    """We and the app, connected; both put files at one relay. A bystander's relay is dead."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(relay("ours", folder))
        if kind == "official":
            files = await stack.enter_async_context(official_file_server(folder / "files"))
        else:
            files = status(folder / "relay").files_address or ""
        sam = await stack.enter_async_context(ours(folder, server))
        sam.service.add_file_server(files)
        sam.service.invite("a bystander", server=nowhere("smp"))
        app = await stack.enter_async_context(real_app(folder / "app", "ann", server, files_at=files))
        made = await app.do("/connect")
        await sam.connect(made["connLinkInvitation"]["connFullLink"], "ann")
        await app.connected("sam")
        await sam.wait_connected("ann", 30)
        yield sam, app, f"@{await app.number_of('sam')}"


async def offered(app: App) -> Object:
    """The item of the next message with a file, at the app."""

    def fits(event: Object) -> bool:
        return any(item["chatItem"].get("file") for item in event["chatItems"])

    event = await app.wait("newChatItems", fits)
    item: Object = next(i["chatItem"] for i in event["chatItems"] if i["chatItem"].get("file"))
    return item


async def fetched(app: App, item: Object) -> None:
    """Once the app has received a file."""
    number = item["file"]["fileId"]
    await app.do(f"/freceive {number} approved_relays=on")
    await app.wait("rcvFileComplete", lambda e: e["chatItem"]["chatItem"]["file"]["fileId"] == number, 60)


async def came(sam: Person) -> Message:
    """The next message with a file, at ours, once its description has come."""
    [message] = await sam.heard()
    await until(lambda: sam.service.relays_to_approve(message.id) or _is_described(sam, message.id), "a description")
    return message


def _is_described(sam: Person, number: int) -> bool:
    query = "SELECT complete FROM message_files WHERE message_id = ?"
    return bool(sam.service.database.connection.execute(query, (number,)).fetchone()[0])


def test_a_picture_has_its_preview_and_a_voice_message_its_length(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

    async def scenario(folder: Path) -> None:
        async with friends(folder, "ours") as (sam, app, chat):
            image.effect_noise((900, 700), 80).convert("RGB").save(folder / "beach.jpg", "JPEG")
            await sam.send_file("ann", folder / "beach.jpg", "the beach")
            item = await offered(app)
            content = item["content"]["msgContent"]
            assert (content["type"], content["text"]) == ("image", "the beach")
            small = base64.b64decode(content["image"].partition(",")[2])
            assert image.open(io.BytesIO(small)).format == "JPEG"
            await fetched(app, item)

            (folder / "voice.m4a").write_bytes(mp4(b"soun", seconds=7))
            await sam.send_file("ann", folder / "voice.m4a")
            item = await offered(app)
            assert item["content"]["msgContent"] == {"type": "voice", "text": "", "duration": 7}
            await fetched(app, item)

            theirs = folder / "app" / "files" / "photo.jpg"
            theirs.write_bytes((folder / "beach.jpg").read_bytes())
            await app.compose(
                chat,
                {
                    "fileSource": {"filePath": theirs.name},
                    "msgContent": {"type": "image", "text": "mine", "image": content["image"]},
                },
            )
            message = await came(sam)
            assert (message.content, message.text[:6]) == ("image", "[image")
            assert (await sam.receive_file(message.id, folder)).read_bytes() == theirs.read_bytes()

    run(scenario, tmp_path)


def test_a_relay_that_the_app_chose_is_asked_about(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with friends(folder, "official") as (sam, app, chat):
            [entry] = sam.service.file_servers()
            sam.service.remove_file_server(str(entry.address.server))
            theirs = folder / "app" / "files" / "theirs.bin"
            theirs.write_bytes(b"hello world\n")
            await app.compose(
                chat, {"fileSource": {"filePath": theirs.name}, "msgContent": {"type": "file", "text": ""}}
            )
            message = await came(sam)
            with pytest.raises(RelaysNotApproved) as refused:
                await sam.receive_file(message.id, folder)
            assert refused.value.relays == ("127.0.0.1",)
            place = await sam.receive_file(message.id, folder, approve=True)
            assert place.read_bytes() == b"hello world\n"

    run(scenario, tmp_path)
