"""Does a run that is killed again and again end in the same bytes as one that is left alone?

    python benchmarks/crash_equivalence.py --kills 200 --seed 1              at random moments
    python benchmarks/crash_equivalence.py --kills 200 --seed 1 --workers 8
    python benchmarks/crash_equivalence.py --points                          once at every named point
    python benchmarks/crash_equivalence.py --recoveries 10                   how long until games come in again

A small but whole training (tic-tac-toe: workers, rounds, trainer, matches) runs once undisturbed. Then it runs again
and again while SIGKILL hits the coordinator, a worker, the trainer, or all of them, and is started anew each time,
until so many kills are spent. With `--points` a run is made for every named point (before and after each write, sync,
rename and event; see faults/sitecustomize.py) and the first process to reach it dies there.

Every run must end with the fingerprint of each round and the games of the undisturbed one, each game once, without
half-written files, without files in quarantine, with an event log that can be read, and 2 seconds after its
coordinator died none of its processes may be left. Exit code 1 where one of these does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from rich.console import Console

from selfplay.network.checkpoint import load_checkpoint
from selfplay.rundir.event_types import Started, Stopped
from selfplay.rundir.events import EventReader
from selfplay.rundir.layout import RunLayout
from selfplay.samples.batch_file import read_batch

SELFPLAY = Path(sys.executable).with_name("selfplay")
FAULTS = Path(__file__).parent / "faults"
ORPHAN_SECONDS = 2.0  # that a child may outlive its coordinator
LONGEST_RUN_SECONDS = 300.0
MEAN_PAUSE_SECONDS = 2.0  # between two kills; a start takes about one
TARGETS = ("coordinator", "worker", "trainer", "all")


@dataclass(frozen=True)
class Outcome:
    """What a finished run left on disk."""

    fingerprints: dict[int, str]  # of each round
    games: dict[tuple[int, int], str]  # (round, number) -> its record
    problems: list[str]


@dataclass
class Tally:
    """What was done so far, over all runs."""

    runs: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    slowest_end: float = 0.0  # seconds that a child outlived its coordinator
    recovery_seconds: list[float] = field(default_factory=list)  # from a start to the next batch file
    problems: list[str] = field(default_factory=list)


class Run:
    """One training in a folder of its own, started as often as it takes."""

    def __init__(self, folder: Path, workers: int, environment: dict[str, str] | None = None) -> None:
        home = folder / "run"  # the same name for all, because names of points hold it
        self.layout, self.model = RunLayout(home / "data"), home / "published" / "model.pt"
        self.model.parent.mkdir(parents=True)
        self._log = folder / "output.txt"
        self._environment = {**os.environ, **(environment or {})}
        command = [SELFPLAY, "train", "tictactoe", "--model", self.model, "--data", self.layout.root, "--seed", 7]
        command += ["--workers", workers, "--rounds", 3, "--games-per-round", 60, "--match-games", 20]
        self._command = list(map(str, command))
        self.process: psutil.Popen | None = None

    def start(self) -> None:
        """Begin or go on."""
        with open(self._log, "ab") as log:
            self.process = psutil.Popen(
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self._environment
            )

    def wait(self, seconds: float) -> int | None:
        """The exit code, None while it runs on after so many seconds."""
        assert self.process is not None
        with contextlib.suppress(subprocess.TimeoutExpired, psutil.TimeoutExpired):
            return int(self.process.wait(seconds))
        return None

    def family(self) -> dict[str, list[psutil.Process]]:
        """The run's processes: coordinator, workers, trainer."""
        assert self.process is not None
        found: dict[str, list[psutil.Process]] = {"coordinator": [self.process], "worker": [], "trainer": []}
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in self.process.children():
                with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                    role = "trainer" if "make_trainer" in " ".join(child.cmdline()) else "worker"
                    found[role].append(child)
        return found

    def end_of_output(self) -> str:
        """The last lines that the run printed."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-6:])


def kill(run: Run, target: str, rng: random.Random, tally: Tally) -> None:
    """Kill the target; where the coordinator died, see all others end and start it anew."""
    family = run.family()
    everyone = [process for processes in family.values() for process in processes]
    if target == "worker" and family["worker"]:
        victims = [rng.choice(family["worker"])]
    else:
        victims = everyone if target == "all" else family.get(target, [])
    for victim in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
    if not victims:
        return  # not there yet, or between two lives
    tally.kills[target] += 1
    if run.process in victims:
        run.wait(ORPHAN_SECONDS)
        started = time.monotonic()
        while (alive := [process for process in everyone if _runs(process)]) and len(tally.problems) == 0:
            time.sleep(0.01)
            if time.monotonic() - started > ORPHAN_SECONDS:
                tally.problems.append(f"{alive} outlived their coordinator by {ORPHAN_SECONDS} s")
        tally.slowest_end = max(tally.slowest_end, time.monotonic() - started)
        run.start()


def _runs(process: psutil.Process) -> bool:
    """Whether it still does something; what ended and waits to be taken note of (a zombie) does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def outcome(run: Run) -> Outcome:
    """Everything a finished run must have right, read from its files."""
    layout, games, problems = run.layout, {}, []
    for path in layout.batch_files():
        batch = read_batch(path)
        for game in batch.games:
            key = (batch.round, game.number)
            if key in games:
                problems.append(f"game {key[1]} of round {key[0]} is there twice, again in {path}")
            games[key] = repr(game)
    leftovers = [path for path in layout.root.parent.rglob("*") if ".tmp" in path.name]
    problems += [f"left over: {path}" for path in leftovers]
    if layout.quarantine.exists():
        problems += [f"in quarantine: {path}" for path in layout.quarantine.iterdir()]
    lines = layout.events.read_bytes().splitlines()
    events = list(EventReader(layout.events))
    torn = len(lines) - len(events)
    starts = sum(isinstance(event, Started) for event in events)
    ends = [event.reason for event in events if isinstance(event, Stopped)]
    if torn > starts or "finished" not in ends:
        problems.append(f"the event log has {torn} lines that are no events, and ends {ends}")
    fingerprints = {n: load_checkpoint(layout.model(n)).card.fingerprint for n in layout.rounds_with_models()}
    if load_checkpoint(run.model).card.fingerprint != fingerprints[max(fingerprints)]:
        problems.append("the published model is not that of the last round")
    return Outcome(fingerprints, games, problems)


