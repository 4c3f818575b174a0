"""`python -m tests.fuzz`: see `tests.fuzz`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.fuzz.run import Outcome, run, save
from tests.fuzz.target import SLOW
from tests.fuzz.targets import chosen, every


def main() -> int:
    """Ends with 1 if something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Mutated input for all that reads.")
    parser.add_argument("--seconds", type=float, help="how long (60, unless --inputs says when to end)")
    parser.add_argument("--inputs", type=int, help="end after so many")
    parser.add_argument("--target", action="append", default=[], metavar="NAME", help="a target, or the begin of some")
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same inputs of each target")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"), help="folder for what is found")
    parser.add_argument("--list", action="store_true", help="name the targets")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run what a file holds, and show the error")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(every()))
        return 0
    if arguments.replay:
        return _replay(arguments.replay)
    try:
        chosen(arguments.target)
    except ValueError as error:
        parser.error(str(error))
    seconds = 60.0 if arguments.seconds is None and arguments.inputs is None else arguments.seconds
    said = 0.0

    def report(total: Outcome, took: float) -> None:
        nonlocal said
        if took - said >= 10:
            said = took
            print(_line(total, took), flush=True)

    total = run(
        arguments.target,
        seed=arguments.seed,
        seconds=seconds,
        inputs=arguments.inputs,
        jobs=arguments.jobs,
        report=report,
    )
    for name, number in sorted(total.inputs.items()):
        print(f"{name:32} {number:>11,} inputs, {total.accepted[name] / number:4.0%} accepted")
    for path in sorted({save(finding, arguments.out) for finding in total.findings}):
        print(f"{path}: {json.loads(path.read_text(encoding='utf-8'))['problem']}")
    memory = f"memory grew by {total.memory / (1 << 20):.0f} MiB at most"
    print(f"{total.total:,} inputs, {len(total.findings)} findings (slow: above {SLOW * 1000:.0f} ms), {memory}")
    return 1 if total.findings else 0


def _line(total: Outcome, took: float) -> str:
    memory = total.memory / (1 << 20)
    speed, found = total.total / took, len(total.findings)
    return f"{took:7.0f} s  {total.total:>12,} inputs  {speed:>8,.0f}/s  {found} findings  +{memory:.0f} MiB"


def _replay(path: Path) -> int:
    finding = json.loads(path.read_text(encoding="utf-8"))
    target = every()[finding["target"]]
    try:
        target.run(bytes.fromhex(finding["input"]))
    except target.errors as error:
        print(f"documented: {error}")
    problem = target.check(bytes.fromhex(finding["input"]))
    print(problem or "nothing is wrong")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
