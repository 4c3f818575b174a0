"""The direction of imports: lower layers never import upper ones, and pure modules nothing that does I/O."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import smpchat

ROOT = Path(smpchat.__file__).parent
BELOW: dict[str, set[str]] = {}
"""What each layer may import besides itself. `smpchat.testing` stands aside: it may import all and none import it."""
for _layer, _directly in (
    ("encoding", ()),
    ("storage", ("encoding",)),
    ("crypto", ("encoding",)),
    ("protocol", ("crypto",)),
    ("transport", ("crypto",)),
    ("client", ("transport", "protocol")),
    ("relay", ("transport", "protocol", "storage")),
    ("xftp", ("client",)),
    ("agent", ("xftp", "storage")),
    ("chat", ("agent",)),
    ("config_path", ()),
    ("config", ("chat",)),
    ("own_relay", ("chat", "relay")),
    ("home", ("config", "config_path", "own_relay")),
    ("api_texts", ("chat",)),
    ("api_profile", ("home", "api_texts")),
    ("api_events", ("chat",)),
    ("api_files", ("api_profile",)),
    ("api_groups", ("api_files",)),
    ("api", ("api_groups", "api_events")),
    ("moving", ("home",)),
    ("cli", ("moving",)),
    ("__main__", ("cli",)),
    ("__init__", ("api",)),
):
    BELOW[_layer] = set(_directly).union(*(BELOW[below] for below in _directly))

IMPURE = {"asyncio", "os", "random", "secrets", "select", "socket", "sqlite3", "ssl", "subprocess", "threading", "time"}
PURE_PACKAGES = ("encoding", "crypto", "protocol")
PURE_ROOMS = ("agent/wire", "agent/machines", "chat/wire", "chat/machines")
ROOMS = {
    "agent": ("errors", "wire", "machines", "store", "context", "transactions", "online"),
    "chat": ("errors", "troubles", "wire", "machines", "store", "transactions", "service", "online"),
}
"""The order of rooms inside a package: each may use those before it. Modules outside a room are listed too."""
ENTROPY = ROOT / "crypto" / "entropy.py"
"""The one pure module that may ask the operating system for randomness."""

MODULES = sorted(path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).parts[0] != "testing")


def imported(source: str, package: tuple[str, ...]) -> Iterator[str]:
    """Full names of the modules that a source imports anywhere; ``package`` is the one it stands in."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            yield module
            # "from smpchat import chat" names a layer too
            yield from (f"{module}.{alias.name}" for alias in node.names)


def imports_of(path: Path) -> set[str]:
    package = ("smpchat", *path.relative_to(ROOT).parent.parts)
    return set(imported(path.read_text(encoding="utf-8"), package))


def layer_of(path: Path) -> str:
    """A package, or a module beside the packages."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def upward(path: Path, imports: set[str]) -> set[str]:
    """Layers that a module imports and must not."""
    layer = layer_of(path)
    used = {name.split(".")[1] for name in imports if name.startswith("smpchat.")} & (BELOW.keys() | {"testing"})
    return used - BELOW[layer] - {layer}


def test_every_module_has_its_place() -> None:
    assert {layer_of(path) for path in MODULES} == BELOW.keys()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path: Path) -> None:
    assert upward(path, imports_of(path)) == set()


def room_of(path: Path) -> str:
    """Where in its package a module stands: a folder, or the module itself."""
    return path.relative_to(ROOT).parts[1].removesuffix(".py")


def into_later_rooms(path: Path, imports: set[str]) -> set[str]:
    """Rooms of its own package that a module imports and must not."""
    layer = layer_of(path)
    order = ROOMS[layer]
    used = {name.split(".")[2] for name in imports if name.startswith(f"smpchat.{layer}.")} & set(order)
    return {room for room in used if order.index(room) > order.index(room_of(path))}


IN_ROOMS = [path for path in MODULES if layer_of(path) in ROOMS and path.relative_to(ROOT).parts[1] != "__init__.py"]


def test_every_module_of_a_package_with_rooms_stands_in_one() -> None:
    assert {(layer_of(path), room_of(path)) for path in IN_ROOMS} == {
        (layer, room) for layer, rooms in ROOMS.items() for room in rooms
    }


@pytest.mark.parametrize("path", IN_ROOMS, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_use_only_those_before_them(path: Path) -> None:
    assert into_later_rooms(path, imports_of(path)) == set()


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Whatever the packages and rooms allow: two modules that need each other are one, or a third one is missing."""
    modules = {module_of(path): path for path in MODULES}
    arrows = {name: (imports_of(path) & modules.keys()) - {name} for name, path in modules.items()}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " imports ".join((*above[above.index(name) :], name))
        if name not in done:
            for below in sorted(arrows[name]):
                visit(below, (*above, name))
            done.add(name)

    for name in sorted(arrows):
        visit(name, ())


