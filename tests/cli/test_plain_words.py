"""Sentences for people: phrasings at which readers stumbled do not come back. Each has its reason, and what to say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = sorted((ROOT / "smpchat").rglob("*.py"))

FORBIDDEN = {
    r"\bwhoever\b": "an abstract person: say *the person who*, *anyone who*, or name the contact",
    r"(?<!here )\b(is|are) no (?!longer\b|more\b)": "for a wrong thing: *is not a*",
    r"the other side": "an abstract person: the contact by alias, or *they*",
    r"calls? themsel": "clumsy: *uses the name*, *profile name*",
    r"from now on": "says nothing that *now* does not say",
    r"nobody to\b|there is nobody": "an inversion: *no contacts yet*, *no terminal to ask on*",
    r"what there is\b|who there is\b": "an abstract subject: *lists your contacts*",
    r"\b(asks?|asking) to be a contact": "*wants to connect*",
    r"\bfor ever\b": "*no limit*",
    r"\bcame with it\b|\bof yours back\b": "riddles: *they have already sent*, *delete your messages*",
    r"\b(prove|proves) nothing\b": "a maxim: *anyone can choose any name*",
    r"\bsays? connected\b": "*shows connected*",
}


def said(path: Path) -> Iterator[tuple[int, str]]:
    """Sentences in a module's strings, and in the docstrings of commands, which are their help."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    if "commands" in path.parts:
        silent -= {id(node.body[0].value) for node in ast.walk(tree) if _is_command(node)}  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            values = node.values
            yield node.lineno, "".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts | silent:
            yield node.lineno, node.value


def _is_command(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and bool(node.decorator_list) and isinstance(node.body[0], ast.Expr)


def stumbles(text: str) -> list[str]:
    """What in a text is forbidden, with the reason."""
    return [f"{found[0]!r}: {why}" for what, why in FORBIDDEN.items() if (found := re.search(what, text, re.I))]


@pytest.mark.parametrize("folder", sorted({path.parent for path in PROGRAM}), ids=lambda p: str(p.relative_to(ROOT)))
def test_what_the_program_says_is_plain(folder: Path) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {wrong}"
        for path in sorted(folder.glob("*.py"))
        for line, text in said(path)
        if " " in text and (text[:1].isupper() or "cli" in path.parts)  # the rest are words for logs and errors inside
        for wrong in stumbles(" ".join(text.split()))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "sentence",
    [
        "'x' is no port.",
        "This is no exported profile.",
        "Whoever made this link calls themselves X.",
        "The other side has not answered.",
        "There is nobody to ask.",
        "bob is encrypted from now on",
        "They are told what there is.",
    ],
)
def test_what_readers_stumbled_at_is_found(sentence: str) -> None:
    assert stumbles(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "There is no profile 'x'.",
        "The profile is no longer encrypted.",
        "There is no relay in /srv.",
        "No contacts yet.",
    ],
)
def test_plain_sentences_pass(sentence: str) -> None:
    assert not stumbles(sentence)
