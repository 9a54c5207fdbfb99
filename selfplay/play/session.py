"""A game between a person and an agent: whose turn, what was played, what the agent thinks. Prints nothing."""

from __future__ import annotations

import numpy as np

from selfplay.arena.player import SearchPlayer
from selfplay.errors import GameError
from selfplay.games.game import ONGOING, Rules
from selfplay.search.search import RootFacts


class Session:
    """One game.

    Args:
        rules: the game.
        agent: plays the other side, and gives its opinion of any position.
        human: the person's player number, 0 or 1.
    """

    def __init__(self, rules: Rules, agent: SearchPlayer, *, human: int) -> None:
        self.human = human
        self.moves: list[int] = []
        self._rules = rules
        self._agent = agent

    @property
    def is_over(self) -> bool:
        """Whether somebody won or the game is drawn."""
        return bool(self._rules.replay(self.moves)[1].outcomes[-1] != ONGOING)

    @property
    def to_move(self) -> int:
        """The player to move, 0 or 1."""
        return int(self._rules.replay(self.moves)[1].to_move[-1])

    @property
    def result(self) -> int:
        """1, 0 or -1 as the person won, drew or lost; the game must be over."""
        known = self._rules.replay(self.moves)[1]
        last_mover, outcome = int(known.to_move[-2]), int(known.outcomes[-1])
        return outcome if last_mover == self.human else -outcome

    def drawing(self) -> str:
        """The position in characters."""
        return self._rules.draw(self._rules.replay(self.moves)[0][-1])

    def legal_names(self) -> list[str]:
        """Names of the moves that may be played now."""
        legal = self._rules.replay(self.moves)[1].legal[-1]
        return [self._rules.action_name(int(action)) for action in np.flatnonzero(legal)]

    def play(self, name: str) -> None:
        """Play the move that people call `name`; raises `GameError` where there is none or it is not legal."""
        action = self._rules.find_action(name)
        if action is None or self._rules.action_name(action) not in self.legal_names():
            raise GameError(f"{name!r} is not a move here; you may play {', '.join(self.legal_names())}")
        self.moves.append(action)

    def take_back(self) -> bool:
        """Undo up to and with the person's last move; whether there was one."""
        movers = self._rules.replay(self.moves)[1].to_move[:-1]
        mine = np.flatnonzero(movers == self.human)
        if len(mine):
            del self.moves[mine[-1] :]
        return bool(len(mine))

    def think(self) -> RootFacts:
        """What the agent finds in the current position; values are seen by the player to move."""
        return self._agent.think(self._rules.replay(self.moves)[0][-1:])[0]

    def agent_move(self) -> tuple[int, RootFacts]:
        """Let the agent play; its move and what it found."""
        facts = self.think()
        action = int(facts.visits.argmax())
        self.moves.append(action)
        return action, facts
