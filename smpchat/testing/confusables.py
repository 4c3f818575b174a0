"""Makes the table of letters that look alike: ``python -m smpchat.testing.confusables confusables.txt LICENCE``.

Source: https://www.unicode.org/Public/security/latest/confusables.txt (UTS #39). Names are normalised before they are
compared. So letters that the normalisation (NFKD) changes are left out of the table.
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
    """The pairs of letters that look alike, from Unicode's file."""
    for line in lines:
        source, _, rest = line.partition("#")[0].partition(";")
        if rest:
            target = rest.partition(";")[0]
            yield _text(source), _text(target)


def table(lines: list[str], licence: str) -> str:
    """The text of the table, with its licence."""
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
