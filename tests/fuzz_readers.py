"""Files from strangers: every reader gets content that was made wrong on purpose, and only a `SelfplayError` may come
out of it.

    python tests/fuzz_readers.py --inputs 1000000           all readers together, coverage-guided, by libFuzzer (atheris)
    python tests/fuzz_readers.py --reader onnx --inputs 50000

needs `pip install atheris`. The ordinary tests give each reader a few dozen inputs (`test_untrusted_files.py`).
A checksum would stop nearly all of them at the door; so some readers get a second turn, in which it is made to fit, and
a third, in which single values of a whole file are replaced by strange ones.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import random
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from rich.console import Console


def _instrumented() -> contextlib.AbstractContextManager[object]:
    """Lets libFuzzer see which branches of our own modules an input reaches."""
    if "--here" not in sys.argv:
        return contextlib.nullcontext()
    import atheris

    return atheris.instrument_imports(include=["selfplay"])


with _instrumented():
    from selfplay.config import from_tree, settings_of_run, to_toml
    from selfplay.errors import SelfplayError
    from selfplay.evaluation.cache import CachedEvaluator
    from selfplay.evaluation.evaluator import Positions
    from selfplay.evaluation.onnx_evaluator import OnnxEvaluator
    from selfplay.evaluation.uniform import UniformEvaluator
    from selfplay.games.registry import load_rules
    from selfplay.monitor.snapshot import Reader
    from selfplay.monitor.terminal import screen
    from selfplay.network.card import read_onnx_card, sealed
    from selfplay.network.checkpoint import (
        checksum,
        fingerprint,
        load_checkpoint,
        playing_network,
        save_checkpoint,
        untrained,
    )
    from selfplay.rundir.event_types import Died, Match, Played, Progress, Rejected, Started, Trained, WorkerFacts
    from selfplay.rundir.events import EventLog
    from selfplay.rundir.layout import RunLayout
    from selfplay.samples import batch_file
    from selfplay.samples.batch_file import BatchHeader, encode_batch
    from selfplay.samples.collector import BatchCollector, RunIdentity
    from selfplay.samples.index import KnownFile, KnownGame, RoundIndex, known_files
    from selfplay.settings import NetworkSettings, SearchSettings, SelfPlaySettings, Settings
    from selfplay.worker.lockstep import Lockstep

SETTINGS = Settings(
    network=NetworkSettings(blocks=1, channels=4, policy_channels=1, value_channels=1, value_hidden=2),
    search=SearchSettings(simulations=4),
    selfplay=SelfPlaySettings(games_per_round=12, seed=5, device="cpu"),
)
STRANGE = [
    None, True, False, -1, 0, 1, 7, 2**31, 2**53, 2**63, 2**64, -(2**63), 1e308, -1e-308, float("nan"), float("inf"),
    "", "x", "\x1b[31mred\x07", "x" * 100_000, "../../etc/passwd", "\ud83d\ude00", [], {}, [[]], {"": {}}, [0] * 5000,
]  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A reader, and whole files to start from."""

    seeds: list[bytes]
    read: Callable[[bytes], object]


