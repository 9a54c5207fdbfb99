"""Rules written for one position, turned into batched machine-code kernels.

`CompiledRules(MyGame, ...)` is `Rules` over structured NumPy arrays. One Python call steps, describes and hashes
n positions. Knows nothing of trees, networks or files. Letters: n positions, A actions, P planes, H × W board.
"""

from __future__ import annotations

import inspect
import re
import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from selfplay.errors import GameError
from selfplay.games.board import Board, in_characters, make_board
from selfplay.games.game import ONGOING, Advanced, Game, GameInfo, LoopMaker, Rules, States
from selfplay.kernels import array_kernel, compile_function, kernel

# Multipliers and finaliser of the two hash lanes: FNV-1a's prime, and the odd constants of MurmurHash3's fmix64.
_FNV_PRIME = np.uint64(0x100000001B3)
_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_LANE_OFFSET = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xFF51AFD7ED558CCD)
_MIX_2 = np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT_8, _SHIFT_27, _SHIFT_30, _SHIFT_31, _SHIFT_32, _SHIFT_33, _SHIFT_48 = (
    np.uint64(shift) for shift in (8, 27, 30, 31, 32, 33, 48)
)
_ONE = np.uint64(1)
BLOCK = 255  # words whose bytes, 0 or 1, are added up before one could overflow
_EVEN_BYTES, _QUARTERS = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0001000100010001)
_SPLITMIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_SPLITMIX_2 = np.uint64(0x94D049BB133111EB)


