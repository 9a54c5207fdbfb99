"""A game between a person and an agent: whose turn, what was played, what the agent thinks. Prints nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from selfplay.errors import GameError
from selfplay.games.board import Board, Cell
from selfplay.games.game import ONGOING, Advanced
from selfplay.play.agent import Agent, Move, Opinion, find_actions


class Session:
    """One game.

    Args:
        agent: plays the other side, and gives its opinion of any position.
        human: the person's player number, 0 or 1; None = the agent plays both sides.
        simulations: how hard the agent thinks.
        moves: from which position on; raises `GameError` where they are not legal.
    """

    def __init__(self, agent: Agent, *, human: int | None, simulations: int, moves: Sequence[Move] = ()) -> None:
        self.human = human
        self.agent = agent
        self.rules = agent.rules
        self.simulations = simulations
        self.moves = find_actions(self.rules, moves)
        self.rules.replay(self.moves)

    @property
    def is_over(self) -> bool:
        """Whether somebody won or the game is drawn."""
        return bool(self._known().outcomes[-1] != ONGOING)

    @property
    def to_move(self) -> int:
        """The player to move, 0 or 1."""
        return int(self._known().to_move[-1])

    @property
    def result(self) -> int:
        """1, 0 or -1 as player 0 won, drew or lost; the game must be over."""
        known = self._known()
        outcome = int(known.outcomes[-1])
        return outcome if known.to_move[-2] == 0 else -outcome

    @property
    def verdict(self) -> str:
        """Who won, in words; the game must be over."""
        if self.human is None or self.result == 0:
            return {1: "Player 1 won.", 0: "A draw.", -1: "Player 2 won."}[self.result]
        return "You won." if self.result == (1 if self.human == 0 else -1) else "The agent won."

    @property
    def legal(self) -> list[int]:
        """The actions that may be played now; none once the game is over."""
        return [int(action) for action in np.flatnonzero(self._known().legal[-1])]

    def drawing(self) -> str:
        """The position in characters."""
        return self.rules.draw(self.rules.replay(self.moves)[0][-1])

    def board(self) -> Board | None:
        """The position as a board with the cells of all legal actions; None where the game declares none."""
        return self.rules.board(self.rules.replay(self.moves)[0][-1], self.legal)

    def last_cells(self) -> tuple[Cell, ...]:
        """Where the last move was played."""
        if not self.moves:
            return ()
        board = self.rules.board(self.rules.replay(self.moves[:-1])[0][-1], self.moves[-1:])
        return board.cells[self.moves[-1]] if board else ()

    def legal_names(self) -> list[str]:
        """Names of the moves that may be played now."""
        return [self.rules.action_name(action) for action in self.legal]

    def find(self, name: str) -> int:
        """The legal action that people call `name`; raises `GameError` where there is none."""
        action = self.rules.find_action(name)
        if action is None or action not in self.legal:
            raise GameError(f"{name!r} is not a move here; you may play {', '.join(self.legal_names())}")
        return action

    def play(self, name: str) -> None:
        """Play the move that people call `name`; raises `GameError` where there is none or it is not legal."""
        self.moves.append(self.find(name))

    def take_back(self) -> bool:
        """Undo up to and with the person's last move; whether there was one."""
        mine = np.flatnonzero(self._known().to_move[:-1] == self.human)
        if len(mine):
            del self.moves[mine[-1] :]
        return bool(len(mine))

    def think(self) -> Opinion:
        """What the agent thinks of the current position."""
        return self.agent.search(self.moves, simulations=self.simulations)

    def agent_move(self) -> Opinion:
        """Let the agent play its best move; what it thought."""
        opinion = self.think()
        self.moves.append(opinion.best.action)
        return opinion

    def _known(self) -> Advanced:
        return self.rules.replay(self.moves)[1]
