"""``config``: settings in files, told with their line when they are wrong, and changed without touching the rest."""

from __future__ import annotations

import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from smpchat import config
from smpchat.cli import config_file
from smpchat.cli.config_file import set_in, with_setting
from smpchat.config import KEYS, ConfigRefused, read
from smpchat.home import Home
from smpchat.storage.locks import FileLock
from tests.cli.terminal import Terminal

RELAY = "smp://u2dS9sG8nMNURyZwqASV4yROM28Er0luVTx5X1CsMrU=@smp4.simplex.im"


def _file(smpchat: Terminal, text: str, profile: str | None = None) -> Path:
    path = (smpchat.home if profile is None else smpchat.home / "profiles" / profile) / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# -- what is wrong ----------------------------------------------------------------------------------------------------

WRONG = (
    ("# mine\n\nsock = '127.0.0.1:9050'\n", 3, "there is no setting 'sock'. Did you mean socks?"),
    ("'quoted\\nkey' = 1", 1, "there is no setting"),
    ("a.b = 1", 1, "there is no setting 'a'"),
    ("wait = 'sent'\n[relays]\nsocks = 'off'", 2, "there is no setting 'relays'"),
    ("[[color]]\nx = 1", 1, "color is not auto, always or never"),
    ("color = [\n 'red', # ]\n]\nbell = 1", 1, "color is not"),
    ('notifications = """\nbell = 1\n"""', 1, "notifications"),
    ("wait = 'sent'\nbell = 'on'", 2, "bell is not true or false"),
    ("receipts = 1", 1, "receipts is not true or false"),
    ("time-format = '24'", 1, "time-format: '24' is not one of 24h, 12h, iso"),
    ("wait = 'seen'", 1, "wait: 'seen' is not one of"),
    ("color = 'sometimes'", 1, "color: 'sometimes' is not one of"),
    ("socks = 'tor'", 1, "socks: 'tor' is not HOST:PORT"),
    ("servers = 'simplex'", 1, "servers is not a list"),
    ("servers = [1]", 1, "servers is not a list"),
    ("servers = ['smp://x']", 1, "servers: relay 1"),
    (f"servers = ['{RELAY.replace('@', ':secret@')}']", 1, "password"),
    ("notifications = ''", 1, "notifications: it is empty"),
    ('notifications = "sh -c \'"', 1, "notifications: the command cannot be read"),
    ('notifications = "a\\u001b]9;x"', 1, "cannot be printed"),
    ("wait = sent", 1, "this is not TOML"),
    ("wait = 'sent'\nwait = 'none'", 2, "this is not TOML"),
    ("bell = true\nbell", 2, "this is not TOML"),
    ("bell = [", 1, "this is not TOML"),
    ("x = " + "[" * 5000, None, "brackets"),
    ("x = " + "9" * 5000, 1, "this is not TOML"),
)


@pytest.mark.parametrize(("text", "line", "what"), WRONG, ids=[text[:30] for text, _, _ in WRONG])
@pytest.mark.parametrize("profile", [None, "default"])
def test_what_is_wrong_is_told_with_its_file_and_line(
    smpchat: Terminal, text: str, line: int | None, what: str, profile: str | None
) -> None:
    path = _file(smpchat, text, profile)
    result = smpchat("contacts")
    told = " ".join(result.stderr.split())
    assert (result.code, result.stdout) == (1, "")
    assert (f"{path}, line {line}: " if line else f"{path}: ") in told and what in told
    assert "secret" not in told and "\x1b" not in told


def test_a_file_that_is_not_text_is_told(smpchat: Terminal) -> None:
    path = _file(smpchat, "")
    path.write_bytes(b"bell = true\n# \xff\n")
    assert f"{path}, line 2: this is not UTF-8" in smpchat("contacts").stderr
    path.write_bytes(b"#" * (config.MAX_BYTES + 1))
    assert "longer than" in smpchat("contacts").stderr
    path.unlink()
    path.mkdir()
    assert "this is not a file" in smpchat("contacts").stderr


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(smpchat: Terminal) -> None:
    smpchat.home.mkdir(exist_ok=True)
    os.mkfifo(smpchat.home / "config.toml")
    assert "this is not a file" in smpchat("contacts").stderr


