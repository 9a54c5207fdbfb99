"""The contract over rules that are plain Python objects: slower, for what Numba cannot compile.

States travel in NumPy arrays of dtype object, so that search and training need not know the difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from selfplay.games.board import Board, in_characters, make_board
from selfplay.games.game import ONGOING, Advanced, GameInfo, LoopMaker, ObjectGame, Rules, States


class ObjectRules(Rules):
    """`Rules` of an `ObjectGame`. States are shared between arrays and never changed in place."""

    is_compiled = False

    def __init__(self, game: ObjectGame, info: GameInfo) -> None:
        self.info = info
        self._game = game

    def empty(self, shape: tuple[int, ...]) -> States:
        return np.empty(shape, object)

    def start(self, count: int) -> States:
        states = self.empty((count,))
        for i in range(count):
            states[i] = self._game.start()
        return states

    def advance(self, states: States, actions: npt.NDArray[np.int32]) -> Advanced:
        count = len(states)
        outcomes = np.empty(count, np.int8)
        to_move = np.empty(count, np.int8)
        legal = np.zeros((count, self.info.num_actions), np.bool_)
        keys = np.empty((count, 2), np.uint64)
        for i in range(count):
            outcomes[i], to_move[i] = self._advance_one(states, i, i, actions[i], legal[i], keys[i])
        return Advanced(outcomes, to_move, legal, keys)

    def room(self, states: States) -> Any:
        return states

    def build_in(self, make: LoopMaker) -> Callable[..., Any]:
        return make(self._advance_one, self._outcome_of)

    def encode(self, states: States) -> npt.NDArray[np.float32]:
        planes = np.zeros((len(states), self.info.num_planes, *self.info.board_shape), np.float32)
        for state, plane in zip(states, planes, strict=True):
            self._game.encode(state, plane)
        return planes

    def playouts(self, states: States, seeds: npt.NDArray[np.uint64]) -> npt.NDArray[np.float32]:
        values = np.empty(len(states), np.float32)
        for i in range(len(states)):
            values[i] = self._playout(states[i], np.random.default_rng(int(seeds[i])))
        return values

    def draw(self, state: Any) -> str:
        game = self._game
        if type(game).draw is ObjectGame.draw and (rows := game.pieces(state)) is not None:
            return in_characters(rows)
        return game.draw(state)

    def board(self, state: Any, actions: Iterable[int]) -> Board | None:
        game, rows = self._game, self._game.pieces(state)
        return None if rows is None else make_board(game.board_kind, rows, partial(game.cells, state), actions)

    def action_name(self, action: int) -> str:
        return self._game.action_name(action)

    def _advance_one(
        self, states: States, source: int, target: int, action: int, mask: Any, key: Any
    ) -> tuple[int, int]:
        state, outcome = states[source], ONGOING
        if action >= 0:
            state, outcome = self._game.play(state, int(action))
        states[target] = state
        if outcome == ONGOING:
            mask[list(self._game.legal(state))] = True
        digest = hashlib.blake2b(self._game.key(state), digest_size=16).digest()
        key[:] = np.frombuffer(digest, np.uint64)
        return outcome, self._game.to_move(state)

    def _outcome_of(self, states: States, source: int, _: int, action: int) -> int:
        return self._game.play(states[source], int(action))[1]

    def _playout(self, state: Any, rng: np.random.Generator) -> int:
        first, mover, outcome = self._game.to_move(state), 0, ONGOING
        while outcome == ONGOING:
            mover = self._game.to_move(state)
            actions = self._game.legal(state)
            state, outcome = self._game.play(state, int(actions[int(rng.integers(len(actions)))]))
        return outcome if mover == first else -outcome
