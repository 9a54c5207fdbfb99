"""`check_game`: plays random games and holds every law of the contract against what the rules do.

The laws stand at the head of `games/game.py`. The first one that is broken is reported with the position drawn and
the moves that lead there. A check is a function of the rules, the number of games and the seed.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from selfplay.errors import GameError, LawBroken
from selfplay.games.compiled import as_record
from selfplay.games.game import DRAW, LOSS, ONGOING, WIN, Advanced, Game, ObjectGame, Rules, States
from selfplay.games.registry import load_class, load_rules, resolve_spec
from selfplay.games.symmetry import Symmetry

_SYMMETRY_GAMES = 20  # random games replayed under every symmetry
_MANY_GAMES = 30  # of which no two players share all wins, or all moves, by chance
_FEW_LOOKALIKES = 0.02  # share of positions
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class CheckReport:
    """What was looked at, and what the game is like."""

    games: int
    positions: int
    mean_plies: float
    longest: int
    mean_legal: float
    outcomes: dict[str, float]  # share of games: first player won, drawn, lost
    last_mover: dict[str, float]  # likewise for the player who made the last ply
    symmetries: int
    notes: tuple[str, ...]  # what breaks no law, but is seldom meant


@dataclass
class _RandomGame:
    """A game on its way, with what the rules said of each position."""

    moves: list[int] = field(default_factory=list)
    states: list[States] = field(default_factory=list)  # each [1]
    known: list[Advanced] = field(default_factory=list)


class _PlainPly(NamedTuple):
    """A ply as plain Python plays it."""

    outcome: int
    legal: npt.NDArray[np.bool_]  # [A]
    planes: npt.NDArray[np.float32]  # [P, H, W]
    state: States  # [1]


def check_game(
    spec: str, *, games: int = 200, seed: int = 0, on_progress: Callable[[int], None] = lambda games: None
) -> CheckReport:
    """Check the game that `spec` names on random play.

    Raises `LawBroken` for the first broken law, `GameError` where the rules cannot be loaded or fail, and
    `UsageError` for an unknown name.
    """
    return _Checker(load_rules(spec), load_class(resolve_spec(spec))).check(games, seed, on_progress)


class _Checker:
    def __init__(self, rules: Rules, game: type[Game] | type[ObjectGame]) -> None:
        self._rules = rules
        self._info = rules.info
        self._game = game

    def check(self, games: int, seed: int, on_progress: Callable[[int], None]) -> CheckReport:
        """All laws, on `games` random games."""
        self._names_differ_and_lead_back()
        played = []
        for number in range(games):
            played.append(self._play(np.random.default_rng([seed, number])))
            if number < _SYMMETRY_GAMES:
                for symmetry in self._info.symmetries[1:]:
                    self._symmetry_commutes(played[-1], symmetry)
            on_progress(number + 1)
        self._batches_change_nothing(played)
        self._both_players_move_and_win(played)
        return _report(played, len(self._info.symmetries), tuple(self._notes(played)))

    # --- one random game, each position under every law ------------------------------------------------------

    def _play(self, rng: np.random.Generator) -> _RandomGame:
        game = _RandomGame()
        state = self._run(game, "start", lambda: self._rules.start(1))
        game.states.append(state.copy())
        game.known.append(self._run(game, "legal", lambda: self._rules.describe(state)))
        self._require("start", game, int(game.known[0].to_move[0]) == 0, "player 0 must be to move first")
        self._position_laws(game)
        while game.known[-1].outcomes[0] == ONGOING:
            action = int(rng.choice(np.flatnonzero(game.known[-1].legal[0])))
            plain = self._plain_ply(game, action)
            self._ply(game, action)
            if game.known[-1].outcomes[0] == ONGOING:
                self._position_laws(game)
            if plain is not None:
                self._plain_rules_agree(game, plain)
        self._draws(game)
        return game

    def _ply(self, game: _RandomGame, action: int) -> None:
        self._require(
            "end",
            game,
            len(game.moves) < self._info.max_plies,
            f"not over after {len(game.moves)} plies, but max_plies is {self._info.max_plies}",
        )
        state = game.states[-1].copy()
        known = self._run(game, "play", lambda: self._rules.advance(state, np.array([action], np.int32)))
        game.moves.append(action)
        game.states.append(state)
        game.known.append(known)
        outcome, mover = int(known.outcomes[0]), int(known.to_move[0])
        self._require(
            "play",
            game,
            outcome in (ONGOING, WIN, DRAW, LOSS),
            f"play returned {outcome}; expected ONGOING, WIN, DRAW or LOSS",
        )
        self._require("play", game, mover in (0, 1), f"the player to move is {mover}, expected 0 or 1")

    def _position_laws(self, game: _RandomGame) -> None:
        state, known = game.states[-1], game.known[-1]
        self._require("legal", game, bool(known.legal.any()), "the game goes on, but no action is legal")
        self._require("legal", game, _same(state, self._described(state)), "`legal` changed the state")
        before = state.copy()
        planes = self._run(game, "encode", lambda: self._rules.encode(before))
        again = self._rules.encode(before)
        self._require("encode", game, _same(state, before), "`encode` changed the state")
        self._require("encode", game, bool(np.isfinite(planes).all()), "planes hold numbers that are not finite")
        self._require("encode", game, np.array_equal(planes, again), "two calls on one state gave two results")
        self._draws(game)

    def _described(self, state: States) -> States:
        copy = state.copy()
        self._rules.describe(copy)
        return copy

    def _draws(self, game: _RandomGame) -> None:
        drawing = self._run(game, "drawing", lambda: self._rules.draw(game.states[-1][0]))
        self._require("drawing", game, isinstance(drawing, str) and bool(drawing), "`draw` gave no text")
        actions = np.flatnonzero(game.known[-1].legal[0]).tolist()
        try:
            self._run(game, "drawing", lambda: self._rules.board(game.states[-1][0], actions))
        except LawBroken:
            raise
        except GameError as error:
            raise LawBroken("drawing", self._tell("drawing", game, str(error))) from None

    def _plain_ply(self, game: _RandomGame, action: int) -> _PlainPly | None:
        """The ply by the rules as plain Python, before compiled code sees it.

        An index outside of an array is an error here, and a write to somebody else's memory there.
        """
        rules: Any = self._game
        if not issubclass(self._game, Game):
            return None
        record = as_record(game.states[-1][0], rules.State)
        mask = np.zeros(self._info.num_actions, np.bool_)
        planes = np.zeros((self._info.num_planes, *self._info.board_shape), np.float32)
        outcome = self._run(game, "play", lambda: rules.play(record, action))
        if outcome == ONGOING:
            self._run(game, "legal", lambda: rules.legal(record, mask))
        state = np.array([record], rules.State)  # before `encode`, which has no business to change it
        self._run(game, "encode", lambda: rules.encode(record, planes))
        return _PlainPly(outcome, mask, planes, state)

    def _plain_rules_agree(self, game: _RandomGame, plain: _PlainPly) -> None:
        """The last ply, compiled, against the same ply as plain Python."""
        after, known = game.states[-1], game.known[-1]
        same = (
            plain.outcome == known.outcomes[0]
            and np.array_equal(plain.legal, known.legal[0])
            and plain.state.tobytes() == after.tobytes()
            and np.array_equal(plain.planes, self._rules.encode(after)[0])
        )
        self._require(
            "compiled",
            game,
            bool(same),
            "after the last move the compiled rules and plain Python differ: look for numbers too large for a field",
        )

    # --- laws over whole games -------------------------------------------------------------------------------

    def _symmetry_commutes(self, game: _RandomGame, symmetry: Symmetry) -> None:
        """The transformed moves lead to transformed planes, masks and outcomes."""
        moves = [symmetry.actions[move] for move in game.moves]
        images, inverse = np.array(symmetry.actions), np.argsort(symmetry.actions)
        state = self._rules.start(1)
        known = self._rules.describe(state)
        for ply in range(len(moves) + 1):
            here = _RandomGame(game.moves[:ply], game.states[: ply + 1], game.known[: ply + 1])
            original = game.known[ply]
            self._require(
                "symmetries",
                here,
                np.array_equal(known.legal[0], original.legal[0][inverse]) and known.outcomes == original.outcomes,
                f"the transformed game has other legal actions or another outcome (actions become {images.tolist()})",
            )
            planes = self._rules.encode(game.states[ply]).reshape(self._info.num_planes, -1)
            turned = self._rules.encode(state).reshape(self._info.num_planes, -1)
            self._require(
                "symmetries",
                here,
                np.array_equal(turned, planes[:, list(symmetry.board)]),
                "the transformed game's planes are not the transformed planes",
            )
            if ply < len(moves):
                known = self._rules.advance(state, np.array([moves[ply]], np.int32))

    def _batches_change_nothing(self, played: list[_RandomGame]) -> None:
        """All games again, in one batch: a rule that keeps something outside of its state is found here."""
        states = self._rules.start(len(played))
        for ply in range(max(len(game.moves) for game in played)):
            on = [index for index, game in enumerate(played) if ply < len(game.moves)]
            part = states[on]
            known = self._rules.advance(part, np.array([played[index].moves[ply] for index in on], np.int32))
            states[on] = part
            for row, index in enumerate(on):
                game, alone = played[index], played[index].known[ply + 1]
                here = _RandomGame(game.moves[: ply + 1], game.states[: ply + 2], game.known[: ply + 2])
                self._require(
                    "memory",
                    here,
                    np.array_equal(known.keys[row], alone.keys[0])
                    and np.array_equal(known.legal[row], alone.legal[0])
                    and known.outcomes[row] == alone.outcomes[0],
                    "the same moves led elsewhere when other games were played beside: rules must keep all they "
                    "know in the state",
                )

    def _both_players_move_and_win(self, played: list[_RandomGame]) -> None:
        """What random play of many games cannot look like by chance: a player who never moves, and one who never wins
        though both of them end games."""
        long = [game for game in played if len(game.moves) > 1]
        if len(long) >= _MANY_GAMES and all(int(known.to_move[0]) == 0 for game in long for known in game.known[:-1]):
            self._require("turns", long[0], False, "player 2 never gets to move: `play` has to set `to_move`")
        decided = [game for game in played if _first_players_result(game) != DRAW]
        winners = {_first_players_result(game) for game in decided}
        movers = {int(game.known[-2].to_move[0]) for game in decided}
        if len(decided) >= _MANY_GAMES and len(winners) == 1 and len(movers) == 2:
            loser = 1 if winners == {WIN} else 0
            odd = next(game for game in decided if int(game.known[-2].to_move[0]) == loser)
            reason = (
                f"player {2 - loser} won all {len(decided)} decided games, also those in which player {loser + 1} "
                "moved last, as here: an outcome is seen by the player who made the ply, WIN where that player wins"
            )
            self._require("turns", odd, False, reason)

    def _notes(self, played: list[_RandomGame]) -> Iterator[str]:
        """Positions that are the same to the network and to the rules of moving, but not in their state."""
        looks: dict[bytes, set[bytes]] = {}
        for game in played:
            for state, known in zip(game.states[:-1], game.known[:-1], strict=True):
                look = self._rules.encode(state).tobytes() + known.legal.tobytes() + known.to_move.tobytes()
                looks.setdefault(look, set()).add(known.keys.tobytes())
        split = sum(len(keys) for keys in looks.values() if len(keys) > 1)
        total = sum(len(keys) for keys in looks.values())
        if split > _FEW_LOOKALIKES * total:
            yield (
                f"{split / total:.0%} of the positions look the same to the network as another one and have the same "
                "legal actions, but differ in their state: does it keep history that the game does not need? Such "
                "positions are searched and remembered apart"
            )

    def _names_differ_and_lead_back(self) -> None:
        names = [self._rules.action_name(action) for action in range(self._info.num_actions)]
        for action, name in enumerate(names):
            if self._rules.find_action(name) != action:
                other = self._rules.find_action(name)
                raise LawBroken("drawing", f'law "drawing" is broken: actions {other} and {action} share {name!r}')

    # --- telling ---------------------------------------------------------------------------------------------

    def _require(self, law: str, game: _RandomGame, holds: bool, reason: str) -> None:
        if not holds:
            raise LawBroken(law, self._tell(law, game, reason))

    def _run(self, game: _RandomGame, law: str, rule: Callable[[], _Result]) -> _Result:
        """Call a rule; an exception in it is a broken law too, with the line it came from."""
        try:
            return rule()
        except GameError:
            raise
        except Exception as error:
            file = inspect.getsourcefile(self._game)
            lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
            where = f" ({file}, line {lines[-1].lineno})" if lines else ""
            raise LawBroken(law, self._tell(law, game, f"{type(error).__name__}: {error}{where}")) from error

    def _tell(self, law: str, game: _RandomGame, reason: str) -> str:
        moves = " ".join(self._rules.action_name(move) for move in game.moves) or "(none, this is the start)"
        try:
            drawing = self._rules.draw(game.states[-1][0]) if game.states else "(there is no position yet)"
        except Exception as error:  # the drawing may be what is broken
            drawing = f"(draw fails: {error})"
        return f'law "{law}" is broken: {reason}\n{drawing}\nmoves that lead here: {moves}'


def _same(a: States, b: States) -> bool:
    return a.tobytes() == b.tobytes() if a.dtype != object else bool((a == b).all())


def _report(played: list[_RandomGame], symmetries: int, notes: tuple[str, ...]) -> CheckReport:
    lengths = np.array([len(game.moves) for game in played])
    legal = [int(known.legal.sum()) for game in played for known in game.known[:-1]]
    results = np.array([_first_players_result(game) for game in played])
    of_last = np.array([int(game.known[-1].outcomes[0]) for game in played])
    return CheckReport(
        games=len(played),
        positions=int(lengths.sum()) + len(played),
        mean_plies=float(lengths.mean()),
        longest=int(lengths.max()),
        mean_legal=float(np.mean(legal)),
        outcomes=_shares(results),
        last_mover=_shares(of_last),
        symmetries=symmetries,
        notes=notes,
    )


def _shares(results: npt.NDArray[np.int64]) -> dict[str, float]:
    return {name: float((results == value).mean()) for name, value in (("won", WIN), ("drawn", DRAW), ("lost", LOSS))}


def _first_players_result(game: _RandomGame) -> int:
    last = int(game.known[-1].outcomes[0])
    return last if game.known[-2].to_move[0] == 0 else -last