@pytest.mark.skipif(os.name != "posix", reason="mode bits")
def test_a_file_that_everybody_may_write_names_no_program(smpchat: Terminal) -> None:
    _file(smpchat, "bell = true\n").chmod(0o666)
    assert "everyone may write" in smpchat("contacts").stderr


def test_the_commands_that_mend_it_work_all_the_same(smpchat: Terminal) -> None:
    path = _file(smpchat, "wait = 'seen'  # which?\nbell = true\n")
    assert smpchat("config", "path").stdout.splitlines()[0] == str(path)
    assert smpchat("config", "list").code == 1
    assert smpchat("config", "set", "wait", "none").code == 0
    assert path.read_text() == 'wait = "none"  # which?\nbell = true\n'
    path.write_text("wait = seen\n")
    assert "line 1: this is not TOML" in smpchat("config", "set", "wait", "none").stderr
    checks = smpchat("doctor").stdout
    assert "line 1: this is not TOML" in " ".join(checks.split())
    assert smpchat("explain").code == 0 and smpchat("man").code == 0


def test_a_library_passes_over_nothing_either(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("sock = 'x'")
    with pytest.raises(ConfigRefused, match="line 1"):
        Home(tmp_path).open().close()


# -- which one wins ---------------------------------------------------------------------------------------------------


def test_the_profiles_file_wins_and_options_win_over_both(smpchat: Terminal) -> None:
    _file(smpchat, "time-format = 'iso'\nsocks = 'first.test:1'\nwait = 'none'\n")
    _file(smpchat, "socks = 'second.test:2'\n", "bob")
    assert "first.test:1" in smpchat("server", "socks").stdout
    assert "second.test:2" in smpchat("-p", "bob", "server", "socks").stdout
    assert "third.test:3" in smpchat("-p", "bob", "--socks", "third.test:3", "server", "socks").stdout
    assert smpchat("-p", "bob", "config", "get", "socks", "--socks", "off").stdout == "off\n"
    sources = {one["key"]: one["source"] for one in smpchat("-p", "bob", "config", "list", "--json").objects()}
    assert (sources["socks"], sources["time-format"], sources["color"]) == ("profile", "everything", "default")


def test_what_a_command_chose_for_the_profile_wins_and_is_told(smpchat: Terminal) -> None:
    smpchat("-p", "bob", "server", "socks", "off")
    result = smpchat("-p", "bob", "config", "set", "socks", "tor.test:9050")
    assert "set for it by `smpchat -p bob server socks`" in result.stderr
    assert smpchat("-p", "bob", "config", "get", "socks").stdout == "off\n"
    assert smpchat("config", "get", "socks").stdout == "tor.test:9050\n"  # a bystander
    smpchat("-p", "bob", "config", "unset", "socks", "--profile-only")
    assert "tor.test:9050" in smpchat("-p", "bob", "server", "socks").stdout
    smpchat("-p", "bob", "server", "socks", "off")
    smpchat("-p", "bob", "config", "set", "socks", "own.test:1", "--profile-only")
    assert "own.test:1" in smpchat("-p", "bob", "server", "socks").stdout


def test_relays_of_the_file_take_new_queues_until_the_profile_chooses(smpchat: Terminal) -> None:
    _file(smpchat, f"servers = ['{RELAY}']\nprivate-routing = true\n")
    [server] = smpchat("server", "list", "--json").objects()
    assert server["address"].startswith(RELAY.partition("=")[0]) and server["default"]
    assert "remove it there" in smpchat("server", "remove", RELAY).stderr
    with smpchat.service("default") as service:
        assert service.private_routing() and service.is_own_relay(service.servers()[0].address.server)
    smpchat("server", "use", "embedded")
    assert [one["embedded"] for one in smpchat("server", "list", "--json").objects()] == [True]
    smpchat("config", "unset", "servers", "--profile-only")
    assert [one["embedded"] for one in smpchat("server", "list", "--json").objects()] == [False]
    _file(smpchat, "")
    assert [one["embedded"] for one in smpchat("server", "list", "--json").objects()] == [True]


def test_a_home_that_is_named_has_its_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "etc"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert Home(tmp_path / "x").config_file == tmp_path / "x" / "config.toml"
    if sys.platform == "linux":
        place = tmp_path / "etc" / "smpchat" / "config.toml"
        assert Home.default().config_file == place
        assert Home(tmp_path / "data" / "smpchat").config_file == place  # named, and the platform's all the same


def test_receipts_of_the_file_hold_unless_the_profile_chose(smpchat: Terminal) -> None:
    smpchat.connected()
    smpchat("-p", "bob", "config", "set", "receipts", "off", "--profile-only")
    assert smpchat("-p", "alice", "send", "bob", "one").code == 0
    smpchat("-p", "bob", "listen", "--timeout", "3")
    smpchat("-p", "alice", "listen", "--timeout", "3")
    smpchat("-p", "bob", "profile", "set", "--receipts")
    assert smpchat("-p", "bob", "config", "get", "receipts").stdout == "on\n"
    assert smpchat("-p", "alice", "send", "bob", "two").code == 0
    smpchat("-p", "bob", "listen", "--timeout", "3")
    smpchat("-p", "alice", "listen", "--timeout", "3")
    history = smpchat("-p", "alice", "--json", "history", "bob").objects("message")
    assert [message["status"] for message in history] == ["sent", "delivered"]


# -- what the settings do ---------------------------------------------------------------------------------------------


def test_times_are_written_as_chosen(smpchat: Terminal) -> None:
    smpchat.connected()
    smpchat("-p", "alice", "send", "bob", "hello")
    assert " 22:13  " in smpchat("-p", "alice", "history", "bob").stdout
    smpchat("config", "set", "time-format", "12h")
    assert " 10:13 pm  " in smpchat("-p", "alice", "history", "bob").stdout
    smpchat("config", "set", "time-format", "iso")
    assert "2023-11-14" in smpchat("-p", "alice", "history", "bob").stdout
    smpchat("config", "unset", "time-format")
    assert "14 November" in smpchat("-p", "alice", "history", "bob").stdout


def test_send_waits_as_chosen(smpchat: Terminal) -> None:
    smpchat.connected()
    smpchat("config", "set", "wait", "none")
    [message] = smpchat("-p", "alice", "--json", "send", "bob", "hello").objects()
    assert message["status"] == "pending"
    found = smpchat("-p", "alice", "--json", "send", "bob", "hello", "--wait", "sent").objects()
    assert found[-1]["status"] == "sent"
    smpchat("config", "set", "wait", "delivered")
    assert smpchat("-p", "alice", "send", "bob", "hello", "--timeout", "1").code == 6
    assert smpchat("-p", "alice", "edit", "1", "hi", "--timeout", "9").code == 0  # no app tells that an edit arrived


def test_colours_are_as_chosen(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    smpchat.connected()
    smpchat("-p", "alice", "send", "bob", "hello")

    def colored() -> bool:
        return "\x1b[" in smpchat("-p", "alice", "history", "bob").stdout

    assert not colored()
    smpchat("config", "set", "color", "always")
    assert colored()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colored()
    assert smpchat("config", "get", "color").stdout == "never\n"
    monkeypatch.delenv("NO_COLOR")
    smpchat("config", "set", "color", "never")
    assert "\x1b[3" not in smpchat("-p", "alice", "history", "bob", tty=True).stdout


# -- changing the file ------------------------------------------------------------------------------------------------


def test_the_rest_of_the_file_stays_as_it_is(tmp_path: Path) -> None:
    text = '# mine\n\n"wait" = "none"   # not now\nservers = [\n  "simplex", # ]\n]\n# the end'
    changed = with_setting(tmp_path, text, "servers", ["simplex"])
    assert changed == '# mine\n\n"wait" = "none"   # not now\nservers = ["simplex"]\n# the end'
    changed = with_setting(tmp_path, changed, "wait", "sent")
    assert changed == '# mine\n\nwait = "sent"  # not now\nservers = ["simplex"]\n# the end'
    assert with_setting(tmp_path, changed, "servers", None) == '# mine\n\nwait = "sent"  # not now\n# the end'
    assert with_setting(tmp_path, changed, "bell", True) == changed + "\nbell = true\n"
    assert with_setting(tmp_path, "wait = 'sent'\r\n", "bell", False) == "wait = 'sent'\r\nbell = false\r\n"
    assert with_setting(tmp_path, "[x]\ny = 1\n", "bell", True) == "bell = true\n[x]\ny = 1\n"


def test_the_file_is_for_its_owner_and_a_link_stays_one(tmp_path: Path) -> None:
    link, path = tmp_path / "home" / "config.toml", tmp_path / "dot" / "files" / "config.toml"
    link.parent.mkdir()
    link.symlink_to(path)
    value = 'notify-send "\\x" é ☂ 😀 \x7f'.replace("\x7f", "")
    set_in(link, "notifications", value)
    assert link.is_symlink() and read((link,)).value("notifications") == value
    if os.name == "posix":
        assert [stat.S_IMODE(one.stat().st_mode) for one in (path, path.parent)] == [0o600, 0o700]
    assert sorted(one.name for one in path.parent.iterdir()) == [".config.toml.lock", "config.toml"]


def test_changes_at_one_time_are_all_kept(smpchat: Terminal) -> None:
    path = _file(smpchat, "# mine\n")
    texts = {"time-format": ["12h", "24h"], "color": ["never", "auto"], "wait": ["none", "sent"]}

    def change(name: str) -> None:
        for value in texts[name] * 8:
            set_in(path, name, value)

    with ThreadPoolExecutor() as pool:
        list(pool.map(change, texts))
    said = read((path,)).said
    assert {name: said[name].value for name in texts} == {name: values[-1] for name, values in texts.items()}
    assert path.read_text().startswith("# mine\n")


def test_another_command_that_does_not_end_is_told(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _file(smpchat, "bell = false\n")
    monkeypatch.setattr(config_file, "_PATIENCE", 0.0)
    lock = FileLock(path.with_name(".config.toml.lock"))
    assert lock.take()
    assert "Another command is changing" in smpchat("config", "set", "bell", "on").stderr
    lock.release()
    assert path.read_text() == "bell = false\n"


def test_private_routing_needs_a_relay(smpchat: Terminal) -> None:
    path = _file(smpchat, "bell = false\n")
    refused = smpchat("config", "set", "private-routing", "on")
    assert refused.code == 1 and "needs a relay of yours" in refused.stderr
    assert path.read_text() == "bell = false\n"
    path.write_text("private-routing = true\n")
    assert "private-routing is on" in smpchat("doctor").stdout
    assert smpchat("server", "add", RELAY).code == 0
    assert smpchat("config", "set", "private-routing", "on").code == 0
    assert "private-routing is on" not in smpchat("doctor").stdout


@pytest.mark.parametrize("words", [["wait", "soon"], ["bell", "loud"], ["servers", "smp://x"], ["sock", "off"]])
def test_what_cannot_be_is_not_written(smpchat: Terminal, words: list[str]) -> None:
    path = _file(smpchat, "wait = 'none'\n")
    result = smpchat("config", "set", *words)
    assert result.code == 1 and result.stderr
    assert path.read_text() == "wait = 'none'\n"


def test_relays_are_written_as_a_list(smpchat: Terminal) -> None:
    smpchat("config", "set", "servers", RELAY, "simplex")
    assert smpchat("config", "get", "servers", "--json").objects()[0]["value"] == [RELAY, "simplex"]
    refused = smpchat("config", "set", "servers", "")
    assert refused.code == 1 and refused.stderr.endswith("or simplex. For an empty list, write none.\n")
    smpchat("config", "set", "servers", "none")
    assert smpchat("config", "get", "servers").stdout == "\n"


# -- documentation ----------------------------------------------------------------------------------------------------


def test_the_page_has_every_setting() -> None:
    page = (Path(__file__).parents[3] / "docs" / "config.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    told = {row[1].strip(" `"): [cell.strip() for cell in row[2:5]] for row in rows}
    assert told == {key.name: [key.form, f"`{key.in_file()}`", key.meaning] for key in KEYS.values()}


def test_a_change_beside_a_wrong_line_is_saved_and_the_wrong_line_is_told(smpchat: Terminal) -> None:
    path = _file(smpchat, "sockets = 'off'\n")
    result = smpchat("config", "set", "bell", "on")
    told = " ".join(result.stderr.split())
    assert result.code == 1 and "bell = true" in path.read_text(encoding="utf-8")
    assert told.startswith("Your change of bell is saved, but another line is wrong:")
    assert "line 1: there is no setting 'sockets'. Did you mean socks?" in told
    path.write_text("colour-of-dates = 'red'\n", encoding="utf-8")
    for command in (("config", "list"), ("contacts",)):
        assert f"The settings are: {', '.join(KEYS)}." in " ".join(smpchat(*command).stderr.split())
