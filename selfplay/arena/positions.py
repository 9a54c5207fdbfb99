"""Sets of positions with perfect answers, to measure play against: read from a file, or drawn from a seed.

A file holds one position per line: the moves that lead there and, if known, its score for the player to move (above
zero = won, 0 = a draw, below = lost). Moves are names of actions, written without a break where each is one character
("44352"), else with commas between. Public test sets of Connect Four are written so (Pons, "Solving Connect Four").
Letters: n positions, A actions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from selfplay.arena.oracle import Oracle
from selfplay.errors import GameError, UsageError
from selfplay.files import read_file
from selfplay.games.game import ONGOING, Rules, States
from selfplay.games.random_play import random_opening

MOST_BYTES = 16 << 20
KINDS = ("random", "near-perfect")
_ERRING = 0.15  # share of moves that near-perfect play draws from all legal ones


@dataclass(frozen=True)
class PositionSet:
    """Ongoing positions and what every move of theirs leads to."""

    name: str
    plies: npt.NDArray[np.int64]  # [n] played before
    states: States  # [n]
    outcomes: npt.NDArray[np.int8]  # [n, A] WIN, DRAW or LOSS for the player to move; UNPLAYABLE where not legal

    @property
    def best(self) -> npt.NDArray[np.int8]:
        """[n] the outcome that perfect play keeps."""
        best: npt.NDArray[np.int8] = self.outcomes.max(axis=1)
        return best


def read_positions(path: Path, rules: Rules) -> Iterator[tuple[int, list[int], int | None]]:
    """Number of the line, moves and score of each position; raises `UsageError` where a line is none."""
    content = read_file(path, what="file of positions", error=UsageError, most_bytes=MOST_BYTES)
    names = {rules.action_name(action).lower(): action for action in range(rules.info.num_actions)}
    joined = all(len(name) == 1 for name in names)
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        said = words[0].lower()
        moves = said.split(",") if "," in said or not joined else list(said)
        if unknown := [name for name in moves if name not in names]:
            raise UsageError(f'{path}, line {number}: "{unknown[0]}" is no move of {rules.info.name}')
        if len(words) > 2 or (len(words) == 2 and not words[1].lstrip("+-").isdecimal()):
            raise UsageError(f"{path}, line {number}: expected moves and a score, found {line[:80]!r}")
        yield number, [names[name] for name in moves], int(words[1]) if len(words) == 2 else None


def position_set(
    path: Path, rules: Rules, oracle: Oracle, *, on_progress: Callable[[int], None] = lambda done: None
) -> PositionSet:
    """The positions of a file; calls back with the number answered so far.

    Raises `UsageError` where a line is no ongoing position, or its score is not what the oracle finds.
    """
    moves: list[list[int]] = []
    outcomes: list[npt.NDArray[np.int8]] = []
    for number, played, score in read_positions(path, rules):
        try:
            goes_on = rules.replay(played)[1].outcomes[-1] == ONGOING or not played
        except GameError as error:
            raise UsageError(f"{path}, line {number}: {error}") from None
        if not goes_on:
            raise UsageError(f"{path}, line {number}: the game is over there")
        found = oracle.outcomes(played)
        if score is not None and np.sign(score) != found.max():
            raise UsageError(
                f"{path}, line {number}: its score is {score}, but {oracle.name} finds the outcome {found.max()}"
            )
        moves.append(played)
        outcomes.append(found)
        on_progress(len(moves))
    if not moves:
        raise UsageError(f"{path}: no positions in it")
    return _collected(path.name, rules, moves, outcomes)


def drawn_set(
    kind: str,
    rules: Rules,
    oracle: Oracle,
    *,
    count: int,
    seed: int,
    on_progress: Callable[[int], None] = lambda done: None,
) -> PositionSet:
    """Different ongoing positions, each out of a game of its own: a function of the seed.

    Args:
        kind: "random" = plies drawn from all legal ones, "near-perfect" = most of them drawn from the best.
        rules, oracle: the game.
        count: n, or fewer where so many games hold no more.
        seed: of all draws.
        on_progress: called with the number found so far.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    seen: set[bytes] = set()
    moves: list[list[int]] = []
    outcomes: list[npt.NDArray[np.int8]] = []
    for _ in range(50 * count):
        if len(moves) == count:
            break
        plies = int(rng.integers(rules.info.typical_plies))
        played = (
            random_opening(rules, plies, rng).moves if kind == "random" else _near_perfect(rules, oracle, plies, rng)
        )
        known = rules.replay(played)[1]
        key = known.keys[-1].tobytes()
        if key in seen or not known.legal[-1].any():
            continue
        seen.add(key)
        moves.append(played)
        outcomes.append(oracle.outcomes(played))
        on_progress(len(moves))
    return _collected(kind, rules, moves, outcomes)


def _near_perfect(rules: Rules, oracle: Oracle, plies: int, rng: np.random.Generator) -> list[int]:
    """The moves of a game up to so many plies, or to its last position before the end."""
    moves: list[int] = []
    while len(moves) < plies:
        legal = rules.replay(moves)[1].legal[-1]
        if rng.random() >= _ERRING:
            found = oracle.outcomes(moves)
            legal = found == found.max()
        action = int(rng.choice(legal.nonzero()[0]))
        if not rules.replay([*moves, action])[1].legal[-1].any():
            break
        moves.append(action)
    return moves


def _collected(name: str, rules: Rules, moves: list[list[int]], outcomes: list[npt.NDArray[np.int8]]) -> PositionSet:
    states = np.concatenate([rules.replay(played)[0][-1:] for played in moves])
    return PositionSet(name, np.array([len(played) for played in moves]), states, np.array(outcomes))
