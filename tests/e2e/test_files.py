"""Files between two processes through the relay of this computer, and what a ``kill -9`` leaves of them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.e2e.smpchat import Home

MOMENTS = (0.4, 0.6, 0.8, 1.1)
"""Seconds after the start of a command, of which Python takes the first quarter."""


def left_over(home: Home, folder: Path) -> list[str]:
    """What should be gone once files have come or gone: ciphertext, and parts of files."""
    here = [path.name for path in folder.iterdir() if path.name.startswith(".smpchat-")]
    return here + [path.name for path in home.folder.glob("profiles/*/files/*")]


def test_a_file_arrives_once_and_whole_though_both_die_again_and_again(home: Home, tmp_path: Path) -> None:
    assert home.run("bob", "connect", home.invite("alice", "--note", "bob"), "--alias", "alice").code == 0
    for name in ("alice", "bob"):
        assert home.run(name, "listen", "--timeout", "1").code == 0
    content, folder = os.urandom(3_000_000), tmp_path / "in"
    (tmp_path / "photo.bin").write_bytes(content)
    folder.mkdir()
    stored = home.run("alice", "send", "bob", "--file", str(tmp_path / "photo.bin"), "--wait", "none")
    assert stored.code == 0 and stored.of("message")[0]["status"] == "pending"
    for moment in MOMENTS:
        with home.running("alice", "listen") as running:
            time.sleep(moment)
            running.kill()
    with home.running("alice", "listen"):
        [heard] = home.run("bob", "listen", "--count", "1", "--timeout", "25").of("message")
        number = str(heard["id"])
        for moment in MOMENTS:
            with home.running("bob", "receive", number, "--to", str(folder)) as running:
                time.sleep(moment)
                running.kill()
        last = home.run("bob", "receive", number, "--to", str(folder))
        assert last.code == 0 or "already received" in last.errors
    assert [path.read_bytes() for path in folder.iterdir()] == [content]
    assert left_over(home, folder) == []
    [file] = home.run("bob", "files").of("file")
    assert (file["state"], file["path"]) == ("received", str(folder / "photo.bin"))
    assert [f["state"] for f in home.run("alice", "files").of("file")] == ["sent"]