class Workshop:
    """Whole files, and what reads them; all in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rules = load_rules("tictactoe")
        self._layout = RunLayout(folder / "run")
        self._layout.worker(0).mkdir(parents=True)
        self._layout.settings.write_text(to_toml(SETTINGS, heading="fuzzed"))
        self.model = folder / "model.pt"
        save_checkpoint(untrained(self._rules.info, SETTINGS), self.model)
        self._batch = self._whole_batch()
        self._table = torch.load(self.model, weights_only=True)

    def targets(self) -> dict[str, Target]:
        """Every reader by name."""
        twin, seed = self.model.with_suffix(".onnx").read_bytes(), [bytes([n]) for n in range(4)]
        return {
            "batch": Target([self._batch], self.read_batch),
            "batch-sealed": Target([self._batch.rpartition(b',"checksum"')[0]], self.read_sealed_batch),
            "batch-values": Target(seed, self.read_batch_with_strange_values),
            "checkpoint": Target([self.model.read_bytes()], self.read_checkpoint),
            "checkpoint-pickle": Target([self._pickle()], self.read_checkpoint_with_pickle),
            "checkpoint-values": Target(seed, self.read_checkpoint_with_strange_values),
            "onnx": Target([twin], self.read_onnx),
            "onnx-sealed": Target([twin[: -len(sealed(b""))]], lambda content: self.read_onnx(sealed(content))),
            "settings": Target([to_toml(SETTINGS, heading="fuzzed").encode()], self.read_settings),
            "settings-values": Target(seed, self.read_settings_with_strange_values),
            "index": Target([self._whole_index()], self.read_index),
            "events": Target([self._whole_log()], self.read_events),
            "events-values": Target(seed, self.read_events_with_strange_values),
        }

    # --- readers ---------------------------------------------------------------------------------------------

    def read_batch(self, content: bytes) -> None:
        """As the coordinator does: nothing comes out, at most the file is rejected."""
        path = self._layout.worker(0) / "batch_r0001_g000000.json"
        path.write_bytes(content)
        identity = RunIdentity.of(SETTINGS, self._rules, lambda number: "f" * 64 if number == 1 else None)
        sweep = BatchCollector(lambda: [path], identity).sweep()
        assert len(sweep.accepted) + len(sweep.rejected) + len(sweep.waiting) == 1

    def read_index(self, content: bytes) -> None:
        """As the coordinator does: what cannot be used is left aside, and the file is read."""
        index, path = self._layout.index(1), self._layout.worker(0) / "batch_r0001_g000000.json"
        index.parent.mkdir(exist_ok=True)
        index.write_bytes(content)
        path.write_bytes(self._batch)
        identity = RunIdentity.of(SETTINGS, self._rules, lambda number: "f" * 64 if number == 1 else None)
        sweep = BatchCollector(lambda: [path], identity, known=known_files([index], self._layout.root)).sweep()
        assert sweep.games or sweep.known or sweep.rejected or sweep.waiting

    def _whole_index(self) -> bytes:
        game = KnownGame(0, 9, "0" * 32)
        files = [KnownFile("worker_0/batch_r0001_g000000.json", len(self._batch), 0, [game])]
        return msgspec.json.encode(RoundIndex(round=1, model="f" * 64, files=files))

    def read_sealed_batch(self, body: bytes) -> None:
        self.read_batch(batch_file._sealed(body))

    def read_batch_with_strange_values(self, seed: bytes) -> None:
        table = msgspec.json.decode(self._batch)
        del table["checksum"]
        self.read_sealed_batch(_as_json(made_strange(table, random.Random(seed)))[:-1])

    def read_checkpoint(self, content: bytes) -> None:
        path = self._folder / "fuzzed.pt"
        path.write_bytes(content)
        playing_network(load_checkpoint(path))

    def read_checkpoint_with_pickle(self, pickled: bytes) -> None:
        """A whole zip file around the pickle."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(self.model) as source, zipfile.ZipFile(buffer, "w") as target:
            for name in source.namelist():
                target.writestr(name, pickled if name.endswith("data.pkl") else source.read(name))
        self.read_checkpoint(buffer.getvalue())

    def read_checkpoint_with_strange_values(self, seed: bytes) -> None:
        rng, buffer = random.Random(seed), io.BytesIO()
        table = made_strange(copy.deepcopy(self._table), rng)
        with contextlib.suppress(Exception):  # what has no fingerprint or checksum keeps those that it had
            table["card"]["fingerprint"] = fingerprint(table["weights"], table["average"])
            whole = replace(load_checkpoint(self.model), **{name: table[name] for name in ("optimizer", "trained")})
            whole = replace(whole, card=replace(whole.card, **table["card"]))
            table["checksum"] = checksum(whole, table["card"], table["settings"])
        torch.save(table, buffer)
        self.read_checkpoint(buffer.getvalue())

    def read_onnx(self, content: bytes) -> None:
        """The card with every node looked at, and then a search's worth of judging."""
        path = self._folder / "fuzzed.onnx"
        path.write_bytes(content)
        read_onnx_card(path)
        evaluator = OnnxEvaluator(path, self._rules.info)
        start = self._rules.start(3)
        known = self._rules.describe(start)
        priors, values = evaluator.evaluate(Positions(self._rules, start, known.legal, known.keys))
        assert priors.shape == (3, 9)
        assert np.isfinite(values).all()

    def read_settings(self, content: bytes) -> None:
        path = self._folder / "fuzzed.toml"
        path.write_bytes(content)
        settings_of_run(path)

    def read_settings_with_strange_values(self, seed: bytes) -> None:
        from_tree(made_strange(msgspec.to_builtins(SETTINGS), random.Random(seed)), where="strange")

    def read_events(self, content: bytes) -> None:
        """As the monitor does, up to the screen."""
        self._layout.events.write_bytes(content)
        console = Console(width=80, file=io.StringIO(), color_system=None)
        with console.capture() as capture:
            console.print(screen(Reader(self._layout.root).look(), width=80, height=50))
        assert all(sign.isprintable() or sign == "\n" for sign in capture.get())

    def read_events_with_strange_values(self, seed: bytes) -> None:
        rng, lines = random.Random(seed), self._whole_log().splitlines()
        self.read_events(b"".join(_as_json(made_strange(json.loads(line), rng)) + b"\n" for line in lines))

    # --- whole files -----------------------------------------------------------------------------------------

    def _whole_batch(self) -> bytes:
        info = self._rules.info
        evaluator = CachedEvaluator(UniformEvaluator(), info, positions=64)
        lockstep = Lockstep(self._rules, evaluator, SETTINGS.search, slots=3, run_seed=5, round_number=1)
        header = BatchHeader(
            game=info.name, rules=info.rules_hash, model="f" * 64, round=1, search=msgspec.to_builtins(SETTINGS.search)
        )
        return encode_batch(header, [game for game in lockstep.play(range(3)) if game is not None])

    def _pickle(self) -> bytes:
        with zipfile.ZipFile(self.model) as source:
            return source.read(next(name for name in source.namelist() if name.endswith("data.pkl")))

    def _whole_log(self) -> bytes:
        path = self._folder / "whole.jsonl"
        if not path.exists():
            log = EventLog(path)
            log.add(Started(workers=2, rounds=3, host="here", pid=7))
            facts = WorkerFacts(state="playing", games=3, memory=200)
            log.add(
                Progress(
                    round=1,
                    phase="playing",
                    seconds_left=7,
                    workers=msgspec.Raw(msgspec.json.encode({"worker_0": facts})),
                )
            )
            losses = {"policy": 1.0, "value": 0.9, "policy_floor": 0.8}
            log.add(Trained(round=1, fingerprint="f" * 64, **losses, plan="serial", shares={"forward": 0.5}))
            log.add(Played(round=1, games=3, first_won=1, plies=20, seconds=1.0))
            log.add(Rejected(file="x.json", reason="torn"))
            log.add(Died(child="worker_0", code=-9, reason="signal 9"))
            log.add(Match(round=1, against="random", score=0.5, low=0.4, high=0.6, games=10))
        return path.read_bytes()


