"""Makes smpchat's table of letters that look alike. To print the table, run
``python -m smpchat.testing.confusables confusables.txt LICENCE``.

The table is made from https://www.unicode.org/Public/security/latest/confusables.txt (UTS #39). smpchat
normalises an alias to NFKD before it looks up the letters of the alias in the table. So the table leaves out letters
that NFKD changes.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

_HEADER = """\
# Letters that look alike. Each line has a letter, a tab, and all letters that look like it. This is a part of Unicode's
# confusables.txt, version {version}, https://www.unicode.org/reports/tr39, converted by smpchat.testing.confusables.
#
"""


def pairs(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The pairs of letters that look alike, read from the lines of Unicode's confusables.txt."""
    for line in lines:
        source, _, rest = line.partition("#")[0].partition(";")
        if rest:
            target = rest.partition(";")[0]
            yield _text(source), _text(target)


def table(lines: list[str], licence: str) -> str:
    """The text of the table of letters that look alike. It begins with comments, which contain Unicode's licence."""
    version = next(line.split()[-1] for line in lines if line.startswith("# Version:"))
    alike: dict[str, list[str]] = {}
    for source, target in pairs(lines):
        if source.isprintable() and unicodedata.normalize("NFKD", source) == source:
            alike.setdefault(target, []).append(source)
    head = _HEADER.format(version=version) + "".join(f"# {line}".rstrip() + "\n" for line in licence.splitlines())
    return head + "".join(f"{target}\t{''.join(sorted(sources))}\n" for target, sources in sorted(alike.items()))


def _text(numbers: str) -> str:
    return "".join(chr(int(number, 16)) for number in numbers.split())


if __name__ == "__main__":
    unicode_file, licence_file = (Path(name).read_text(encoding="utf-8-sig") for name in sys.argv[1:])
    sys.stdout.buffer.write(table(unicode_file.splitlines(), licence_file).encode())
