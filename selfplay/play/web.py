"""A board to play on in a browser: against any model of a run, with hints, take back, and what the agent thinks.

The address holds the position (`/play?moves=4,4,3&side=second`), so a reload goes on and a link shows it to others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar
from urllib.parse import urlencode

from nicegui import events, ui

from selfplay.errors import GameError, SelfplayError, printable
from selfplay.games.board import Board, Cell, column_names
from selfplay.play.agent import DEFAULT_SIMULATIONS, Agent, Opinion
from selfplay.play.clicks import Goes, Plays, Refused, moved_cursor, read_click
from selfplay.play.flow import Flow
from selfplay.play.marks import marks_of
from selfplay.play.models import NEWEST, Agents
from selfplay.play.session import Session
from selfplay.play.web_opinion import OpinionView
from selfplay.web.frame import BoardView, Link, frame, show_error

PATH = "/play"
STRENGTHS = (1, 10, 25, 50, 100, 200, 400, 800, 1600, 3200)  # simulations per move
SIDES = {"first": 0, "second": 1, "none": None}
_SIDE_NAMES = {"first": "I begin", "second": "the agent begins", "none": "the agent plays both"}
_LOOK_SECONDS = 2.0  # between two looks for a newer model
_BETWEEN_SECONDS = 0.6  # between two moves where the agent plays both sides
_MOST_MOVES_TEXT, _MOST_NAME_TEXT = 4000, 100
_STEPS = {"ArrowUp": (-1, 0), "ArrowDown": (1, 0), "ArrowLeft": (0, -1), "ArrowRight": (0, 1)}

_Result = TypeVar("_Result")
_thinker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="think")  # all boards together use one core


async def _think(work: Callable[[], _Result]) -> _Result:
    return await asyncio.get_running_loop().run_in_executor(_thinker, work)


def add_board(agents: Agents, links: Sequence[Link], *, path: str = PATH) -> None:
    """Put the board at `path`."""

    @ui.page(path)
    async def play(
        moves: str = "", side: str = "first", model: str = NEWEST, simulations: int = DEFAULT_SIMULATIONS
    ) -> None:
        with frame("Play", links, here=path):
            waiting = ui.label("Getting the agent ready …").classes("status")
            await ui.context.client.connected()  # rules of one's own are compiled the first time: show the page first
            try:
                agent = await _think(lambda: agents.get(model))
                session = Session(
                    agent,
                    human=SIDES.get(side, 0),
                    simulations=min(STRENGTHS, key=lambda strength: abs(strength - simulations)),
                    moves=[move for move in moves[:_MOST_MOVES_TEXT].split(",") if move],
                )
            except SelfplayError as error:
                show_error(str(error))
                return
            finally:
                waiting.delete()
            _Table(agents, session, model, path)


class _Table:
    """One person's board: the elements of a page, and the game on it."""

    def __init__(self, agents: Agents, session: Session, model: str, path: str) -> None:
        self._agents, self._session, self._model, self._path = agents, session, model, path
        self._flow = Flow(session, think=_think, changed=self._show, pause_seconds=_BETWEEN_SECONDS)
        self._chosen: tuple[Cell, ...] = ()
        self._cursor: Cell | None = None
        self._address = ""
        start = Session(session.agent, human=None, simulations=1).board()
        self._columns = column_names([start] if start else [], session.rules.action_name)
        with ui.element("div").classes("split"):
            with ui.element("div"):
                self._board = BoardView(self._click)
            with ui.element("div").classes("side"):
                self._status = ui.label().classes("status").props("role=status aria-live=polite")
                self._refusal = ui.label().classes("warning").props("role=alert")
                self._buttons()
                self._choices()
                self._outlook = OpinionView()
                self._typed = ui.input("type a move").props("dense outlined clearable")
                self._typed.on("keydown.enter", self._play_typed)
                self._unplaced = ui.row().classes("row")
                ui.label("Keys: arrows and Enter, or digits; Backspace takes back.").classes("keys")
                self._list = ui.label().classes("plain").props('aria-label="moves so far"')
        ui.keyboard(self._key)
        ui.timer(_LOOK_SECONDS, self._look_for_a_newer_model)
        ui.timer(0.05, self._flow.go_on, once=True)
        ui.context.client.on_delete(self._leave)
        self._show()

    def _buttons(self) -> None:
        with ui.row().classes("row"):
            ui.button("New game", on_click=self._new_game).props("no-caps dense unelevated")
            ui.button("Take back", on_click=self._take_back).props("no-caps dense outline")
            self._hint = ui.button("Hint", on_click=self._give_hint).props("no-caps dense outline")
            ui.switch("show what it thinks", on_change=self._show_thoughts)

    def _choices(self) -> None:
        with ui.row().classes("row"):
            self._side = ui.select(_SIDE_NAMES, value=_name_of(self._session.human), label="side")
            self._side.props("dense outlined").on_value_change(self._new_game)
            strengths = {strength: f"{strength} simulations" for strength in STRENGTHS}
            strength = ui.select(strengths, value=self._session.simulations, label="strength").props("dense outlined")
            strength.on_value_change(lambda event: self._flow.set_simulations(int(event.value)))
            names = self._agents.models.names()
            self._picker = ui.select(names, value=self._model, label="model", with_input=len(names) > 20)
            self._picker.props("dense outlined").on_value_change(self._set_model)
        self._name = ui.label().classes("plain").props("data-name=agent")

    # --- what a person does ----------------------------------------------------------------------------------

    async def _click(self, cell: Cell) -> None:
        board = self._session.board()
        if board is None or self._is_refused():
            return
        match read_click(board, self._chosen, cell):
            case Plays(actions) if len(actions) == 1:
                await self._play(actions[0])
            case Plays(actions):
                self._offer(actions)
            case Goes(chosen):
                self._chosen = chosen
                self._show()
            case Refused(reason):
                self._refuse(reason)

    def _is_refused(self) -> bool:
        """Whether nothing may be played now, which is said."""
        self._refusal.text = ""
        if self._session.is_over:
            self._refuse("the game is over: New game starts another")
        elif not self._flow.is_persons_turn:
            self._refuse("it is the agent's turn")
        return bool(self._refusal.text)

    def _refuse(self, reason: str) -> None:
        self._refusal.text = printable(reason[:1].upper() + reason[1:] + ".")

    async def _play_typed(self) -> None:
        name = str(self._typed.value or "").strip()[:_MOST_NAME_TEXT]
        self._typed.value = ""
        if not name or self._is_refused():
            return
        try:
            action = self._session.find(name)
        except GameError as error:
            self._refuse(str(error))
        else:
            await self._play(action)

    async def _play(self, action: int) -> None:
        if not self._is_refused() and action in self._session.legal:
            self._chosen = ()
            await self._flow.play(action)

    def _offer(self, actions: Sequence[int]) -> None:
        """Several moves go through the same cells: let the person say which."""
        with ui.dialog(value=True) as dialog, ui.card():
            ui.label("Which move?")
            for action in actions:

                async def play(action: int = action) -> None:
                    dialog.close()
                    await self._play(action)

                ui.button(printable(self._session.rules.action_name(action)), on_click=play).props("no-caps")

    async def _new_game(self) -> None:
        self._chosen, self._refusal.text = (), ""
        await self._flow.begin(SIDES[str(self._side.value)])

    async def _take_back(self) -> None:
        self._chosen, self._refusal.text = (), ""
        if self._flow.is_thinking:
            self._refuse("it is the agent's turn")
        elif not await self._flow.take_back():
            self._refuse("there is nothing to take back")

    async def _give_hint(self) -> None:
        if self._is_refused():
            return
        if (opinion := await self._flow.ask()) is not None:
            best = opinion.best
            self._status.text = printable(f"It would play {best.name} (value {best.value:+.2f} for you).")
        await self._flow.go_on()  # somebody may have begun a new game meanwhile

    async def _show_thoughts(self, event: events.ValueChangeEventArguments[bool | None]) -> None:
        self._flow.shows_thoughts = bool(event.value)
        await self._flow.go_on()

    async def _set_model(self) -> None:
        self._model = str(self._picker.value)
        await self._seat(self._model)

    async def _key(self, event: events.KeyEventArguments) -> None:
        if not event.action.keydown or event.modifiers.ctrl or event.modifiers.alt or event.modifiers.meta:
            return
        board, key = self._session.board(), event.key.name
        if key in _STEPS and board is not None:
            self._cursor = moved_cursor(board, self._cursor, _STEPS[key])
            self._show()
        elif key in ("Enter", " ") and self._cursor is not None:
            await self._click(self._cursor)
        elif key == "Escape":
            self._chosen = ()
            self._show()
        elif key == "Backspace":
            await self._take_back()
        elif key.isdecimal() and (action := self._session.rules.find_action(key)) in self._session.legal:
            assert action is not None
            await self._play(action)

    # --- the agent -------------------------------------------------------------------------------------------

    async def _look_for_a_newer_model(self) -> None:
        if self._model == NEWEST and not self._flow.is_thinking:
            await self._seat(NEWEST)
        names = self._agents.models.names()
        if names != self._picker.options and self._model in names:
            self._picker.set_options(names)

    async def _seat(self, name: str) -> None:
        """Take a model as the opponent from now on, where it is another one."""
        try:
            agent = await _think(lambda: self._agents.get(name))
        except SelfplayError as error:
            self._refuse(str(error))
            return
        if agent is self._session.agent:
            return
        if agent.rules.info.rules_hash != self._session.rules.info.rules_hash:
            self._refuse(f"{agent.name} plays another game; open the page again")
            return
        ui.notify(f"The agent is now {_round_of(agent)}.", position="top")
        await self._flow.seat(agent)

    def _leave(self) -> None:
        self._flow.is_left = True

    # --- what is seen ----------------------------------------------------------------------------------------

    def _show(self, before: Opinion | None = None) -> None:
        """All there is to see; `before` is what the agent thought of the move that it just played."""
        session, board, opinion = self._session, self._session.board(), self._flow.opinion
        self._status.text = _status(session, is_thinking=self._flow.is_thinking)
        self._name.text = printable(session.agent.name)
        self._hint.set_enabled(self._flow.is_persons_turn)
        if self._flow.failure is not None:
            self._refuse(str(self._flow.failure))
        names = [session.rules.action_name(move) for move in session.moves]
        self._list.text = printable(" ".join(names))
        label = printable(f"board after {len(names)} moves: {' '.join(names) or 'the start'}")
        marks = marks_of(session, board, opinion, chosen=self._chosen)
        marks = replace(marks, cursor=self._cursor, names=self._columns)
        self._board.show(board, marks, drawing=session.drawing(), label=label)
        self._show_unplaced(board)
        if (said := opinion or before) is not None:
            self._outlook.show(said, human=session.human)
        self._show_address(names)

    def _show_address(self, names: Sequence[str]) -> None:
        """The position as an address, where it is another one."""
        session = self._session
        query = {"moves": ",".join(names), "side": _name_of(session.human), "model": self._model}
        address = f"{self._path}?{urlencode({**query, 'simulations': session.simulations}, safe=',')}"
        if address != self._address:
            self._address = address
            ui.navigate.history.replace(address)

    def _show_unplaced(self, board: Board | None) -> None:
        """Buttons for moves that no cell plays: passing, or all where there is no board."""
        session = self._session
        actions = session.legal if board is None else [a for a in session.legal if not board.cells[a]]
        self._unplaced.clear()
        with self._unplaced:
            for action in actions if session.to_move == session.human else ():
                name = printable(session.rules.action_name(action))
                ui.button(name, on_click=lambda action=action: self._play(action)).props("no-caps dense outline")


def _status(session: Session, *, is_thinking: bool) -> str:
    if session.is_over:
        return session.verdict
    if session.to_move == session.human:
        return "Your move." if not is_thinking else "Your move. It looks at the position …"
    return "The agent thinks …"


def _name_of(human: int | None) -> str:
    return next(name for name, player in SIDES.items() if player == human)


def _round_of(agent: Agent) -> str:
    return f"the model of round {agent.card.round}" if agent.card else agent.name
