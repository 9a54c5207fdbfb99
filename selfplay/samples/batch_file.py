"""The batch file: finished games as JSON, format `selfplay-batch`, version 3.

One object; its `games` stand one per line. Planes are never stored: they are rebuilt by replaying the moves.

    field        type          meaning
    format       text          "selfplay-batch"
    version      int           3
    game         text          name of the game
    rules        text          hash of its rules (start, legal, play)
    model        text          fingerprint of the model that played
    round        int           the round the games belong to, from 1; played with the model of the round before
    search       table         the search settings
    games        list          one table per game:
      number     int           0, 1, …: the game's number in its round
      seed       int           seed of the game's generator, below 2^53; (run seed, round, number) decide it
      outcome    int           1, 0 or -1: the first player won, drew, lost
      opening    int           so many plies at the start were random, not searched: nothing is to be learnt there
      moves      list of int   actions, from the start to the end
      policies   list of lists per move: action, weight, action, weight, … in order of action; weight = visits of
                               the root's action (a whole number above 0); empty in the opening, and
                               where the search was short: nothing is to be learnt there
      values     list of float per move: root value seen by the player to move, -1 to 1, rounded to 4 places; 0 in the
                               opening
      simulations list of int  per move: simulations made for it (reused visits are not counted)
    checksum     text          SHA-256, as hexadecimal digits, of all bytes of the file before `,"checksum"`

Versions 1 (no checksum) and 2 (no `opening`) are still read.
Knows the JSON and its inner consistency, not where files lie.
"""

from __future__ import annotations

import hashlib
from itertools import chain, pairwise
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from selfplay.errors import BatchError, GameError
from selfplay.files import read_file
from selfplay.games.game import ONGOING, Advanced, Rules, States

FORMAT = "selfplay-batch"
VERSION = 3
RESULTS = {1: "the first player won", 0: "a draw", -1: "the second player won"}  # outcomes in words
_SEAL = b',"checksum":"'
GAMES_PER_FILE = 10
MOST_BYTES = 64 << 20  # of a file: ten games of Go take nine million

Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class GameRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One finished game, as in the file."""

    number: Count
    seed: Count
    outcome: Annotated[int, Meta(ge=-1, le=1)]
    opening: Count = 0
    moves: list[Count]
    policies: list[list[Count]]
    values: list[Annotated[float, Meta(ge=-1, le=1)]]
    simulations: list[Count]


class BatchHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What the games of a batch have in common."""

    game: str
    rules: str
    model: str
    round: Annotated[int, Meta(ge=1, le=2**31)]
    search: dict[str, Any]


