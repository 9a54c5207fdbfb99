"""Positions to train on, as flat columns: states packed, policies sparse, what can be told from a state left out.

A Connect Four position takes about 100 bytes so. Knows nothing of files or rounds.
Letters: n positions, A actions, m pairs of action and probability, of all n policies together. The positions of a game
follow each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from selfplay.games.game import States
from selfplay.kernels import kernel
from selfplay.samples.batch_file import GameRecord, flat_policies, plies_to_learn
from selfplay.samples.collector import CheckedGame


class Positions(NamedTuple):
    """Columns of n positions."""

    states: States  # [n]
    pairs: npt.NDArray[np.int32]  # [n] how many pairs each policy has
    actions: npt.NDArray[np.uint16 | np.uint32]  # [m] in as few bytes as the game's actions need
    probabilities: npt.NDArray[np.float32]  # [m]
    outcome: npt.NDArray[np.float32]  # [n, 3] target probabilities of win, draw, loss for the player to move
    ahead: npt.NDArray[np.int32]  # [n] rows from here to the last one of the game with the same player to move


def plies_to_hold(game: CheckedGame, *, ends: bool) -> npt.NDArray[np.int64]:
    """Plies before which a game's positions are held, rising: those to learn from, and if `ends` the last one of each
    player who has some, which others look ahead to."""
    plies, to_move = plies_to_learn(game.record), game.known.to_move
    if not ends or len(plies) == len(to_move) - game.record.opening:  # all are learnt, the last ones too
        return plies
    last = [np.flatnonzero(to_move == mover)[-1] for mover in np.unique(to_move[plies])]
    return np.union1d(plies, np.array(last, np.int64))


def positions_of(game: CheckedGame, plies: npt.NDArray[np.int64], *, value_lambda: float) -> Positions:
    """A game's positions before these plies; of those that were not searched in full the policy has no pairs."""
    record = game.record
    pairs, actions, weights = flat_policies([record.policies[ply] for ply in plies])
    sums = np.bincount(np.repeat(np.arange(len(plies)), pairs), weights, len(plies))
    return Positions(
        game.states[plies],
        pairs.astype(np.int32),
        actions.astype(_narrow(game.known.legal.shape[1])),
        (weights / np.repeat(sums, pairs)).astype(np.float32),
        value_targets(record, game.known.to_move, value_lambda)[plies],
        rows_ahead(game.known.to_move[plies]),
    )


def value_targets(record: GameRecord, to_move: npt.NDArray[np.int8], value_lambda: float) -> npt.NDArray[np.float32]:
    """Probabilities of win, draw and loss [plies, 3] for the player to move before each ply.

    TD-lambda (Sutton 1988; for AlphaZero Willemsen et al. 2020, "Value targets in off-policy AlphaZero"): the outcome
    at the end, and before it a mean of this ply's root value, which counts 1 - lambda, and what comes after, lambda.
    """
    target = np.eye(3, dtype=np.float32)[1 - record.outcome]  # seen by the first player
    targets = np.empty((len(to_move), 3), np.float32)
    for ply in reversed(range(len(to_move))):
        value = record.values[ply] if to_move[ply] == 0 else -record.values[ply]
        if value_lambda < 1.0:
            found = np.array([(1 + value) / 2, 0, (1 - value) / 2], np.float32)
            target = (1 - value_lambda) * found + value_lambda * target
        # Turned by who is to move, not by ply: a player may move twice running.
        targets[ply] = target if to_move[ply] == 0 else target[::-1]
    return targets


def rows_ahead(to_move: npt.NDArray[np.int8]) -> npt.NDArray[np.int32]:
    """Rows [n] from each position of a game to the last one with the same player to move."""
    rows, ahead = np.arange(len(to_move), dtype=np.int32), np.empty(len(to_move), np.int32)
    for mover in np.unique(to_move):
        own = rows[to_move == mover]
        ahead[own] = own[-1] - own
    return ahead


def joined(parts: Sequence[Positions]) -> Positions:
    """Positions one part after the other."""
    return Positions._make(np.concatenate(columns) for columns in zip(*parts, strict=True))


def piece(positions: Positions, rows: slice, pairs: slice) -> Positions:
    """Positions in a stretch of rows, whose pairs lie in a stretch of pairs; no copies."""
    return Positions(
        positions.states[rows],
        positions.pairs[rows],
        positions.actions[pairs],
        positions.probabilities[pairs],
        positions.outcome[rows],
        positions.ahead[rows],
    )


def sparse(policy: npt.NDArray[np.float32]) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Policies [n, A] as the columns `pairs`, `actions`, `probabilities`."""
    rows, actions = policy.nonzero()
    return (
        np.bincount(rows, minlength=len(policy)).astype(np.int32),
        actions.astype(_narrow(policy.shape[1])),
        policy[rows, actions],
    )


def _narrow(actions: int) -> type[np.uint16] | type[np.uint32]:
    return np.uint16 if actions <= 1 << 16 else np.uint32


def dense(
    positions: Positions, ends: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], *, actions: int
) -> npt.NDArray[np.float32]:
    """Policies [len(rows), A] of the positions in these rows; `ends` [n] is where the pairs of each end."""
    policy = np.zeros((len(rows), actions), np.float32)
    _fill(rows, positions.pairs, ends, positions.actions, positions.probabilities, policy)
    return policy


@kernel
def _fill(rows: Any, pairs: Any, ends: Any, actions: Any, probabilities: Any, policy: Any) -> None:
    for i in range(len(rows)):
        for pair in range(ends[rows[i]] - pairs[rows[i]], ends[rows[i]]):
            policy[i, actions[pair]] = probabilities[pair]
