"""Batch files of random games with made-up searches: as long and as large as real ones, in a moment.

    write_games(folder, settings, positions=1_000_000)

A thousand games are made and written over and over, each time with the number and the seed that it has to have there.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from selfplay.games.game import Rules
from selfplay.samples.batch_file import BatchHeader, GameRecord, encode_batch, game_seed, outcome_for_first
from selfplay.settings import SearchSettings

DIFFERENT = 1000
GAMES_PER_FILE = 10


def write_games(folder: Path, rules: Rules, search: SearchSettings, *, positions: int) -> int:
    """Files of round 1 of a run with seed 0, with at least so many positions; the number of games."""
    info = rules.info
    header = BatchHeader(game=info.name, rules=info.rules_hash, model="", round=1, search=msgspec.to_builtins(search))
    games = random_games(rules, search.simulations)
    number, found = 0, 0
    folder.mkdir(parents=True)
    while found < positions:
        batch = []
        for _ in range(GAMES_PER_FILE):
            game = games[number % DIFFERENT]
            batch.append(msgspec.structs.replace(game, number=number, seed=game_seed(0, 1, number)))
            found += len(game.moves)
            number += 1
        (folder / f"batch_r0001_g{number:08d}.json").write_bytes(encode_batch(header, batch))
    return number


def random_games(rules: Rules, simulations: int) -> list[GameRecord]:
    """A thousand, with number and seed 0."""
    rng = np.random.default_rng(0)
    return [_random_game(rules, simulations, rng) for _ in range(DIFFERENT)]


def _random_game(rules: Rules, simulations: int, rng: np.random.Generator) -> GameRecord:
    """A game of random plies; each policy is a draw of so many visits."""
    state = rules.start(1)
    legal, moves, policies = rules.describe(state).legal[0], [], []
    while legal.any():
        actions = np.flatnonzero(legal)
        visits = rng.multinomial(simulations, rng.dirichlet(np.ones(len(actions))))
        policies.append([int(figure) for pair in zip(actions, visits, strict=True) if pair[1] for figure in pair])
        moves.append(int(rng.choice(actions)))
        legal = rules.advance(state, np.array(moves[-1:], np.int32)).legal[0]
    plies = len(moves)
    return GameRecord(
        number=0,
        seed=0,
        outcome=outcome_for_first(rules.replay(moves)[1], plies),
        moves=moves,
        policies=policies,
        values=rng.uniform(-1, 1, plies).round(4).tolist(),
        simulations=rng.integers(1, simulations, plies).tolist(),
    )
