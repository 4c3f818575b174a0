"""What the operator of a relay does, with the real processes: figures, another certificate, a backup restored."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from smpchat.relay.folder import LOG
from tests.e2e.smpchat import PATIENCE, Home


def connect(home: Home) -> None:
    """Alice and Bob, with a message each way."""
    link = home.invite("alice")
    assert home.run("bob", "connect", link, "--alias", "alice", "-m", "hello").code == 0
    assert home.run("alice", "listen", "--count", "1", "--timeout", "20").texts() == ["hello"]
    assert home.run("alice", "send", "bob", "hello yourself").code == 0
    assert home.run("bob", "listen", "--count", "1", "--timeout", "20").texts() == ["hello yourself"]


def test_figures_of_a_conversation_and_a_log_that_tells_nobody(home: Home) -> None:
    connect(home)
    [figures] = home.run("default", "relay", "stats").of("stats")
    assert figures["queues"] == figures["queues_created"] == 2
    assert figures["sends"] >= figures["acks"] >= 2
    assert figures["deliveries"] >= 2
    assert figures["accepted"] >= 2
    assert sum(figures["group_sizes"].values()) > 0
    assert figures["database_bytes"] > 0
    log = (home.folder / "relay" / LOG).read_text().splitlines()
    assert len(log) == 1
    assert "INFO the relay is ready with 0 queues" in log[0]


def test_people_go_on_after_another_certificate(home: Home) -> None:
    connect(home)
    address = home.run("default", "relay", "status").of("relay")[0]["address"]
    certificate = home.folder / "relay" / "identity" / "server.crt"
    before = certificate.read_bytes()
    assert home.run("default", "relay", "rotate-certificate").code == 0
    assert certificate.read_bytes() != before
    assert home.run("alice", "send", "bob", "the old one still").code == 0
    home.run("default", "relay", "stop")
    assert home.run("default", "relay", "start").of("relay")[0]["address"] == address
    assert home.run("alice", "send", "bob", "the new one").code == 0
    assert home.run("bob", "listen", "--count", "2", "--timeout", "20").texts() == ["the old one still", "the new one"]


def test_a_restored_relay_serves_old_links_and_has_their_messages(home: Home, tmp_path: Path) -> None:
    connect(home)
    unused_link = home.invite("alice")
    assert home.run("alice", "send", "bob", "waiting at the relay").code == 0
    backup = tmp_path / "relay.tar"
    assert home.run("default", "relay", "backup", str(backup)).code == 0

    pid = home.relay_pid()
    os.kill(pid, signal.SIGKILL)  # the machine is lost, and with it the folder
    (home.folder / "relay").rename(tmp_path / "lost")
    assert home.run("default", "relay", "restore", str(backup)).code == 0

    assert home.run("bob", "listen", "--count", "1", "--timeout", "20").texts() == ["waiting at the relay"]
    assert home.run("carol", "connect", unused_link, "--alias", "alice", "-m", "late").code == 0
    assert home.run("alice", "listen", "--count", "1", "--timeout", "20").texts() == ["late"]


def test_run_logs_to_standard_error(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "smpchat", "--home", str(tmp_path), "relay", "run", "--quota", "5"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    address = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert address.startswith("smp://")
    assert [line.split(" ", 2)[2] for line in errors.splitlines()] == [
        "INFO the relay is ready with 0 queues, versions 6-18",
        "INFO the relay has stopped",
    ]
