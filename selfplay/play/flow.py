"""The flow of a game between a person and an agent that thinks elsewhere: whose turn it is, and what becomes of an
answer that comes when the position has changed. Knows nothing of pages.

Everything here runs in one event loop; only thinking runs outside of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from selfplay.errors import SelfplayError
from selfplay.play.agent import Agent, Opinion
from selfplay.play.session import Session

Think = Callable[[Callable[[], Opinion]], Awaitable[Opinion]]


class Flow:
    """One game.

    Args:
        session: the game.
        think: has a search done elsewhere.
        changed: called whenever there is something new to see, with what the agent thought of a move it just played.
        pause_seconds: between two moves where the agent plays both sides.
    """

    def __init__(
        self,
        session: Session,
        *,
        think: Think,
        changed: Callable[[Opinion | None], None],
        pause_seconds: float = 0.0,
    ) -> None:
        self.session = session
        self.opinion: Opinion | None = None  # on the position that stands now, once asked for
        self.is_thinking = False
        self.shows_thoughts = False  # whether the agent looks at the person's positions unasked
        self.is_left = False  # nobody is there any more
        self.failure: SelfplayError | None = None  # why the agent cannot think; another position or agent tries again
        self._think, self._changed, self._pause_seconds = think, changed, pause_seconds
        self._turn = 0  # counts positions and agents: an answer to an earlier one is dropped
        self._asking = asyncio.Lock()
        self._is_going_on = False

    @property
    def is_persons_turn(self) -> bool:
        """Whether a person may play now."""
        return not self.session.is_over and not self.is_thinking and self.session.to_move == self.session.human

    async def play(self, action: int) -> None:
        """Play a legal action for the person, and let the agent answer."""
        self.session.moves.append(action)
        self._move_on()
        await self.go_on()

    async def begin(self, human: int | None) -> None:
        """Begin a new game, the person as this player; the agent may be in the middle of a thought."""
        self.session.human = human
        self.session.moves.clear()
        self._move_on()
        await self.go_on()

    async def take_back(self) -> bool:
        """Undo up to and with the person's last move; whether there was one."""
        was_there = self.session.take_back()
        if was_there:
            self._move_on()
            await self.go_on()
        return was_there

    async def set_simulations(self, simulations: int) -> None:
        """From now on think so hard."""
        self.session.simulations = simulations
        self._forget()
        await self.go_on()

    async def seat(self, agent: Agent) -> None:
        """From now on play against this agent."""
        self.session.agent = agent
        self._forget()
        self._changed(None)
        await self.go_on()

    async def go_on(self) -> None:
        """Let the agent play while it is to move; then, where that is wanted, look at the person's position.

        One such task runs at a time, and goes on from whatever has become of the position.
        """
        if self._is_going_on:
            return
        self._is_going_on = True
        try:
            while not self._is_at_an_end() and await self._take_a_step():
                pass
        finally:
            self._is_going_on = False

    def _is_at_an_end(self) -> bool:
        return self.is_left or self.session.is_over or self.failure is not None

    async def _take_a_step(self) -> bool:
        """Whether there may be another one."""
        session = self.session
        if session.to_move == session.human:
            if not self.shows_thoughts or self.opinion is not None:
                return False
            await self.ask()
            return True
        opinion = await self.ask()
        if opinion is not None:
            session.moves.append(opinion.best.action)
            self._move_on(opinion)
            if session.human is None:
                await asyncio.sleep(self._pause_seconds)
        return True

    async def ask(self) -> Opinion | None:
        """The agent's opinion on the position that stands now; None where that changed before the answer came, or where
        thinking failed."""
        async with self._asking:
            if self.opinion is None and self.failure is None:
                turn = self._turn
                self.is_thinking = True
                self._changed(None)
                try:
                    opinion = await self._think(self.session.think)
                    self.opinion = opinion if turn == self._turn else None
                except SelfplayError as error:
                    self.failure = error
                finally:
                    self.is_thinking = False
                self._changed(None)
            return self.opinion

    def _move_on(self, before: Opinion | None = None) -> None:
        self._forget()
        self._changed(before)

    def _forget(self) -> None:
        self._turn += 1
        self.opinion = self.failure = None
