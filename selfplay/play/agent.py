"""A model as a partner for programs: positions in, opinions out.

    import selfplay

    agent = selfplay.load_agent("model.pt")
    opinion = agent.search(["4", "4", "3"], simulations=200)  # the position after these moves
    opinion.best.name, opinion.value, opinion.policy, opinion.best.line

A position is the list of moves that leads to it, as names or numbers of actions. Values run from -1 to 1 and are seen
by the player to move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from selfplay.arena.player import SearchPlayer, card_of
from selfplay.errors import GameError, UsageError
from selfplay.evaluation.evaluator import Evaluator, NetworkEvaluator
from selfplay.evaluation.images import Images
from selfplay.evaluation.onnx_evaluator import OnnxEvaluator
from selfplay.games.game import ONGOING, Rules, States
from selfplay.games.registry import load_rules
from selfplay.network.card import ModelCard
from selfplay.rundir.layout import inference_twin
from selfplay.search.search import RootFacts

DEFAULT_SIMULATIONS = 200
Move = int | str  # an action's number, or what people call it


@dataclass(frozen=True)
class Option:
    """A move that the agent looked at."""

    action: int
    name: str
    visits: int
    share: float  # of all visits
    value: float  # mean of its simulations
    prior: float  # the network's probability, before any search
    line: tuple[str, ...]  # the moves it expects, this one first


@dataclass(frozen=True)
class Opinion:
    """What the agent thinks of a position."""

    moves: tuple[int, ...]  # that lead there
    to_move: int  # player 0 or 1
    simulations: int  # made; fewer than asked for where the position was solved on the way
    value: float  # after the search
    is_proven: bool  # the value is the outcome of perfect play
    network_value: float  # before it
    outcome: tuple[float, float, float] | None  # the network's probabilities of win, draw and loss, where it has them
    options: tuple[Option, ...]  # visited moves, the one it would play first, then by visits

    @property
    def best(self) -> Option:
        """The move that it would play."""
        return self.options[0]

    @property
    def policy(self) -> dict[str, float]:
        """Name of a move -> share of the visits."""
        return {option.name: option.share for option in self.options}


class Agent:
    """Gives opinions.

    Args:
        rules: the game.
        evaluator: judges leaves.
        name: what results call it.
        card: of its model, if it has one.
    """

    def __init__(self, rules: Rules, evaluator: Evaluator, *, name: str, card: ModelCard | None = None) -> None:
        self.rules = rules
        self.name = name
        self.card = card
        self._evaluator = evaluator
        self._player = SearchPlayer(name, rules, evaluator, simulations=DEFAULT_SIMULATIONS)

    def search(self, moves: Sequence[Move] = (), *, simulations: int = DEFAULT_SIMULATIONS) -> Opinion:
        """What it thinks of the position after `moves`.

        Raises `GameError` where a move is unknown or not legal, or the game is over there; `UsageError` where
        `simulations` is below 1.
        """
        if simulations < 1:
            raise UsageError(f"simulations: found {simulations}, expected 1 or more")
        actions = find_actions(self.rules, moves)
        states, known = self.rules.replay(actions)
        if known.outcomes[-1] != ONGOING:
            raise GameError(f"the game is over after {len(actions)} moves: there is nothing to search")
        best, facts, lines = self._player.study(states[-1:], simulations=simulations)
        total = max(1, int(facts.visits.sum()))
        visited = sorted(lines, key=lambda action: (action != best, -int(facts.visits[action])))
        options = tuple(
            Option(
                action=action,
                name=self.rules.action_name(action),
                visits=int(facts.visits[action]),
                share=int(facts.visits[action]) / total,
                value=float(facts.q[action]),
                prior=float(facts.prior[action]),
                line=tuple(map(self.rules.action_name, lines[action])),
            )
            for action in visited
        )
        outcome = self._outcome(states[-1:])
        return Opinion(
            moves=tuple(actions),
            to_move=int(known.to_move[-1]),
            simulations=int(facts.visits.sum()),
            value=facts.value,
            is_proven=facts.outcome is not None,
            network_value=facts.evaluation,
            outcome=outcome,
            options=options,
        )

    def look_at(self, state: States, *, simulations: int) -> tuple[int, RootFacts, dict[int, list[int]]]:
        """The best action in one ongoing position [1], however it came about, what the search finds there, and the line
        that it expects after each action."""
        return self._player.study(state, simulations=simulations)

    def _outcome(self, states: np.ndarray) -> tuple[float, float, float] | None:
        """The network's probabilities in one position [1], by the image that searches ask about too."""
        if not isinstance(self._evaluator, NetworkEvaluator):
            return None
        images, rules = Images(self.rules.info.symmetries), self.rules
        planes, legal = rules.encode(states), rules.describe(states.copy()).legal
        asked, _ = images.turn(planes, legal, images.choose(planes, legal)[1], np.zeros(1, np.int32))
        win, draw, loss = self._evaluator.run(asked)[1][0].tolist()
        return win, draw, loss


def load_agent(model: str | Path, *, game: str | None = None) -> Agent:
    """The agent in a model file (`model.pt`, which needs its `.onnx` twin beside it, or the `.onnx` alone).

    Args:
        model: the file.
        game: where the game's file lies now, if it was moved: `path/to/file.py:Class`.

    Raises `ModelError` where the file cannot be used, `GameError` where its game cannot be loaded.
    """
    path = Path(model)
    card = card_of(str(path if path.suffix else path.with_suffix(".pt")))
    assert card is not None
    rules = load_rules(game or card.spec)
    return Agent(rules, OnnxEvaluator(inference_twin(path), rules.info), name=f"{path} (round {card.round})", card=card)


def find_actions(rules: Rules, moves: Sequence[Move]) -> list[int]:
    """The actions that these moves name, whether they are legal or not; raises `GameError` for an unknown name."""
    actions = []
    for ply, move in enumerate(moves, start=1):
        action = move if isinstance(move, int) else rules.find_action(move)
        if action is None:
            raise GameError(f"move {ply}: {rules.info.name} has no move {move!r}")
        actions.append(action)
    return actions
