"""Links to files that the app makes, short enough for a QR code: the larger file's leads to its description first."""

from __future__ import annotations

import os
from pathlib import Path

from smpchat.chat.online.fetching import LinkFetcher
from smpchat.xftp.links import read_file_link
from tests.interop.people import run
from tests.interop.test_app_file_kinds import friends
from tests.unit.chat.online.test_connectivity import NoRelay


def test_a_link_of_the_app_leads_to_its_file(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        async with friends(folder, "official") as (sam, app, _):
            fetcher = LinkFetcher(sam.service, NoRelay(), agreed=True, patience=60)
            for number, content in enumerate((b"hello world\n", os.urandom(5_000_000))):
                theirs = folder / f"theirs{number}.bin"
                theirs.write_bytes(content)
                await app.do(f"/_upload 1 {theirs}")
                event = await app.wait("sndStandaloneFileComplete", seconds=60)
                link = event["rcvURIs"][0]
                first = read_file_link(link).description
                assert (first.redirect is not None) is bool(number)
                described = await fetcher.description(sam.service.read_file_link(link))
                place = await fetcher.file(described, folder, lambda *_: None)
                assert place.read_bytes() == content and place.name.startswith("theirs")

    run(scenario, tmp_path)