class Batch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole batch file."""

    format: str
    version: int
    game: str
    rules: str
    model: str
    round: Annotated[int, Meta(ge=1, le=2**31)]
    search: dict[str, Any]
    games: list[GameRecord]
    checksum: str = ""

    @property
    def header(self) -> BatchHeader:
        """All but the games and the checksum."""
        return BatchHeader(game=self.game, rules=self.rules, model=self.model, round=self.round, search=self.search)


class _Kind(msgspec.Struct):
    """The two fields that say whether the rest can be understood."""

    format: str = ""
    version: int = 0


def encode_batch(header: BatchHeader, games: list[GameRecord]) -> bytes:
    """The bytes of a batch file: the same games give the same bytes."""
    head = msgspec.json.encode({"format": FORMAT, "version": VERSION, **msgspec.to_builtins(header)})
    lines = b",\n".join(msgspec.json.encode(game) for game in games)
    return _sealed(head[:-1] + b',"games":[\n' + lines + b"\n]")


def _sealed(body: bytes) -> bytes:
    return body + _SEAL + hashlib.sha256(body).hexdigest().encode() + b'"}\n'


def decode_batch(content: bytes) -> Batch:
    """A batch from its bytes. Raises `BatchError` where it is torn, foreign, of another version or malformed."""
    try:
        kind = msgspec.json.decode(content, type=_Kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BatchError(f"not whole JSON ({error}); it was cut short or is not a batch") from None
    if kind.format != FORMAT:
        raise BatchError(f'its format is "{kind.format}", expected "{FORMAT}"')
    if not 1 <= kind.version <= VERSION:
        raise BatchError(f"its version is {kind.version}, this program reads 1 to {VERSION}; update selfplay")
    try:
        batch = msgspec.json.decode(content, type=Batch)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BatchError(f"not as the format says: {error}") from None
    if (kind.version > 1 or batch.checksum) and content != _sealed(content.rpartition(_SEAL)[0]):
        raise BatchError("it does not match its checksum: it was damaged or changed after it was written")
    return batch


def read_batch(path: Path) -> Batch:
    """The batch in a file; raises `BatchError`, with the path in front."""
    content = read_file(path, what="batch file", error=BatchError, most_bytes=MOST_BYTES)
    try:
        return decode_batch(content)
    except BatchError as error:
        raise BatchError(f"{path}: {error}") from None


def game_seed(run_seed: int, round_number: int, number: int) -> int:
    """The seed of a game, below 2^53 so that every JSON reader keeps it exactly."""
    sequence = np.random.SeedSequence([run_seed, round_number, number])
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(11))


def check_game_record(game: GameRecord, rules: Rules, *, has_short_searches: bool = False) -> tuple[States, Advanced]:
    """Replay a game; the states before each move [plies] and what is known of them.

    Args:
        game: the record.
        rules: its game.
        has_short_searches: whether plies behind the opening may be without a policy.

    Raises `BatchError` where the record disagrees with itself or with the rules.
    """
    plies = len(game.moves)
    if plies > rules.info.max_plies:
        raise BatchError(f"game {game.number} has {plies} moves, {rules.info.name} ends after {rules.info.max_plies}")
    lengths = {
        "policies": len(game.policies),
        "values": len(game.values),
        "simulations": len(game.simulations),
    }
    for field, length in lengths.items():
        if length != plies:
            raise BatchError(f"game {game.number} has {plies} moves but {length} {field}")
    try:
        states, known = rules.replay(game.moves)
    except GameError as error:
        raise BatchError(f"game {game.number}: {error}") from None
    if plies == 0 or known.outcomes[-1] == ONGOING:
        raise BatchError(f"game {game.number} stops after {plies} moves, but is not over there")
    outcome = outcome_for_first(known, plies)
    if outcome != game.outcome:
        raise BatchError(f"game {game.number} says outcome {game.outcome}, its moves lead to {outcome}")
    if game.opening >= plies or any(game.policies[: game.opening]):
        raise BatchError(f"game {game.number} has {plies} moves, of which the first {game.opening} were not searched")
    plies_learnt = [ply for ply in range(game.opening, plies) if game.policies[ply] or not has_short_searches]
    if not _policies_are_good([game.policies[ply] for ply in plies_learnt], known.legal[plies_learnt]):
        for ply in plies_learnt:  # says which, and why
            _check_policy(game, ply, game.policies[ply], known.legal[ply])
    return states[:-1], Advanced._make(column[:-1] for column in known)


def outcome_for_first(known: Advanced, plies: int) -> int:
    """The result of a finished game for player 0: outcomes are seen by the player who made the last move."""
    last_mover = int(known.to_move[plies - 1])
    last = int(known.outcomes[plies])
    return last if last_mover == 0 else -last


def plies_to_learn(game: GameRecord) -> npt.NDArray[np.int64]:
    """Plies whose search was in full: those with a policy."""
    return np.array([ply for ply, policy in enumerate(game.policies) if policy], np.int64)


def sparse_policies(weights: npt.NDArray[np.int32]) -> list[list[int]]:
    """Rows of weights [n, A] as action, weight, action, weight, …, without the zeros."""
    rows, actions = weights.nonzero()
    pairs = np.stack([actions, weights[rows, actions]], axis=1).ravel().tolist()
    ends = (2 * np.bincount(rows, minlength=len(weights))).cumsum().tolist()
    return [pairs[first:end] for first, end in pairwise([0, *ends])]


def flat_policies(
    policies: list[list[int]],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """How many pairs each policy has [plies]; actions and weights of all pairs, one policy after the other."""
    lengths = np.fromiter(map(len, policies), np.int64, len(policies))
    flat = np.fromiter(chain.from_iterable(policies), np.int64, int(lengths.sum()))
    return lengths // 2, flat[::2], flat[1::2]


def _policies_are_good(policies: list[list[int]], legal: npt.NDArray[np.bool_]) -> bool:
    """What `_check_policy` asks of each ply, for all at once: a run's coordinator asks it of every game."""
    if any(len(policy) == 0 or len(policy) % 2 for policy in policies):
        return False
    if not policies:
        return True
    pairs, actions, weights = flat_policies(policies)
    plies = np.repeat(np.arange(len(policies)), pairs)
    is_rising = (np.diff(actions) > 0) | (np.diff(plies) > 0)
    in_range = bool(weights.min() >= 1 and actions.max() < legal.shape[1])
    return in_range and bool(is_rising.all() and legal[plies, actions].all())


def _check_policy(game: GameRecord, ply: int, policy: list[int], legal: npt.NDArray[np.bool_]) -> None:
    actions, weights = policy[::2], policy[1::2]
    if len(actions) != len(weights) or not actions or actions != sorted(set(actions)) or min(weights) < 1:
        raise BatchError(
            f"game {game.number}, ply {ply}: the policy is not pairs of rising actions with weights above 0"
        )
    if actions[-1] >= len(legal) or not legal[actions].all():
        raise BatchError(f"game {game.number}, ply {ply}: the policy names an action that is not legal there")
