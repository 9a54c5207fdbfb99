"""Every path of a run, in one place. Knows names, not contents.

data/run.toml                            settings of the run
data/run.lock                            held while a coordinator runs
data/events.jsonl                        what happened, append only
data/models/round_0007.pt  .onnx         the model of each round, and its inference twin
data/evaluations/round_0007.json         matches of a round's model, and its mistakes
data/gates/round_0007.json               whether it plays from then on, in runs with a gate
data/index/round_0007.json               what is known of a round's batch files
data/worker_3/batch_r0007_g000120.json   games of round 7 from number 120 on
data/quarantine/                         what could not be read, each with a .reason.txt beside it
data/logs/worker_3.log                   what a child process printed
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from selfplay.errors import ModelError


@dataclass(frozen=True)
class RunLayout:
    """The paths of the run in `root`."""

    root: Path

    @property
    def settings(self) -> Path:
        return self.root / "run.toml"

    @property
    def lock(self) -> Path:
        return self.root / "run.lock"

    @property
    def events(self) -> Path:
        return self.root / "events.jsonl"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def quarantine(self) -> Path:
        return self.root / "quarantine"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def evaluations(self) -> Path:
        return self.root / "evaluations"

    @property
    def gates(self) -> Path:
        return self.root / "gates"

    def index(self, round_number: int) -> Path:
        """What is known of a round's batch files."""
        return self.root / "index" / f"round_{round_number:04d}.json"

    def indexes(self) -> list[Path]:
        """All such files that are there."""
        folder = self.root / "index"
        return [folder / name for name in sorted(_names(folder)) if re.fullmatch(r"round_\d+\.json", name)]

    def gate(self, round_number: int) -> Path:
        """The verdict on a round's model, in runs with a gate."""
        return self.gates / f"round_{round_number:04d}.json"

    def evaluation(self, round_number: int) -> Path:
        """What was found out about a round's model."""
        return self.evaluations / f"round_{round_number:04d}.json"

    def evaluated_rounds(self) -> list[int]:
        """Rounds whose evaluation is there, rising."""
        found = (re.fullmatch(r"round_(\d+)\.json", name) for name in _names(self.evaluations))
        return sorted(int(part.group(1)) for part in found if part)

    def model(self, round_number: int) -> Path:
        """The checkpoint of a round; round 0 is the untrained model."""
        return self.models / f"round_{round_number:04d}.pt"

    def worker(self, number: int) -> Path:
        """The folder of one worker."""
        return self.root / f"worker_{number}"

    def log(self, child: str) -> Path:
        """The log of a child process."""
        return self.logs / f"{child}.log"

    def worker_folders(self) -> list[Path]:
        """Folders of workers that exist, in order of number."""
        return [self.root / name for name in worker_names(_names(self.root))]

    def batch_files(self) -> list[Path]:
        """Batch files of all workers, in an order that depends on their names alone."""
        return [folder / name for folder in self.worker_folders() for name in batch_names(_names(folder))]

    def rounds_with_models(self) -> list[int]:
        """Rounds whose checkpoint and inference twin are both there."""
        return whole_rounds(_names(self.models))

    def newest_round(self) -> int:
        """The highest of these.

        Raises:
            ModelError: there is none.
        """
        rounds = self.rounds_with_models()
        if not rounds:
            raise ModelError(f"{self.models} holds no model yet: the first comes when `selfplay train` starts the run")
        return rounds[-1]


def _names(folder: Path) -> list[str]:
    """Of all that lies in a folder; of one that is not there, none."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def worker_names(names: Iterable[str]) -> list[str]:
    """Those of the names that are a worker's folder, in order of number."""
    found = [name for name in names if re.fullmatch(r"worker_\d+", name)]
    return sorted(found, key=lambda name: int(name.removeprefix("worker_")))


def batch_names(names: Iterable[str]) -> list[str]:
    """Those of the names that are a batch file's, sorted."""
    return sorted(name for name in names if name.startswith("batch_") and name.endswith(".json"))


def whole_rounds(names: Iterable[str]) -> list[int]:
    """Rounds of which both files, checkpoint and inference twin, are among the names, rising."""
    parts = [re.fullmatch(r"round_(\d+)\.(pt|onnx)", name) for name in names]
    there = {(int(part.group(1)), part.group(2)) for part in parts if part}
    return sorted(number for number, ending in there if ending == "pt" and (number, "onnx") in there)


def inference_twin(model: Path) -> Path:
    """The .onnx file that belongs to a checkpoint."""
    return model.with_suffix(".onnx")
