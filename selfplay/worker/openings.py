"""Where games begin: at the start, or after some plies that chance draws, so that many kinds of positions are met.

Chance takes any legal action, or what the network would play; of several such openings the most even one is taken.
A function of (model, settings, generator). Knows nothing of searches. Letters: n openings, A actions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from selfplay.evaluation.cache import CachedEvaluator
from selfplay.evaluation.evaluator import Positions
from selfplay.games.game import ONGOING, Rules
from selfplay.games.random_play import Opening, random_opening
from selfplay.settings import SearchSettings


class Openings:
    """Draws the openings of a round's games.

    Args:
        rules: the game.
        evaluator: the model that plays the round.
        settings: which openings are wanted: the fields `opening_…`.
    """

    def __init__(self, rules: Rules, evaluator: CachedEvaluator, settings: SearchSettings) -> None:
        self._rules, self._evaluator, self._settings = rules, evaluator, settings

    def draw(self, rng: np.random.Generator) -> Opening:
        """Where the game with this generator begins."""
        plies = self._draw_plies(rng)
        if plies == 0:
            return random_opening(self._rules, 0, rng)
        is_likely = self._settings.opening_policy > 0.0 and rng.random() < self._settings.opening_policy
        walk = self._likely_openings if is_likely else self._random_openings
        return self._most_even(walk(plies, rng))

    def _draw_plies(self, rng: np.random.Generator) -> int:
        settings = self._settings
        if settings.opening_share == 0.0 or rng.random() >= settings.opening_share:
            return 0
        return min(int(rng.integers(1, settings.opening_plies + 1)) for _ in range(settings.opening_draws))

    def _random_openings(self, plies: int, rng: np.random.Generator) -> list[Opening]:
        """As many as there is a choice of [n], all legal actions alike."""
        return [random_opening(self._rules, plies, rng) for _ in range(self._settings.opening_choices)]

    def _likely_openings(self, plies: int, rng: np.random.Generator) -> list[Opening]:
        """As many [n], their actions drawn from the network's policy: "policy initialization" of KataGo (Wu 2019,
        appendix D). A game that is over by then is drawn anew at random."""
        rules, count = self._rules, self._settings.opening_choices
        states, moves = rules.start(count), np.empty((count, 0), np.int32)
        for _ in range(plies):
            actions = self._likely_actions(Positions.of(rules, states), rng)
            goes_on = rules.advance(states, actions).outcomes == ONGOING
            states, moves = states[goes_on], np.column_stack([moves, actions])[goes_on]
            if len(states) == 0:
                break
        known = rules.describe(states.copy())
        found = [
            Opening(states[i : i + 1], known.legal[i], int(known.to_move[i]), moves[i].tolist())
            for i in range(len(states))
        ]
        return found + [random_opening(rules, plies, rng) for _ in range(count - len(found))]

    def _likely_actions(self, positions: Positions, rng: np.random.Generator) -> npt.NDArray[np.int32]:
        """An action of each position [n], drawn by the network's probabilities."""
        shares = self._evaluator.glance(positions).priors.cumsum(axis=1, dtype=np.float64)
        passed = shares <= rng.random((len(shares), 1)) * shares[:, -1:]
        actions: npt.NDArray[np.int32] = passed.sum(axis=1, dtype=np.int32)
        return actions

    def _most_even(self, openings: list[Opening]) -> Opening:
        """The one whose value the network puts next to 0: of random positions most are decided, and teach little."""
        if len(openings) == 1:
            return openings[0]
        states = np.concatenate([opening.state for opening in openings])
        values = self._evaluator.glance(Positions.of(self._rules, states)).values
        return openings[int(np.abs(values).argmin())]