def made_strange(table: Any, rng: random.Random) -> Any:
    """The table with one to three of its values, somewhere inside, replaced, removed or named otherwise."""
    for _ in range(rng.randint(1, 3)):
        holder, key = table, rng.choice(_keys(table))
        while (inner := _keys(holder[key])) and rng.random() < 0.8:
            holder, key = holder[key], rng.choice(inner)
        if rng.random() < 0.1:
            del holder[key]
        else:
            holder[key] = _strange(holder[key], rng)
        if not _keys(table):
            return table
    return table


def _strange(value: Any, rng: random.Random) -> Any:
    if isinstance(value, torch.Tensor) and rng.random() < 0.8:
        others = [
            value.double(), value.to(torch.complex64), value.to_sparse(), value.reshape(-1), value[..., None],
            value * float("nan"), torch.zeros(1).expand(10**5), value.to("meta"), torch.ones(()),
        ]  # fmt: skip
        return rng.choice(others)
    if isinstance(value, int | float) and rng.random() < 0.5:
        return value + rng.choice([-1, 1, 0.5, 1000])
    return copy.deepcopy(rng.choice(STRANGE))


def _keys(value: Any) -> list[Any]:
    return list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []


def _as_json(value: Any) -> bytes:
    return json.dumps(value, default=repr).encode("utf-8", "surrogatepass")


