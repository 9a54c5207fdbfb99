"""What changed beyond noise between two results of `run.py`, or between two commits.

    python benchmarks/compare.py benchmarks/results/A.json benchmarks/results/B.json
    python benchmarks/compare.py HEAD~1 HEAD --only selfplay_speed --turns 5
    python benchmarks/compare.py main . --only training_speed          . = the working tree as it is

Commits are checked out beside each other and measured in turns, first one, then the other, so that both meet whatever
else the machine does; a figure's spread is that over the turns. In two files it is the one that each benchmark wrote.
A change counts where the quartiles do not overlap and the medians differ by more than `--least` percent. The exit code
is 1 where something became worse.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from figures import Figure, better, figure, figures_in
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]


class Change(NamedTuple):
    """A figure before and after."""

    name: str
    before: Figure
    after: Figure

    @property
    def share(self) -> float:
        """By how much the median grew, as a share of what it was."""
        return self.after["median"] / self.before["median"] - 1 if self.before["median"] else 0.0

    def verdict(self, least: float) -> str:
        """`better`, `worse`, `changed` (where neither is said), or nothing where it may be noise."""
        apart = self.before["high"] < self.after["low"] or self.after["high"] < self.before["low"]
        if not apart or abs(self.share) < least:
            return ""
        direction = better(self.name) * (1 if self.share > 0 else -1)
        return {1: "better", -1: "worse", 0: "changed"}[direction]


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """Every figure that both results have."""
    old, new = dict(figures_in(before["results"])), dict(figures_in(after["results"]))
    return [Change(name, old[name], new[name]) for name in old if name in new]


def read(path: Path) -> dict[str, Any]:
    """A result file; ends with a message where it is none."""
    try:
        result: dict[str, Any] = json.loads(path.read_text())
        result["results"], result["machine"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"{path}: not a result of benchmarks/run.py ({error!r})") from None
    return result


@contextmanager
def tree_of(commit: str) -> Iterator[Path]:
    """The files of a commit in a folder of its own; "." is the working tree."""
    if commit == ".":
        yield ROOT
        return
    with tempfile.TemporaryDirectory() as folder:
        git = ["git", "-C", str(ROOT), "worktree"]
        added = subprocess.run([*git, "add", "--detach", folder, commit], capture_output=True, text=True)
        if added.returncode:
            raise SystemExit(f'"{commit}" is neither a result file nor a commit: {added.stderr.strip()}')
        try:
            yield Path(folder)
        finally:
            subprocess.run([*git, "remove", "--force", folder], check=True, capture_output=True)


def measure(tree: Path, only: str, out: Path) -> dict[str, Any]:
    """One run of the benchmarks, as they stand here, against the code of a tree."""
    command = [sys.executable, str(ROOT / "benchmarks" / "run.py"), "--only", only, "--out", str(out)]
    if subprocess.run(command, env={**os.environ, "PYTHONPATH": str(tree)}, cwd=tree).returncode:
        raise SystemExit(f"today's benchmarks do not run against {tree}: that commit may be too old for them")
    return read(out)


def measured_in_turns(commits: list[str], only: str, turns: int) -> list[dict[str, Any]]:
    """A result for each of two commits, whose figures are medians and quartiles over the turns."""
    values: list[dict[str, list[float]]] = [defaultdict(list), defaultdict(list)]
    results: list[dict[str, Any]] = [{}, {}]
    with tree_of(commits[0]) as first, tree_of(commits[1]) as second, tempfile.TemporaryDirectory() as folder:
        for _ in range(turns):
            for place, tree in enumerate((first, second)):
                results[place] = measure(tree, only, Path(folder) / "result.json")
                for name, found in figures_in(results[place]["results"]):
                    values[place][name].append(found["median"])
    return [
        {"machine": result["machine"], "results": {name: figure(list(found)) for name, found in by_name.items()}}
        for result, by_name in zip(results, values, strict=True)
    ]


def report(found: list[Change], *, least: float, everything: bool, console: Console) -> None:
    """What changed, as a table."""
    table = Table(box=SIMPLE_HEAD)
    for column in ("figure", "before", "after", "change", ""):
        table.add_column(column, justify="left" if column in ("figure", "") else "right")
    for change in found:
        verdict = change.verdict(least)
        if verdict or everything:
            colour = {"better": "green", "worse": "red"}.get(verdict, "")
            sides = (f"{side['median']:,} ({side['low']:,}–{side['high']:,})" for side in change[1:])
            table.add_row(change.name, *sides, f"{change.share:+.1%}", verdict, style=colour)
    if table.row_count:
        console.print(table)
    counted = [change.verdict(least) for change in found]
    console.print(
        f"{len(found)} figures: {counted.count('better')} better, {counted.count('worse')} worse, "
        f"{counted.count('changed')} changed otherwise, {counted.count('')} within the noise"
    )


def main() -> None:
    """Compare, print, and exit with 1 where something became worse."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", help="a result file, a commit, or . for the working tree")
    parser.add_argument("after", help="likewise")
    parser.add_argument("--least", type=float, default=3.0, help="percent that a median must differ by (default 3)")
    parser.add_argument("--only", default="selfplay_speed", help="benchmarks to run for commits (default %(default)s)")
    parser.add_argument("--turns", type=int, default=3, help="runs of each commit (default 3)")
    parser.add_argument("--all", action="store_true", help="show what stayed within the noise too")
    parser.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    arguments = parser.parse_args()
    sides = [arguments.before, arguments.after]
    if all(Path(side).is_file() for side in sides):
        before, after = (read(Path(side)) for side in sides)
    else:
        before, after = measured_in_turns(sides, arguments.only, arguments.turns)
    console, least = Console(stderr=arguments.json), arguments.least / 100
    if before["machine"]["processor"] != after["machine"]["processor"]:
        console.print("[yellow]These were measured on different processors: only ratios can be compared.[/]")
    found = changes(before, after)
    report(found, least=least, everything=arguments.all, console=console)
    if arguments.json:
        lines = [{"name": each.name, "change": each.share, "verdict": each.verdict(least)} for each in found]
        print(json.dumps(lines, indent=1))
    sys.exit(any(change.verdict(least) == "worse" for change in found))


if __name__ == "__main__":
    main()