PURE = [
    path
    for path in MODULES
    if path != ENTROPY and (layer_of(path) in PURE_PACKAGES or path.relative_to(ROOT).parent.as_posix() in PURE_ROOMS)
]


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(ROOT)))
def test_pure_modules_do_no_io(path: Path) -> None:
    assert {name.split(".")[0] for name in imports_of(path)} & IMPURE == set()


@pytest.mark.parametrize(
    ("module", "source", "layers"),
    [
        ("crypto/x.py", "from smpchat.protocol import block", {"protocol"}),
        ("crypto/x.py", "import smpchat.chat.service.connecting", {"chat"}),
        ("crypto/x.py", "from smpchat import agent", {"agent"}),
        ("crypto/x.py", "from ..relay import store", {"relay"}),
        ("crypto/x.py", "from .. import transport", {"transport"}),
        ("crypto/x.py", "def f():\n    from smpchat.cli.app import main", {"cli"}),
        ("protocol/x.py", "from smpchat.transport.base import Block", {"transport"}),
        ("agent/store/x.py", "from ...chat import store", {"chat"}),
        ("chat/x.py", "from smpchat.relay.store import Store", {"relay"}),
        ("relay/x.py", "from smpchat.client.pool import Pool", {"client"}),
        ("cli/x.py", "from smpchat.testing import loop", {"testing"}),
        ("relay/x.py", "from smpchat.agent.wire.links import parse_link", {"agent"}),
        ("home.py", "from smpchat.cli import app", {"cli"}),
        ("api.py", "from smpchat.cli.app import main", {"cli"}),
        ("cli/x.py", "from smpchat.api import Client", {"api"}),
        ("__init__.py", "from smpchat.cli import app", {"cli"}),
        ("crypto/x.py", "from smpchat.encoding import Reader\nfrom . import keys\nimport hashlib", set()),
    ],
)
def test_the_walk_notices(module: str, source: str, layers: set[str]) -> None:
    path = ROOT / module
    package = ("smpchat", *path.relative_to(ROOT).parent.parts)
    assert upward(path, set(imported(source, package))) == layers


@pytest.mark.parametrize(
    ("module", "source", "rooms"),
    [
        ("agent/wire/x.py", "from smpchat.agent.machines import chain", {"machines"}),
        ("agent/machines/x.py", "from smpchat.agent.wire.envelope import Hello", set()),
        ("agent/store/x.py", "from smpchat.agent import context", {"context"}),
        ("agent/context.py", "from ..agent.online.runner import AgentRunner", {"online"}),
        ("chat/store/x.py", "def f():\n    import smpchat.chat.transactions.changes", {"transactions"}),
        ("chat/online/x.py", "from smpchat.chat.service.writing import WritingProfile", set()),
    ],
)
def test_the_walk_notices_rooms(module: str, source: str, rooms: set[str]) -> None:
    path = ROOT / module
    package = ("smpchat", *path.relative_to(ROOT).parent.parts)
    assert into_later_rooms(path, set(imported(source, package))) == rooms