def give(target: Target, content: bytes) -> None:
    """One input; whatever but a `SelfplayError` comes out, comes out of here too."""
    with contextlib.suppress(SelfplayError):
        target.read(content)


def _fuzz(name: str, inputs: int, seed: int) -> None:
    """Runs in a process of its own, which libFuzzer ends."""
    import atheris

    with tempfile.TemporaryDirectory() as folder:
        target = Workshop(Path(folder)).targets()[name]
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        for number, content in enumerate(target.seeds):
            (corpus / str(number)).write_bytes(content)
            give(target, content)
        longest = 2 * max(map(len, target.seeds)) if len(target.seeds[0]) > 1 else 16
        options = [f"-runs={inputs}", f"-seed={seed}", f"-max_len={longest}", "-timeout=20", "-rss_limit_mb=6000"]
        atheris.Setup([sys.argv[0], *options, str(corpus)], lambda content: give(target, content))
        atheris.Fuzz()


def main() -> None:
    """Print what each reader stood."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reader", help="one of them; without it, all share the inputs")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        _fuzz(arguments.reader, arguments.inputs, arguments.seed)
    if arguments.reader not in (None, *SHARES):
        sys.exit(f"no reader {arguments.reader!r}; there are {', '.join(SHARES)}")
    chosen = {name: share for name, share in SHARES.items() if arguments.reader in (None, name)}
    with tempfile.TemporaryDirectory() as folder:
        for target in Workshop(Path(folder)).targets().values():
            give(target, target.seeds[0])  # fills the cache of kernels: what libFuzzer watches, Numba cannot compile
    total, failed = 0, []
    for name, share in chosen.items():
        inputs, started = round(arguments.inputs * share / sum(chosen.values())), time.monotonic()
        error = _fuzz_apart(name, inputs, arguments.seed)
        seconds = time.monotonic() - started
        print(f"{name:18} {inputs:>9,} inputs in {seconds:5.0f} s: {'FAILED' if error else 'ok'}", flush=True)
        print(error, end="")
        total += inputs
        failed += [name] * bool(error)
    print(f"{total:,} inputs, {len(failed)} of {len(chosen)} readers failed")
    sys.exit(bool(failed))


def _fuzz_apart(name: str, inputs: int, seed: int) -> str:
    """Fuzz in a process of its own; what it said where an input got through, nothing where all is well."""
    with tempfile.TemporaryDirectory() as folder:  # libFuzzer leaves the input that got through in its folder
        command = [sys.executable, Path(__file__).resolve(), "--here", "--reader", name]
        command += ["--inputs", str(inputs), "--seed", str(seed)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    if re.search(r"^Done \d+ runs", done.stderr, re.MULTILINE):
        return ""
    return "\n".join([*done.stdout.splitlines()[-30:], *done.stderr.splitlines()[-5:], ""])


# How many inputs each gets: what is quick gets many.
SHARES = {
    "batch": 20, "batch-sealed": 20, "batch-values": 10, "checkpoint": 3, "checkpoint-pickle": 4,
    "checkpoint-values": 1, "onnx": 10, "onnx-sealed": 6, "settings": 10, "settings-values": 6, "events": 8,
    "events-values": 2, "index": 4,
}  # fmt: skip


if __name__ == "__main__":
    main()