class CompiledRules(Rules):
    """`Rules` of a `Game` subclass; raises `GameError` with the line where its rules do not compile."""

    is_compiled = True

    def __init__(self, game: type[Game], info: GameInfo) -> None:
        self.info = info
        self._game = game
        seen: dict[Any, Any] = {}
        start, legal, play, encode = (
            compile_function(rule, seen, makes_arrays=True) for rule in (game.start, game.legal, game.play, game.encode)
        )
        self._start = kernel(_start_kernel(start))
        self._word = np.dtype(np.uint8 if np.dtype(game.State).itemsize % 8 else np.uint64)
        hash_state = hash_bytes if self._word.itemsize == 1 else hash_words
        self._advance_one = kernel(_advance_one_kernel(play, legal, kernel(hash_state)))
        self._outcome_of = kernel(_outcome_kernel(play))
        self._advance = kernel(_advance_kernel(self._advance_one))
        self._encode = kernel(_encode_kernel(encode))
        self._playouts = kernel(_playouts_kernel(play, legal))
        self._built: dict[LoopMaker, Callable[..., Any]] = {}
        self._prove_that_rules_compile()

    def empty(self, shape: tuple[int, ...]) -> States:
        return np.zeros(shape, self._game.State)

    def start(self, count: int) -> States:
        states = self.empty((count,))
        self._start(states)
        return states

    def advance(self, states: States, actions: npt.NDArray[np.int32]) -> Advanced:
        count = len(states)
        result = Advanced(
            np.empty(count, np.int8),
            np.empty(count, np.int8),
            np.zeros((count, self.info.num_actions), np.bool_),
            np.empty((count, 2), np.uint64),
        )
        self._advance(self.room(states), actions, *result)
        return result

    def room(self, states: States) -> Any:
        """The records, and the same memory as bytes, or as words where a state is whole ones: [n, of a state]."""
        return states, states.view(self._word).reshape(len(states), states.dtype.itemsize // self._word.itemsize)

    def build_in(self, make: LoopMaker) -> Callable[..., Any]:
        if make not in self._built:
            self._built[make] = kernel(make(self._advance_one, self._outcome_of))
        return self._built[make]

    def encode(self, states: States) -> npt.NDArray[np.float32]:
        planes = np.zeros((len(states), self.info.num_planes, *self.info.board_shape), np.float32)
        self._encode(states, planes)
        return planes

    def playouts(self, states: States, seeds: npt.NDArray[np.uint64]) -> npt.NDArray[np.float32]:
        values = np.empty(len(states), np.float32)
        words = np.empty(-(-self.info.num_actions // 8), np.uint64)
        self._playouts(states.copy(), seeds, words, words.view(np.bool_)[: self.info.num_actions], values)
        return values

    def draw(self, state: Any) -> str:
        game, record = self._game, as_record(state, self._game.State)
        if game.draw is Game.draw and (rows := game.pieces(record)) is not None:
            return in_characters(rows)
        return str(game.draw(record))

    def board(self, state: Any, actions: Iterable[int]) -> Board | None:
        game, record = self._game, as_record(state, self._game.State)
        rows = game.pieces(record)
        return None if rows is None else make_board(game.board_kind, rows, partial(game.cells, record), actions)

    def action_name(self, action: int) -> str:
        return str(self._game.action_name(action))

    def _prove_that_rules_compile(self) -> None:
        """Compile now (or load from the disk cache), so that a mistake shows where the game is loaded.

        Plain Python goes first: what fails there has a line and a plain reason, and must not reach compiled code,
        which checks no index.
        """
        if (mistake := _mistake_in_plain_python(self._game)) is not None:
            raise GameError(f"the rules of {self.info.spec} fail: {mistake}")
        try:
            self.encode(self.start(1))
            self.describe(self.start(1))
        except Exception as error:  # Numba raises its own errors, and KeyErrors and others from inside
            reason = _explain(error, self._game)
            raise GameError(f"the rules of {self.info.spec} do not compile: {reason}") from error


def as_record(state: Any, dtype: np.dtype[Any]) -> Any:
    """One position as a record whose fields are attributes, for rules that run as plain Python.

    Writing to the record writes to a copy, except for `np.record` inputs, which are passed through.
    """
    return np.array([state], dtype).view(np.recarray)[0]


def _start_kernel(start: Any) -> Callable[..., None]:
    def start_states(states: Any) -> None:
        for i in range(len(states)):
            start(states[i])

    return start_states


def copy_state(raw: Any, source: int, target: int) -> None:
    """Copy the memory of a state in raw [n, size]."""
    for place in range(raw.shape[1]):
        raw[target, place] = raw[source, place]


def _outcome_kernel(play: Any) -> Callable[..., int]:
    def outcome_of(room: Any, source: int, spare: int, action: int) -> int:
        states, raw = room
        copy_state(raw, source, spare)
        return int(play(states[spare], action))

    return outcome_of


def _advance_one_kernel(play: Any, legal: Any, hash_state: Any) -> Callable[..., tuple[int, int]]:
    def advance_one(room: Any, source: int, target: int, action: int, mask: Any, key: Any) -> tuple[int, int]:
        states, raw = room
        if target != source:
            copy_state(raw, source, target)
        outcome = ONGOING
        if action >= 0:
            outcome = play(states[target], action)
        if outcome == ONGOING:
            legal(states[target], mask)
        hash_state(raw[target], key)
        return outcome, states[target].to_move

    return advance_one


def _advance_kernel(advance_one: Any) -> Callable[..., None]:
    def advance_states(room: Any, actions: Any, outcomes: Any, to_move: Any, masks: Any, keys: Any) -> None:
        for i in range(len(actions)):
            outcomes[i], to_move[i] = advance_one(room, i, i, actions[i], masks[i], keys[i])

    return advance_states


def _encode_kernel(encode: Any) -> Callable[..., None]:
    def encode_states(states: Any, planes: Any) -> None:
        for i in range(len(states)):
            encode(states[i], planes[i])

    return encode_states


def _playouts_kernel(play: Any, legal: Any) -> Callable[..., None]:
    def play_out(states: Any, seeds: Any, words: Any, mask: Any, values: Any) -> None:
        for i in range(len(states)):
            first, mover = states[i].to_move, states[i].to_move
            outcome, seed = ONGOING, seeds[i]
            while outcome == ONGOING:
                words[:] = 0
                legal(states[i], mask)
                seed += _LANE_OFFSET
                mover = states[i].to_move
                outcome = play(states[i], random_legal(words, splitmix(seed)))
            values[i] = outcome if mover == first else -outcome

    return play_out


def random_legal(words: Any, random: Any) -> int:
    """A legal action, each equally likely, from 64 random bits and a mask [A] as words of eight actions each."""
    count = np.uint64(0)
    for first in range(0, len(words), BLOCK):
        total = np.uint64(0)
        for word in words[first : first + BLOCK]:
            total += word  # eight counts side by side, none above BLOCK
        count += sum_of_bytes(total)
    rank = ((random >> _SHIFT_32) * count) >> _SHIFT_32
    place = 0
    for word in words:
        if word != np.uint64(0):
            here = sum_of_bytes(word)
            if rank < here:
                break
            rank -= here
        place += 1
    action = 0
    while rank > np.uint64(0) or not (words[place] >> np.uint64(8 * action)) & _ONE:
        rank -= (words[place] >> np.uint64(8 * action)) & _ONE
        action += 1
    return 8 * place + action


def sum_of_bytes(word: Any) -> Any:
    """The sum of a word's eight bytes: by pairs, then the top quarter of a product."""
    return (((word & _EVEN_BYTES) + ((word >> _SHIFT_8) & _EVEN_BYTES)) * _QUARTERS) >> _SHIFT_48


def splitmix(seed: Any) -> Any:
    """The output function of SplitMix64 (Steele, Lea, Flood 2014)."""
    mixed = (seed ^ (seed >> _SHIFT_30)) * _SPLITMIX_1
    mixed = (mixed ^ (mixed >> _SHIFT_27)) * _SPLITMIX_2
    return mixed ^ (mixed >> _SHIFT_31)


def hash_bytes(raw: Any, key: Any) -> None:
    """Write a 128-bit hash of raw [size] uint8 to key [2] uint64: two 64-bit lanes with different multipliers.

    With 10^7 positions the chance of any collision is about 10^-25; the cache may take equal keys for equal
    positions.
    """
    low, high = _FNV_OFFSET, _LANE_OFFSET
    for i in range(len(raw)):
        byte = np.uint64(raw[i])
        low = (low ^ byte) * _FNV_PRIME
        high = ((high ^ (byte + np.uint64(1))) * _SPLITMIX_1) ^ (high >> _SHIFT_31)
    finish_hash(low, high, key)


def hash_words(raw: Any, key: Any) -> None:
    """The same of raw [size] uint64, a word at a time: for large states. Every word's upper bits are mixed down before
    the next one comes."""
    low, high = _FNV_OFFSET, _LANE_OFFSET
    for i in range(len(raw)):
        low = (low ^ raw[i]) * _SPLITMIX_2
        low ^= low >> _SHIFT_32
        high = (high ^ (raw[i] + _ONE)) * _SPLITMIX_1
        high ^= high >> _SHIFT_31
    finish_hash(low, high, key)


def finish_hash(low: Any, high: Any, key: Any) -> None:
    """Write both lanes with all their bits mixed: MurmurHash3's fmix64."""
    for _ in range(2):
        low = (low ^ (low >> _SHIFT_33)) * _MIX_1
        high = (high ^ (high >> _SHIFT_33)) * _MIX_2
    key[0] = low ^ (low >> _SHIFT_33)
    key[1] = high ^ (high >> _SHIFT_33)


def _mistake_in_plain_python(game: type[Game]) -> str | None:
    """Each rule called once as plain Python; what fails, with its line."""
    for rule, arguments in _trial_calls(game):
        try:
            rule(*arguments)
        except Exception as error:  # a stranger's rules may raise anything
            file = inspect.getsourcefile(game)
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
            return f"{file}, line {lines[-1] if lines else '?'}: {type(error).__name__}: {error}"
    return None


def _trial_calls(game: type[Game]) -> Iterator[tuple[Callable[..., Any], tuple[Any, ...]]]:
    """Each rule with arguments for a first call: start, legal, encode, and the first legal ply."""
    record = as_record(np.zeros((), game.State), game.State)
    mask = np.zeros(game.num_actions, np.bool_)
    yield game.start, (record,)
    yield game.legal, (record, mask)
    yield game.encode, (record, np.zeros((game.num_planes, *game.board_shape), np.float32))
    yield game.play, (record, int(mask.argmax()))


def _failing_rule(game: type[Game]) -> str:
    """Which rule does not compile by itself, with the line it begins at."""
    for rule, arguments in _trial_calls(game):
        try:
            array_kernel(rule)(*arguments)
        except Exception:  # Numba raises its own errors, and others from inside
            return f"{rule.__code__.co_filename}, line {rule.__code__.co_firstlineno}, in {rule.__name__}"
    return str(inspect.getsourcefile(game))


def _explain(error: Exception, game: type[Game]) -> str:
    """The reason and the innermost place, out of Numba's long report."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    places = re.findall(r'File "([^"]+)", line (\d+)', text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    reasons = [line for line in lines if not re.match(r"(Failed in|File |During|- |\^|<source|def )", line)]
    telling = [line for line in reasons if re.search("[Ee]rror|[Uu]nknown|[Cc]annot|No implementation", line)]
    reason = (telling or reasons or [type(error).__name__])[0]
    where = f"{places[-1][0]}, line {places[-1][1]}" if places else _failing_rule(game)
    return f"{where}: {reason}"
