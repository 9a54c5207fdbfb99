"""The contract of a game, for those who write one and for those who use one.

A game has two players, no chance, no hidden information, and one winner or a draw. Players take plies in any
order: a state says who is to move, so a player may move twice running. **A value is always seen by the player to
move in the state it belongs to; an outcome by the player who made the ply.**

Who writes a game subclasses `Game` (rules over a small NumPy record, compiled to machine code) or `ObjectGame`
(rules over any Python object, slower). Who uses a game sees `Rules`: the same four rules over arrays of states.

The laws, kept by `selfplay check` (`games/conformance.py`):
    start           the player to move first is player 0, the game is not over, some action is legal
    legal           an ongoing state has at least one legal action; `legal` does not change the state
    turns           both players get to move; outcomes are seen by the player who made the ply (many random games are
                    not all won by one player if both make last plies)
    play            a legal ply leads to a state with a valid player to move and a valid outcome
    end             every game ends within `max_plies`
    encode          planes are finite, a function of the state alone, and `encode` does not change the state
    memory          equal plies from the start lead to equal states, alone or in a batch
    symmetries      transformed plies lead to transformed planes, equal masks and equal outcomes
    drawing         `draw` gives text for every position; names of actions differ and lead back to the action; where
                    there is a board, its rows are of one length and legal actions are played on cells of it
    compiled        compiled rules and the same rules as plain Python agree

Letters of shapes: n positions, A actions, P planes, H × W the board.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from selfplay.errors import GameError
from selfplay.games.board import Board
from selfplay.games.symmetry import Symmetry, SymmetryMaker

# Outcomes of a ply, as seen by the player who made it. All but ONGOING are also that player's value of the game.
LOSS, DRAW, WIN = -1, 0, 1
ONGOING = 2

States = npt.NDArray[Any]  # [n] structured, or object for rules over Python objects
LoopMaker = Callable[[Any, Any], Callable[..., Any]]


class Description:
    """What a game says of itself, whichever way its rules are written."""

    name: ClassVar[str]  # lower case, no spaces; names the game in commands, batches and models
    board_shape: ClassVar[tuple[int, int]]  # (H, W) of the planes
    num_actions: ClassVar[int]  # A
    num_planes: ClassVar[int]  # P
    max_plies: ClassVar[int]  # no game is longer
    typical_plies: ClassVar[int | None] = None  # how long games mostly are, where that is far from `max_plies`
    symmetries: ClassVar[tuple[SymmetryMaker, ...]] = ()  # generators; the whole group is derived
    board_kind: ClassVar[str] = "squares"  # how a game with `pieces` is drawn: one of KINDS in `games/board.py`


class Game(Description):
    """Rules written for one position, compiled into batched kernels (`games/compiled.py`).

    `State` is a structured dtype with at least a field `to_move` (0 or 1). The rules are plain functions without
    `self`; they may call other plain functions and use constants and arrays of their module.
    """

    State: ClassVar[np.dtype[Any]]

    def __init_subclass__(cls) -> None:
        for rule in ("start", "legal", "play", "encode", "draw", "pieces", "cells", "action_name"):
            if rule in cls.__dict__ and not isinstance(cls.__dict__[rule], staticmethod):
                setattr(cls, rule, staticmethod(cls.__dict__[rule]))

    @staticmethod
    @abstractmethod
    def start(state: Any) -> None:
        """Fill in the zeroed state with the position before the first ply."""

    @staticmethod
    @abstractmethod
    def legal(state: Any, mask: Any) -> None:
        """Set mask[a] = True where action a may be played; the mask [A] comes all False."""

    @staticmethod
    @abstractmethod
    def play(state: Any, action: int) -> int:
        """Change the state in place; return ONGOING, or WIN, DRAW or LOSS for the player who moved."""

    @staticmethod
    @abstractmethod
    def encode(state: Any, planes: Any) -> None:
        """Write the input planes [P, H, W], which come zeroed, as seen by the player to move."""

    @staticmethod
    def draw(state: Any) -> str:
        """The position in characters, for people; without it, the `pieces` are shown."""
        return str(state)

    @staticmethod
    def pieces(state: Any) -> Sequence[str] | None:
        """Rows of the board from the top, a character per cell: "." free, "X" a stone of the first player, "O" of the
        second, " " no cell; others are drawn as they are. None = the game has no board, only `draw`."""
        return None

    @staticmethod
    def cells(state: Any, action: int) -> Sequence[tuple[int, int]] | None:
        """Cells (row from the top, column) that one clicks to play a legal action: where a stone goes, or from where
        to where; empty = a button. None = actions number the cells row by row, those beyond get buttons."""
        return None

    @staticmethod
    def action_name(action: int) -> str:
        """What people call the action."""
        return str(action)


class ObjectGame(Description, ABC):
    """Rules over Python objects of any kind, for what Numba cannot compile. Slower, by the same contract.

    One instance serves as the rules; states are whatever `start` returns.
    """

    identity: ClassVar[str] = ""  # what the rules depend on besides this class: parameters, a library's version

    @abstractmethod
    def start(self) -> Any:
        """The state before the first ply."""

    @abstractmethod
    def to_move(self, state: Any) -> int:
        """The player to move, 0 or 1."""

    @abstractmethod
    def legal(self, state: Any) -> Sequence[int]:
        """The actions that may be played."""

    @abstractmethod
    def play(self, state: Any, action: int) -> tuple[Any, int]:
        """The next state, and ONGOING, WIN, DRAW or LOSS for the player who moved; `state` itself is kept."""

    @abstractmethod
    def encode(self, state: Any, planes: npt.NDArray[np.float32]) -> None:
        """Write the input planes [P, H, W], which come zeroed, as seen by the player to move."""

    @abstractmethod
    def key(self, state: Any) -> bytes:
        """Bytes that are equal for two states only if everything about them is equal."""

    def draw(self, state: Any) -> str:
        """The position in characters, for people; without it, the `pieces` are shown."""
        return str(state)

    def pieces(self, state: Any) -> Sequence[str] | None:
        """Rows of the board from the top, a character per cell: "." free, "X" a stone of the first player, "O" of the
        second, " " no cell; others are drawn as they are. None = the game has no board, only `draw`."""
        return None

    def cells(self, state: Any, action: int) -> Sequence[tuple[int, int]] | None:
        """Cells (row from the top, column) that one clicks to play a legal action: where a stone goes, or from where
        to where; empty = a button. None = actions number the cells row by row, those beyond get buttons."""
        return None

    def action_name(self, action: int) -> str:
        """What people call the action."""
        return str(action)


class Advanced(NamedTuple):
    """What is known of n states after a ply each."""

    outcomes: npt.NDArray[np.int8]  # [n] ONGOING, WIN, DRAW or LOSS for the player who moved
    to_move: npt.NDArray[np.int8]  # [n] 0 or 1
    legal: npt.NDArray[np.bool_]  # [n, A] True = may be played; all False once the game is over
    keys: npt.NDArray[np.uint64]  # [n, 2] 128-bit hash of the whole state


@dataclass(frozen=True)
class GameInfo:
    """The figures of a game that everything above the rules needs."""

    name: str
    spec: str  # how to load it: a registered name, or path/to/file.py:Class
    board_shape: tuple[int, int]
    num_actions: int
    num_planes: int
    max_plies: int
    typical_plies: int  # how long games mostly are, about; at most max_plies
    rules_hash: str  # start, legal, play: what a list of moves depends on
    encoding_hash: str  # encode: what a network's input depends on
    symmetries: tuple[Symmetry, ...]  # the whole group, identity first


class Rules(ABC):
    """The four rules over arrays of states: the only way the rest of the project sees a game."""

    info: GameInfo
    is_compiled: ClassVar[bool]  # to machine code; else each ply is a call of Python

    @abstractmethod
    def empty(self, shape: tuple[int, ...]) -> States:
        """Room for states of this game, not yet started."""

    @abstractmethod
    def start(self, count: int) -> States:
        """`count` states before the first ply, [count]."""

    @abstractmethod
    def advance(self, states: States, actions: npt.NDArray[np.int32]) -> Advanced:
        """Play actions [n] in states [n], in place, and describe where that leads.

        An action below zero plays nothing and only describes. Actions must be legal; this is not checked here.
        """

    @abstractmethod
    def room(self, states: States) -> Any:
        """The memory of states [n], as `advance_one` of `build_in` wants it."""

    @abstractmethod
    def build_in(self, make: LoopMaker) -> Callable[..., Any]:
        """`make(advance_one, outcome_of)`: a loop with these rules inside, compiled if they are, else plain Python.

        advance_one(room, source, target, action, legal, key) -> (outcome, to_move): plays the action in the state
        at index `source` and leaves the result at index `target`, which may be the same; an action below zero
        plays nothing. Fills legal [A], which comes all False, and key [2]; all as in `advance`.
        outcome_of(room, source, spare, action) -> outcome: what the action in the state at `source` leads to; the
        state at `spare` has no meaning afterwards.
        """

    @abstractmethod
    def encode(self, states: States) -> npt.NDArray[np.float32]:
        """Input planes [n, P, H, W] as seen by the player to move."""

    @abstractmethod
    def playouts(self, states: States, seeds: npt.NDArray[np.uint64]) -> npt.NDArray[np.float32]:
        """Play each ongoing state [n] to its end by uniformly random plies; values [n] for its player to move.

        Row i is a function of states[i] and seeds[i] alone; the states are left as they were.
        """

    @abstractmethod
    def draw(self, state: Any) -> str:
        """One position (an element of a state array) in characters."""

    @abstractmethod
    def board(self, state: Any, actions: Iterable[int]) -> Board | None:
        """One position as a board, with the cells of these legal actions; None where the game declares none.

        Raises `GameError` where what the game says makes no board.
        """

    @abstractmethod
    def action_name(self, action: int) -> str:
        """What people call the action."""

    def describe(self, states: States) -> Advanced:
        """What is known of states [n] as they stand."""
        return self.advance(states, np.full(len(states), -1, np.int32))

    def replay(self, moves: Sequence[int]) -> tuple[States, Advanced]:
        """The states before each move and after the last, [len(moves) + 1], from the start.

        Raises `GameError` at the first move that is not legal or comes after the end; what is known of the
        states comes along in the same order.
        """
        actions = np.array(moves, np.int64)
        playable = int(np.append((actions < 0) | (actions >= self.info.num_actions), True).argmax())
        states = self.empty((len(actions) + 1,))
        states[:1] = self.start(1)
        known = Advanced(
            np.zeros(len(states), np.int8),
            np.zeros(len(states), np.int8),
            np.zeros((len(states), self.info.num_actions), np.bool_),
            np.zeros((len(states), 2), np.uint64),
        )
        played = int(self.build_in(replay_loop)(self.room(states), actions[:playable].astype(np.int32), *known))
        if played < len(actions) and known.outcomes[played] != ONGOING:
            raise GameError(f"the game is over after {played} plies, but {len(actions)} moves are given")
        if played < len(actions):
            raise GameError(f"move {moves[played]} at ply {played} is not legal")
        return states, known

    def find_action(self, name: str) -> int | None:
        """The action that people call `name` (case and blanks aside), or None."""
        return self._action_called.get(name.strip().lower())

    @functools.cached_property
    def _action_called(self) -> dict[str, int]:
        """Name in small letters -> action; of equal names the first one's."""
        return {self.action_name(action).lower(): action for action in reversed(range(self.info.num_actions))}


def replay_loop(advance_one: Callable[..., tuple[int, int]], _: Any) -> Callable[..., int]:
    """A loop for `build_in` that plays a list of moves; how many were legal, up to the first that was not."""

    def replay_moves(room: Any, moves: Any, outcomes: Any, to_move: Any, legal: Any, keys: Any) -> int:
        outcomes[0], to_move[0] = advance_one(room, 0, 0, -1, legal[0], keys[0])
        for ply in range(len(moves)):
            if outcomes[ply] != ONGOING or not legal[ply, moves[ply]]:
                return ply
            outcomes[ply + 1], to_move[ply + 1] = advance_one(
                room, ply, ply + 1, moves[ply], legal[ply + 1], keys[ply + 1]
            )
        return len(moves)

    return replay_moves
