"""How many random games per second a game's rules play, compiled and not: what `selfplay check` tells."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np

from selfplay.games.compiled import as_record
from selfplay.games.game import ONGOING, Game, Rules
from selfplay.games.registry import load_class, load_rules, resolve_spec

SECONDS = 0.5  # of each measurement
_BATCH = 64


class PlayoutSpeed(NamedTuple):
    """Random games per second on one core, from the start to the end."""

    compiled: float | None  # None where the rules are not compiled
    plain: float  # as plain Python


def playout_speed(spec: str, *, seconds: float = SECONDS) -> PlayoutSpeed:
    """Measure the game that `spec` names; raises as `load_rules`."""
    rules = load_rules(spec)
    if not rules.is_compiled:
        return PlayoutSpeed(None, playouts_per_second(rules, seconds=seconds))
    compiled = playouts_per_second(rules, seconds=seconds)
    return PlayoutSpeed(compiled, _plain_games_per_second(load_class(resolve_spec(spec)), seconds))


def playouts_per_second(rules: Rules, *, seconds: float) -> float:
    """Games per second of `Rules.playouts`, a few at once."""
    states, games = rules.start(_BATCH), 0
    rules.playouts(states, np.arange(_BATCH, dtype=np.uint64))  # compiles
    start = time.perf_counter()
    while (now := time.perf_counter()) - start < seconds:
        rules.playouts(states, np.arange(games, games + _BATCH, dtype=np.uint64))
        games += _BATCH
    return games / (now - start)


def _plain_games_per_second(game: Any, seconds: float) -> float:
    """Games per second of rules as plain Python."""
    assert issubclass(game, Game)
    rng, games, start = np.random.default_rng(0), 0, time.perf_counter()
    while (now := time.perf_counter()) - start < seconds or games == 0:
        state, outcome = as_record(np.zeros((), game.State), game.State), ONGOING
        game.start(state)
        while outcome == ONGOING:
            mask = np.zeros(game.num_actions, np.bool_)
            game.legal(state, mask)
            outcome = game.play(state, int(rng.choice(mask.nonzero()[0])))
        games += 1
    return games / max(now - start, 1e-9)