def compare(run: Run, expected: Outcome, tally: Tally, *, what: str) -> None:
    """Note where a finished run differs from the undisturbed one."""
    found = outcome(run)
    problems = list(found.problems)
    for number, fingerprint in expected.fingerprints.items():
        if found.fingerprints.get(number) != fingerprint:
            problems.append(f"round {number} is {found.fingerprints.get(number)}, expected {fingerprint}")
    lost, other = expected.games.keys() - found.games.keys(), found.games.keys() - expected.games.keys()
    changed = [key for key in expected.games.keys() & found.games.keys() if expected.games[key] != found.games[key]]
    if lost or other or changed:
        problems.append(f"{len(lost)} games lost, {len(other)} too many, {len(changed)} changed")
    tally.runs += 1
    tally.problems += [f"{what}: {problem}" for problem in problems]


def finish(run: Run, tally: Tally, *, what: str) -> bool:
    """See a run to its end, starting it again where it was killed; whether it came to one."""
    deadline = time.monotonic() + LONGEST_RUN_SECONDS
    while time.monotonic() < deadline:
        code = run.wait(1.0)
        if code == 0:
            return True
        if code is not None and code > 0:
            tally.problems.append(f"{what}: ended with exit code {code}: {run.end_of_output()}")
            return False
        if code is not None:
            run.start()
    tally.problems.append(f"{what}: not finished after {LONGEST_RUN_SECONDS:.0f} s: {run.end_of_output()}")
    kill(run, "all", random.Random(0), Tally())
    return False


def disturb(run: Run, rng: random.Random, tally: Tally, kills: int) -> int | None:
    """Kill at random until the run ends or so many kills are spent; its exit code if it ended."""
    while tally.kills.total() < kills:
        code = run.wait(min(rng.expovariate(1 / MEAN_PAUSE_SECONDS), 4 * MEAN_PAUSE_SECONDS))
        if code is not None:
            return code
        kill(run, rng.choice(TARGETS), rng, tally)
    return None


def random_kills(folder: Path, expected: Outcome, arguments: argparse.Namespace, say: Console) -> Tally:
    """Runs under fire until all kills are spent."""
    rng, tally = random.Random(arguments.seed), Tally()
    while tally.kills.total() < arguments.kills and not tally.problems:
        what = f"run {tally.runs + 1}"
        run = Run(folder / what.replace(" ", "_"), arguments.workers)
        run.start()
        code = disturb(run, rng, tally, arguments.kills)
        if code == 0 or (not code and finish(run, tally, what=what)):
            compare(run, expected, tally, what=what)
        elif code:
            tally.problems.append(f"{what}: ended with exit code {code}: {run.end_of_output()}")
        say.print(f"{what}: {tally.kills.total()} of {arguments.kills} kills, {len(tally.problems)} problems")
    return tally


