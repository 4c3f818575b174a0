"""`import`: somebody may have chosen the relays and proxy in the file, so people are told, and asked on a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store import settings
from tests.cli.terminal import Terminal

SERVER = f"smp://{'A' * 43}=@relay.example"


@pytest.fixture(autouse=True)
def _cheap(cheap_scrypt: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMPCHAT_PASSPHRASE", "correct horse")


@pytest.fixture
def file(smpchat: Terminal, tmp_path: Path) -> Path:
    """Of Alice, who has a contact."""
    smpchat.connected()
    return tmp_path / "alice.smpchat"


def choose(service: ChatService) -> None:
    service.use_servers([SERVER.replace("=@", "=:secret@")])
    service.add_file_server(SERVER.replace("smp:", "xftp:"))
    service.set_proxy("192.0.2.1:9050")
    service.set_private_routing(False)
    service.set_strangers_anywhere(True)
    with service.database.transaction() as tx:
        settings.save_defaults(tx, {"socks": "192.0.2.2:9050"})
        settings.save_setting(tx, settings.FILES_FOLDER, "/home/mal/.config/autostart")
        settings.save_setting(tx, settings.FILES_AUTO, "on")


def test_what_it_brings_is_told(smpchat: Terminal, file: Path) -> None:
    """It holds from the first moment online, and over the config file."""
    with smpchat.service("alice") as service:
        choose(service)
    assert smpchat("-p", "alice", "export", str(file)).code == 0
    result = smpchat("--json", "-p", "new", "import", str(file))
    [profile] = result.objects("profile")
    assert profile["settings"] == {
        "receives_at": [str(smpchat.relay.server)],
        "servers": [SERVER.replace("=@", "=:****@")],
        "socks": "192.0.2.1:9050",
        "private_routing": False,
        "strangers": "any",
        "file_servers": [SERVER.replace("smp:", "xftp:")],
    }
    told = smpchat("-p", "other", "import", str(file))
    assert "secret" not in result.stdout + result.stderr + told.stdout + told.stderr
    lines = (
        "relays for new contacts: smp://",
        "SOCKS proxy: 192.0.2.1:9050",
        "private routing: off",
        "in your own network",
    )
    assert all(line in told.stderr for line in (*lines, "relays that your contacts write to: smp://"))
    with smpchat.service("other") as service:
        assert settings.defaults(service.database.connection) == {}, "another computer's config file"
        assert service.setting(settings.FILES_FOLDER) is None and service.setting(settings.FILES_AUTO) is None


@pytest.mark.parametrize("answer", ["n\n", "", "y\n"])
def test_on_a_terminal_it_is_agreed_to_first(smpchat: Terminal, file: Path, answer: str) -> None:
    """`off` is a choice too: it wins over the proxy in the config file."""
    with smpchat.service("alice") as service:
        service.set_proxy("off")
    smpchat("-p", "alice", "export", str(file))
    result = smpchat("-p", "new", "import", str(file), tty=True, stdin=answer)
    assert "SOCKS proxy: none" in result.stderr and "with these settings? [y/N]" in result.stderr
    made = (smpchat.home / "profiles" / "new").exists()
    assert (result.code, made, "Nothing was imported." in result.stderr) == (0, "y" in answer, "y" not in answer)
    assert sorted(path.name for path in smpchat.home.iterdir() if path.name.startswith(".")) == []


def test_who_is_sure_is_not_asked(smpchat: Terminal, file: Path) -> None:
    with smpchat.service("alice") as service:
        choose(service)
    smpchat("-p", "alice", "export", str(file))
    result = smpchat("-p", "new", "import", "--yes", str(file), tty=True)
    assert result.code == 0 and "[y/N]" not in result.stderr and (smpchat.home / "profiles" / "new").exists()


def test_a_file_that_chooses_nothing_is_not_asked_about(smpchat: Terminal, file: Path) -> None:
    smpchat("-p", "alice", "export", str(file))
    result = smpchat("-p", "new", "import", str(file), tty=True)
    assert result.code == 0 and "settings" not in result.stderr
    [profile] = smpchat("--json", "-p", "other", "import", str(file)).objects("profile")
    assert list(profile["settings"]) == ["receives_at"]
