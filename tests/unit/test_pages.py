"""The pages that newcomers read: what they name is there, and what they list is whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from smpchat.agent.store.schema import AGENT_MIGRATIONS
from smpchat.chat.store.schema import CHAT_MIGRATIONS
from tests.unit.test_layers import BELOW, ROOMS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
PAGES += sorted((ROOT / "tests").rglob("*.md"))
ROOMS_PAGE, INDEX = ROOT / "CONTRIBUTING.md", ROOT / "docs" / "index.md"
DESIGN = ROOT / "docs" / "design.md"
OURS = ("smpchat/", "tests/", "docs/", ".ci/", ".github/")
MADE = ("CHANGELOG.md", "pyproject.toml")
ELSEWHERE = {"smpchat/server"}
"""What only looks like a file of ours: an entry of the password store in an example."""


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def links(text: str) -> list[str]:
    """Where a page's links lead, those to other sites left out."""
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", prose(text)) if "://" not in target]


def anchors(page: Path) -> set[str]:
    """What a link to a heading of a page may end with."""
    headings = re.findall(r"^#+ (.+)$", prose(page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path, text: str) -> list[str]:
    """Links of a page that lead nowhere."""
    found = []
    for link in links(text):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


def named(text: str) -> Iterator[str]:
    """Files and folders of this tree that a page names: in back quotes, in its code, or in a table."""
    for word in re.findall(r"[\w./*-]+", text):
        path = word.rstrip(".")
        if path.startswith(OURS) or path in MADE:
            yield path
    for module in re.findall(r"python -m ((?:smpchat|tests)(?:\.\w+)+)", text):
        yield module.replace(".", "/")


def missing(text: str) -> set[str]:
    """Names of files that are not there. A part in capitals stands for any name."""
    return {path for path in named(text) if not exists(path) and not exists(f"{path}.py")} - ELSEWHERE


def exists(path: str) -> bool:
    pattern = re.sub(r"(?<![A-Za-z])[A-Z]{2,}(?![A-Za-z]|\.md)", "*", path)
    return any(ROOT.glob(pattern)) if "*" in pattern else (ROOT / path).exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert broken(page, text) == []
    assert missing(text) == set()


def test_the_index_leads_to_every_page() -> None:
    targets = {(INDEX.parent / link.partition("#")[0]).resolve() for link in links(INDEX.read_text(encoding="utf-8"))}
    assert set((ROOT / "docs").glob("*.md")) - {INDEX} <= targets
    assert {ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"} <= targets


def test_every_room_is_in_the_table() -> None:
    table = set(re.findall(r"^\| `(smpchat/[\w/.]+)`", ROOMS_PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    rooms = {f"smpchat/{package}/{room}" for package, order in ROOMS.items() for room in order}
    packages = {f"smpchat/{name}" for name in BELOW}
    folders = {path for path in rooms | packages if (ROOT / path).is_dir()} - {f"smpchat/{name}" for name in ROOMS}
    assert folders <= table


def steps(text: str) -> list[tuple[str, list[str]]]:
    """Where each step of a journey happens: a file, and what in it does that."""
    rows = re.findall(r"^\| \d+ \| `(smpchat/[\w/]+\.py)`(.*?) \|", text, re.MULTILINE)
    return [(path, re.findall(r"`(\w+)`", names)) for path, names in rows]


def undefined(text: str) -> list[str]:
    """What a page says of a file that does not stand there."""
    return [
        f"{path}: {name}"
        for path, names in steps(text)
        for name in names
        if not re.search(rf"^\s*(?:async )?(?:def|class) {name}\b", (ROOT / path).read_text(encoding="utf-8"), re.M)
    ]


def test_the_journeys_pass_by_what_is_there() -> None:
    text = DESIGN.read_text(encoding="utf-8")
    assert undefined(text) == []
    assert len(steps(text)) == len(re.findall(r"^\| \d+ \|", text, re.MULTILINE)) > 30


def test_the_walk_notices_steps() -> None:
    row = "| 1 | `smpchat/relay/commands.py` `_secure`, `_gone` | what | then |"
    assert undefined(row) == ["smpchat/relay/commands.py: _gone"]


def test_every_benchmark_is_named() -> None:
    programs = [path for path in (ROOT / "tests" / "bench").glob("*.py") if "__main__" in path.read_text()]
    page = ROOMS_PAGE.read_text(encoding="utf-8")
    assert [path.stem for path in programs if not re.search(rf"[`.]{path.stem}`", page)] == []


def test_one_list_of_pythons() -> None:
    """The versions that the package says it runs on are those that the checks run on."""
    workflow = (ROOT / ".github" / "workflows" / "checks.yml").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    said = re.findall(r"Programming Language :: Python :: (3\.\d+)", project)
    assert [re.findall(r'"(3\.\d+)"', line) for line in re.findall(r"python: \[.*\]", workflow)] == [said, said]
    assert f'requires-python = ">={said[0]}"' in project


def test_migrations_are_where_the_recipe_says() -> None:
    page = ROOMS_PAGE.read_text(encoding="utf-8")
    assert AGENT_MIGRATIONS and CHAT_MIGRATIONS
    assert "`AGENT_MIGRATIONS`" in page and "`CHAT_MIGRATIONS`" in page


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[a](README.md) [b](README.md#how-fast) [c](https://a.example/b)", []),
        ("[a](NOTHERE.md)", ["NOTHERE.md"]),
        ("[a](README.md#nowhere)", ["README.md#nowhere"]),
        ("```\n[a](NOTHERE.md)\n```", []),
    ],
)
def test_the_walk_notices_links(text: str, wrong: list[str]) -> None:
    assert broken(ROOT / "README.md", text) == wrong


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("`smpchat/cli/app.py`, tests/unit, `smpchat/cli/commands/NAME.py`, tests/cli/test_NAME.py.", set()),
        ("`smpchat/gone.py` and tests/unit/nothing", {"smpchat/gone.py", "tests/unit/nothing"}),
        ("smpchat/NAME/nothing.py", {"smpchat/NAME/nothing.py"}),
        ("python -m tests.bench.startup; python -m tests.bench.gone", {"tests/bench/gone"}),
        ("`smpchat/encoding/codec`", set()),
    ],
)
def test_the_walk_notices_names(text: str, wrong: set[str]) -> None:
    assert missing(text) == wrong
