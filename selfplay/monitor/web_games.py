"""The game viewer in a browser: pick a recorded game, step through it with what the search saw, jump to blunders."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from nicegui import events, ui

from selfplay.errors import SelfplayError, printable
from selfplay.monitor.games import BLUNDER, Game, GameShelf, Opened, Ply
from selfplay.monitor.plots import BLUE, RED
from selfplay.samples.batch_file import RESULTS
from selfplay.web.frame import BoardView, Link, frame, show_error
from selfplay.web.picture import Marks

PATH = "/games"
_GREY = "#8a8a8a"
_TOP_MOVES = 6


def add_viewer(shelf: GameShelf, links: Sequence[Link]) -> None:
    """Put the viewer at `/games`, a game at `/games?round=7&game=120&ply=12`."""

    @ui.page(PATH)
    async def games(round: int | None = None, game: int | None = None, ply: int = 0) -> None:
        with frame("Games", links, here=PATH):
            try:
                opened = await asyncio.to_thread(shelf.open, round, game)
            except SelfplayError as error:
                show_error(str(error))
                return
            _pickers(opened)
            _Viewer(opened.game, ply)


def _pickers(opened: Opened) -> None:
    """What leads to other games."""
    wanted, shown = opened.game.round, opened.game.number
    names = {record.number: f"{record.number}: {RESULTS[record.outcome]}" for record in opened.games}
    with ui.row().classes("row"):
        _picker("round", wanted, opened.rounds, lambda chosen: _open(chosen))
        _picker("games from", opened.first, opened.files, lambda chosen: _open(wanted, chosen))
        _picker("game", shown, names, lambda chosen: _open(wanted, chosen))
        ui.button("previous", on_click=lambda: _open(wanted, max(0, shown - 1))).props("flat dense")
        ui.button("next", on_click=lambda: _open(wanted, shown + 1)).props("flat dense")


def _picker(name: str, value: int, choices: Sequence[int] | dict[int, str], then: Any) -> None:
    known = choices if isinstance(choices, dict) else {choice: str(choice) for choice in choices}
    picker = ui.select(known, value=value if value in known else None, label=name, with_input=len(known) > 20)
    picker.on_value_change(lambda event: then(event.value)).props("dense outlined").style("min-width: 8rem")


def _open(round_number: int, number: int | None = None) -> None:
    ui.navigate.to(f"{PATH}?round={round_number}" + ("" if number is None else f"&game={number}"))


class _Viewer:
    """One game on the page."""

    def __init__(self, game: Game, ply: int) -> None:
        self._game = game
        self._columns = game.column_names
        self._ply = min(max(ply, 0), len(game.plies) - 1)
        with ui.element("div").classes("split"):
            with ui.element("div"):
                self._board = BoardView()
            with ui.element("div").classes("side"):
                ui.label(printable(f"Round {game.round}, game {game.number} by {game.worker}: {RESULTS[game.outcome]}"))
                self._status = ui.label().classes("status").props("role=status")
                self._buttons()
                self._moves()
                self._curve = ui.echart(_curve(game)).style("height: 13rem; width: 100%")
                self._curve.on_point_click(lambda event: self._go(int(event.data_index)))
                self._visits = ui.label().classes("plain")
                ui.label("Keys: left and right, Home and End; b goes to the next blunder.").classes("keys")
        ui.keyboard(self._key)
        self._go(self._ply)

    def _buttons(self) -> None:
        last = len(self._game.plies) - 1
        with ui.row().classes("row"):
            for icon, label, step in (
                ("first_page", "first position", -last),
                ("chevron_left", "one back", -1),
                ("chevron_right", "one on", 1),
                ("last_page", "last position", last),
            ):
                button = ui.button(icon=icon, on_click=lambda step=step: self._go(self._ply + step))
                button.props(f'flat dense aria-label="{label}"')
            blunders = len(self._game.blunders)
            words = "no blunders" if not blunders else f"next blunder ({blunders})"
            ui.button(words, on_click=self._next_blunder).props("flat dense no-caps").set_enabled(blunders > 0)
            for form, text in self._game.records.items():
                name = f"round_{self._game.round}_game_{self._game.number}.{'txt' if form == 'moves' else form}"
                button = ui.button(form, on_click=lambda text=text, name=name: ui.download.content(text, name))
                button.props(f'flat dense icon=download aria-label="download as {form}"')

    def _moves(self) -> None:
        self._move_buttons: list[ui.element] = []
        with ui.element("div").classes("moves").props('role=list aria-label="moves"'):
            for number, ply in enumerate(self._game.plies[:-1]):
                with ui.element("button").classes("blunder" if ply.is_blunder else "") as button:
                    ui.label(f"{number + 1}. {printable(ply.move)}" + ("?" if ply.is_blunder else ""))
                button.on("click", lambda _, number=number: self._go(number))
                self._move_buttons.append(button)

    def _key(self, event: events.KeyEventArguments) -> None:
        if not event.action.keydown or event.modifiers.ctrl or event.modifiers.alt or event.modifiers.meta:
            return
        steps = {"ArrowLeft": -1, "ArrowRight": 1, "Home": -len(self._game.plies), "End": len(self._game.plies)}
        if event.key.name in steps:
            self._go(self._ply + steps[event.key.name])
        elif event.key.name == "b":
            self._next_blunder()

    def _next_blunder(self) -> None:
        blunders = self._game.blunders
        if blunders:
            self._go(next((ply for ply in blunders if ply > self._ply), blunders[0]))

    def _go(self, ply: int) -> None:
        self._ply = min(max(ply, 0), len(self._game.plies) - 1)
        shown = self._game.plies[self._ply]
        before = self._game.plies[self._ply - 1] if self._ply else None
        last = before.board.cells[before.action] if before and before.board and before.action is not None else ()
        arrows = shown.board.arrows(shown.action) if shown.board and shown.action is not None else []
        marks = Marks(last=last[-1:], heat=shown.heat, arrows=arrows, names=self._columns)
        label = f"position {self._ply + 1} of {len(self._game.plies)}"
        self._board.show(shown.board, marks, drawing=shown.drawing, label=label)
        self._status.text = printable(_in_words(self._game, shown, self._ply))
        self._visits.text = printable(_visits(shown))
        for number, button in enumerate(self._move_buttons):
            button.classes(add="here" if number == self._ply else "", remove="" if number == self._ply else "here")
        ui.navigate.history.replace(f"{PATH}?round={self._game.round}&game={self._game.number}&ply={self._ply}")


def _in_words(game: Game, ply: Ply, number: int) -> str:
    if ply.action is None:
        return f"The end after {number} plies: {RESULTS[game.outcome]}."
    mover = "first" if ply.to_move == 0 else "second"
    words = f"Ply {number + 1}, {mover} player: value {ply.value:+.2f} for the first; plays {ply.move}"
    return f"{words}. A blunder: it throws away {ply.loss:.2f}." if ply.is_blunder else words


def _visits(ply: Ply) -> str:
    """The most visited moves in words: some have no cell, and a heat map is no number."""
    best = sorted(ply.visits.items(), key=lambda pair: -pair[1])[:_TOP_MOVES]
    return "visits: " + ", ".join(f"{ply.names[action]} {share:.0%}" for action, share in best) if best else ""


def _curve(game: Game) -> dict[str, Any]:
    """The value over the game, blunders as red points."""
    points = [
        {
            "value": [number, round(ply.value, 3)],
            "itemStyle": {"color": RED if ply.is_blunder else BLUE},
            "symbolSize": 10 if ply.is_blunder else 5,
        }
        for number, ply in enumerate(game.plies)
    ]
    faint = {"lineStyle": {"color": _GREY, "opacity": 0.25}}
    return {
        "animation": False,
        "aria": {"enabled": True},
        "title": {
            "text": f"Value for the first player (red: a move lost {BLUNDER} or more)",
            "textStyle": {"fontSize": 12, "color": _GREY},
        },
        "tooltip": {"trigger": "axis", "confine": True},
        "grid": {"left": 8, "right": 12, "top": 34, "bottom": 8, "containLabel": True},
        "xAxis": {
            "type": "value",
            "minInterval": 1,
            "max": "dataMax",
            "axisLabel": {"color": _GREY},
            "splitLine": faint,
        },
        "yAxis": {"type": "value", "min": -1, "max": 1, "axisLabel": {"color": _GREY}, "splitLine": faint},
        "series": [{"type": "line", "data": points, "lineStyle": {"color": BLUE, "width": 2}, "showSymbol": True}],
    }
