"""Games of OpenSpiel (Lanctot et al. 2019) by its own rules: `openspiel:hex(board_size=5)`. Needs the extra
`openspiel`.

Two players, in turns, without chance or hidden information, one's gain the other's loss: whatever is like that there
can be trained here. Rules run in OpenSpiel's C++, one call of Python per ply, so that the games of this package are
faster. A position is told apart by the plies that led to it. What the network sees is OpenSpiel's observation of the
player to move, and a plane that says which of the two that is.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from selfplay.errors import UsageError, nearest
from selfplay.games.game import DRAW, LOSS, ONGOING, WIN, ObjectGame

_RANDOM_GAMES = 20  # played to learn how long games are
_KEY_BYTES = 16


class Position:
    """A state of OpenSpiel's, never changed, with the player to move and a key of the plies behind it."""

    __slots__ = ("key", "state", "to_move")

    def __init__(self, state: Any, to_move: int, key: bytes) -> None:
        self.state = state
        self.to_move = to_move
        self.key = key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Position) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def resolve(text: str) -> str:
    """The game as OpenSpiel writes it; raises `UsageError` where there is none, or not one that can be trained."""
    return str(_load(text)).removesuffix("()")


@cache
def adapter(text: str) -> type[ObjectGame]:
    """The game as a class. Raises `UsageError` as `resolve`."""
    loaded = _load(text)
    shape, is_last = _board_of(loaded)
    first = loaded.new_initial_state().current_player()  # whoever begins is player 0 here
    names = _names_of(loaded)

    class OpenSpielGame(ObjectGame):
        """A game of OpenSpiel's."""

        name, board_shape, num_planes = "openspiel", (shape[1], shape[2]), shape[0] + 1
        num_actions, max_plies = loaded.num_distinct_actions(), loaded.max_game_length()
        typical_plies = _typical_plies(loaded)
        identity = f"{loaded} of open_spiel {version('open_spiel')}"

        def start(self) -> Position:
            return Position(loaded.new_initial_state(), 0, b"")

        def to_move(self, state: Position) -> int:
            return state.to_move

        def legal(self, state: Position) -> list[int]:
            actions: list[int] = state.state.legal_actions()
            return actions

        def play(self, state: Position, action: int) -> tuple[Position, int]:
            after = state.state.child(action)
            key = hashlib.blake2b(state.key + action.to_bytes(4), digest_size=_KEY_BYTES).digest()
            if not after.is_terminal():
                return Position(after, after.current_player() ^ first, key), ONGOING
            gain = after.returns()[state.to_move ^ first]
            return Position(after, 1 - state.to_move, key), WIN if gain > 0 else LOSS if gain < 0 else DRAW

        def encode(self, state: Position, planes: npt.NDArray[np.float32]) -> None:
            seen = np.array(state.state.observation_tensor(state.to_move ^ first), np.float32)
            planes[:-1] = (
                seen.reshape(shape[1], shape[2], shape[0]).transpose(2, 0, 1) if is_last else seen.reshape(shape)
            )
            planes[-1] = 1.0 - state.to_move

        def key(self, state: Position) -> bytes:
            return state.key

        def draw(self, state: Position) -> str:
            return str(state.state)

        def action_name(self, action: int) -> str:
            return names[action]

    return OpenSpielGame


def reason_against(kind: Any) -> str:
    """Why a type of game (`pyspiel.GameType`) cannot be trained; empty = it can."""
    import pyspiel

    if not kind.min_num_players <= 2 <= kind.max_num_players:
        return "not for two players"
    if kind.dynamics != pyspiel.GameType.Dynamics.SEQUENTIAL:
        return "players move at once"
    if kind.chance_mode != pyspiel.GameType.ChanceMode.DETERMINISTIC:
        return "chance plays along"
    if kind.information != pyspiel.GameType.Information.PERFECT_INFORMATION:
        return "hidden information"
    if kind.utility not in (pyspiel.GameType.Utility.ZERO_SUM,):
        return "what one gains the other need not lose"
    if not kind.provides_observation_tensor:
        return "no observation as numbers"
    return "" if kind.default_loadable else "needs parameters"


def overview() -> dict[str, list[str]]:
    """Reason -> the games of the OpenSpiel that is installed, those that can be trained under the empty reason; no
    games at all where it is not installed."""
    try:
        import pyspiel
    except ImportError:
        return {}
    found: dict[str, list[str]] = {}
    for kind in pyspiel.registered_games():
        found.setdefault(reason_against(kind), []).append(kind.short_name)
    return found


def _load(text: str) -> Any:
    """OpenSpiel's game. Raises `UsageError`."""
    try:
        import pyspiel
    except ImportError:
        raise UsageError(
            f"openspiel:{text} needs OpenSpiel (the extra `openspiel`): pip install 'selfplay[openspiel]'"
        ) from None
    known = {kind.short_name: kind for kind in pyspiel.registered_games()}
    name = text.partition("(")[0]
    if name not in known:
        raise UsageError(f'OpenSpiel has no game "{name}"{nearest(name, known)}; `selfplay games` lists them')
    if reason := reason_against(known[name]):
        raise UsageError(f"openspiel:{name} cannot be trained: {reason}")
    try:
        loaded = pyspiel.load_game(text)
    except (RuntimeError, pyspiel.SpielError) as error:
        raise UsageError(f"openspiel:{text}: {str(error).strip().splitlines()[-1]}") from None
    if loaded.num_players() != 2:
        raise UsageError(f"openspiel:{text} has {loaded.num_players()} players, expected 2")
    return loaded


def _board_of(loaded: Any) -> tuple[tuple[int, int, int], bool]:
    """(planes, rows, columns) that a game's observation is laid out on, and whether its planes come last."""
    import pyspiel

    shape = tuple(loaded.observation_tensor_shape())
    if len(shape) == 3 and loaded.observation_tensor_layout() == pyspiel.TensorLayout.HWC:
        return (shape[2], shape[0], shape[1]), True
    if len(shape) == 3:
        return shape, False
    planes, cells = (shape[0], shape[1]) if len(shape) == 2 else (1, int(np.prod(shape)))
    side = round(cells**0.5)
    return (planes, side, side) if side * side == cells and planes > 1 else (planes, 1, cells), False


def _names_of(loaded: Any) -> list[str]:
    """What actions are called: as in OpenSpiel where that tells them apart in any position, else their numbers."""
    numbers = [str(action) for action in range(loaded.num_distinct_actions())]
    try:
        names = [loaded.action_to_string(0, action).strip() for action in range(len(numbers))]
    except Exception:  # names that depend on the position; C++ raises what it likes
        return numbers
    differ = len({name.lower() for name in names}) == len(names) and not any(
        "," in name or " " in name for name in names
    )
    return names if differ else numbers


def _typical_plies(loaded: Any) -> int:
    """How long random games are."""
    rng, plies = np.random.default_rng(0), 0
    for _ in range(_RANDOM_GAMES):
        state = loaded.new_initial_state()
        while not state.is_terminal():
            actions = state.legal_actions()
            state.apply_action(actions[int(rng.integers(len(actions)))])
            plies += 1
    return max(1, plies // _RANDOM_GAMES)
