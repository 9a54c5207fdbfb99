"""Is a run what it says it is? Checks every file of it, and plays some of its games again. Only reads.

What is checked: settings; each round's checkpoint and inference file, by format, checksum and fingerprint; the chain of
parents from round to round; each batch file by itself, against the rules and against the run; that each game of a
finished round is there, and that copies of a game are equal: two workers may have played it, where one was slow. A
replayed game must equal the one on file, move by move and count by count: a checksum finds damage, only a replay finds
lies.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from selfplay.config import settings_of_run
from selfplay.errors import ModelError, RunError
from selfplay.games.game import Rules
from selfplay.games.registry import load_rules
from selfplay.network.card import ModelCard, check_game, read_onnx_card
from selfplay.rundir.facts import ModelsOnDisk
from selfplay.rundir.gates import PlayingModels
from selfplay.rundir.layout import RunLayout, inference_twin
from selfplay.samples.batch_file import read_batch
from selfplay.samples.collector import BatchCollector, GameId, RunIdentity
from selfplay.settings import Settings
from selfplay.worker.process import WorkerSetup
from selfplay.worker.replay import Replay, Replayer, difference


@dataclass
class Report:
    """What was looked at, and what is wrong."""

    rounds: int = 0  # with a model, round 0 included
    files: int = 0  # batch files that are as they should be
    games: int = 0
    copied: int = 0  # games that a second file holds too, each time: equal, since others are not taken in
    replayed: int = 0
    quarantined: int = 0  # files that the run itself put aside; nothing is wrong with that
    problems: list[str] = field(default_factory=list)


def verify(layout: RunLayout, *, replay: float, seed: int) -> Iterator[str | Report]:
    """Check a run; yields what it is at, at last the report.

    Args:
        layout: the run.
        replay: share of the games to play again, 0 to 1.
        seed: which games.

    Raises `RunError` where the folder holds no run, `UsageError` or `GameError` where its settings cannot be used.
    """
    if not layout.settings.exists():
        raise RunError(f"{layout.root} holds no run: it has no {layout.settings.name}")
    settings = settings_of_run(layout.settings)
    rules, report = load_rules(settings.game.name), Report()
    if layout.quarantine.exists():
        report.quarantined = len(list(layout.quarantine.glob("*.reason.txt")))
    cards: dict[int, ModelCard] = {}
    numbers = layout.rounds_with_models()
    for number in numbers:
        yield f"models: {number}/{numbers[-1]}"
        _check_model(layout, number, rules, cards, report)
    report.rounds = len(numbers)
    playing = PlayingModels(layout, ModelsOnDisk(layout), settings.selfplay)

    def player_of_round(number: int) -> str | None:
        player = playing.player(number)
        return cards[player].fingerprint if player in cards else None

    places: dict[GameId, Path] = {}
    identity = RunIdentity.of(settings, rules, player_of_round)
    yield from _check_batches(layout, identity, places, report, trained=max(cards, default=0))
    if replay > 0.0 and places:
        yield from _replay(layout, settings, playing, _chosen(places, replay, seed), report)
    yield report


def _check_model(layout: RunLayout, number: int, rules: Rules, cards: dict[int, ModelCard], report: Report) -> None:
    """A round's two files, and the link to the round before."""
    from selfplay.network.checkpoint import load_checkpoint  # brings torch

    path = layout.model(number)
    try:
        card = load_checkpoint(path).card
        check_game(card, rules.info, path)
        if read_onnx_card(inference_twin(path)) != card:
            raise ModelError(
                f"{inference_twin(path)}: it does not belong to {path.name}, of which it is to be the twin"
            )
    except ModelError as error:
        report.problems.append(str(error))
        return
    cards[number] = card
    if card.round != number:
        report.problems.append(f"{path}: it says it is round {card.round}")
    before = cards.get(number - 1)
    if number > 0 and before is None:
        report.problems.append(f"{path}: the model of round {number - 1} that it was trained from is not there")
    elif before is not None and card.parent != before.fingerprint:
        report.problems.append(
            f"{path}: it says it was trained from {card.parent[:12]}, but round {number - 1} is "
            f"{before.fingerprint[:12]}"
        )


def _check_batches(
    layout: RunLayout,
    identity: RunIdentity,
    places: dict[GameId, Path],
    report: Report,
    *,
    trained: int,
) -> Iterator[str]:
    """Every batch file, and all games of the rounds up to `trained`; fills `places`: where each game lies."""
    files = layout.batch_files()
    collector = BatchCollector(lambda: files, identity)
    for number, (path, sweep) in enumerate(zip(files, collector.sweeps(files_at_once=1), strict=True), start=1):
        yield f"batch files: {number}/{len(files)}"
        report.problems += [f"{rejected.path}: {rejected.reason}" for rejected in sweep.rejected]
        report.problems += [f"{path}: the model that played it is not there" for path, _ in sweep.waiting]
        report.files += len(sweep.accepted) + len(sweep.copies)
        places |= {game.id: path for game in sweep.games}
        report.copied += sweep.games_copied
    report.games = len(places)
    for number in range(1, trained + 1):
        if lacking := collector.missing(number):
            report.problems.append(
                f"round {number} was trained, but {len(lacking)} of its games are not there, first game {lacking[0]}"
            )


def _chosen(places: dict[GameId, Path], share: float, seed: int) -> dict[GameId, Path]:
    ids = sorted(places)
    count = math.ceil(share * len(ids))
    rows = np.random.default_rng(seed).choice(len(ids), size=count, replace=False)
    return {ids[row]: places[ids[row]] for row in sorted(rows.tolist())}


def _replay(
    layout: RunLayout, settings: Settings, playing: PlayingModels, chosen: dict[GameId, Path], report: Report
) -> Iterator[str]:
    """Play the chosen games again from their seeds."""
    replayer = Replayer(WorkerSetup.of(settings, layout.root))
    for number in sorted({round_number for round_number, _ in chosen}):
        wanted = {game: path for (round_number, game), path in chosen.items() if round_number == number}
        player = playing.player(number)
        assert player is not None, "games of a round whose model is not decided are not taken in"
        filed = {game.number: game for path in set(wanted.values()) for game in read_batch(path).games}
        model = inference_twin(layout.model(player))
        task = Replay(model=str(model), fingerprint=str(playing.plays(number)), round=number, games=[*wanted])
        for played in replayer.play(task):
            if played is not None:
                report.replayed += 1
                if found := difference(filed[played.number], played):
                    place = wanted[played.number]
                    report.problems.append(f"{place}: game {played.number} of round {number} {found}")
                yield f"replaying: {report.replayed}/{len(chosen)} games"