def every_point(folder: Path, expected: Outcome, arguments: argparse.Namespace, say: Console) -> Tally:
    """A run for each named point, in which the first process to reach it dies."""
    record, tally = folder / "points.txt", Tally()
    recorded = Run(folder / "recorded", arguments.workers, _faults(FAULT_RECORD=record))
    recorded.start()
    finish(recorded, tally, what="recording")
    points = sorted(point for point in set(record.read_text().splitlines()) if re.search(arguments.points, point))
    say.print(f"{len(points)} named points")
    for number, point in enumerate(points):
        mark = folder / f"mark_{number}"
        run = Run(folder / f"point_{number}", arguments.workers, _faults(FAULT_POINT=point, FAULT_MARK=mark))
        run.start()
        if finish(run, tally, what=point):
            if not mark.exists():
                tally.problems.append(f"{point}: was not reached")
            tally.kills["point"] += 1
            compare(run, expected, tally, what=point)
        say.print(f"{number + 1}/{len(points)} {point}: {len(tally.problems)} problems so far")
    return tally


def recoveries(folder: Path, expected: Outcome, arguments: argparse.Namespace, say: Console) -> Tally:
    """Kill everything in the first round, start again, and see how long it takes until the next batch file is there."""
    tally = Tally()
    for number in range(arguments.recoveries):
        what = f"recovery {number + 1}"
        run = Run(folder / what.replace(" ", "_"), arguments.workers)
        run.start()
        _await_batch(run, before=0)
        for process in [process for processes in run.family().values() for process in processes]:
            process.kill()
        run.wait(ORPHAN_SECONDS)
        tally.kills["all"] += 1
        there = len(run.layout.batch_files())
        started = time.monotonic()
        run.start()
        tally.recovery_seconds.append(_await_batch(run, before=there) - started)
        if finish(run, tally, what=what):
            compare(run, expected, tally, what=what)
        say.print(f"{what}: {tally.recovery_seconds[-1]:.2f} s, {len(tally.problems)} problems")
    return tally


def _await_batch(run: Run, *, before: int) -> float:
    """When there are more batch files than before, or the run is over."""
    while len(run.layout.batch_files()) <= before and run.wait(0.0) is None:
        time.sleep(0.01)
    return time.monotonic()


def _faults(**settings: object) -> dict[str, str]:
    search_path = os.pathsep.join([str(FAULTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"PYTHONPATH": search_path, **{name: str(value) for name, value in settings.items()}}


def main() -> None:
    """Print what was found, then JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="random kills, over as many runs as it takes")
    parser.add_argument(
        "--points",
        nargs="?",
        const="",
        metavar="PATTERN",
        help="instead, die once at every named point, or those that the regular expression finds",
    )
    parser.add_argument("--recoveries", type=int, default=0, help="instead, measure so many recoveries")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="of victims and moments")
    arguments = parser.parse_args()
    say = Console(stderr=True, highlight=False)
    with tempfile.TemporaryDirectory() as name:
        folder, tally = Path(name), Tally()
        calm = Run(folder / "undisturbed", arguments.workers)
        calm.start()
        if not finish(calm, tally, what="undisturbed"):
            sys.exit("\n".join(tally.problems))
        expected = outcome(calm)
        say.print(
            f"undisturbed: {len(expected.games)} games, model {expected.fingerprints[max(expected.fingerprints)]}"
        )
        at_random_or_points = random_kills if arguments.points is None else every_point
        test = recoveries if arguments.recoveries else at_random_or_points
        tally = test(folder, expected, arguments, say)
    for problem in tally.problems:
        say.print(f"problem: {problem}", style="red", soft_wrap=True, markup=False)
    print(
        json.dumps(
            {
                "runs": tally.runs,
                "kills": dict(tally.kills),
                "games_per_run": len(expected.games),
                "slowest_end_seconds": round(tally.slowest_end, 2),
                "recovery_seconds": [round(seconds, 2) for seconds in sorted(tally.recovery_seconds)],
                "problems": tally.problems,
            }
        )
    )
    sys.exit(bool(tally.problems or expected.problems))


if __name__ == "__main__":
    main()
