"""What every page has: a line of links at the top, light and dark, and a way to show a board."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from nicegui import events, ui

from selfplay.games.board import Board, Cell
from selfplay.web.picture import Marks, board_svg

Link = tuple[str, str]  # text, path
_TELL_CELL = """(event) => {
    const cell = event.target.closest('[data-cell]');
    if (cell) emit(cell.dataset.cell);
}"""
_KEEP_THEME = "localStorage.setItem('selfplay-dark', '{}')"
_ASK_THEME = "localStorage.getItem('selfplay-dark')"


@contextmanager
def frame(title: str, links: Sequence[Link], *, here: str) -> Iterator[None]:
    """The page around what is built inside.

    Args:
        title: of the page.
        links: to the other pages.
        here: path of this one.
    """
    ui.page_title(f"{title} · selfplay")
    with ui.element("nav").classes("bar"):
        ui.label(title).classes("text-h6")
        for text, path in links:
            ui.link(text, path).classes("here" if path == here else "")
        ui.element("span").classes("grow")
        _theme_button()
    yield


def _theme_button() -> None:
    """Light, dark, or as the system says; the browser remembers."""
    dark = ui.dark_mode(None)

    def turn() -> None:
        dark.value = not dark.value
        ui.run_javascript(_KEEP_THEME.format("1" if dark.value else "0"))

    async def recall() -> None:
        try:
            kept = await ui.run_javascript(_ASK_THEME, timeout=5.0)
        except TimeoutError:  # the browser sleeps, or has gone: as the system says, then
            return
        if kept in ("0", "1"):
            dark.value = kept == "1"

    ui.button(icon="contrast", on_click=turn).props('flat dense aria-label="light or dark"')
    ui.timer(0.0, recall, once=True)


class BoardView:
    """A board on a page.

    Args:
        on_click: gets the cell that was clicked.
    """

    def __init__(self, on_click: Callable[[Cell], object] | None = None) -> None:
        self._picture = ui.html("", sanitize=False).style("width: 100%")
        self._text = ui.label().classes("drawing")
        if on_click is not None:
            self._picture.on("click", lambda event: on_click(_cell_of(event)), js_handler=_TELL_CELL)

    def show(self, board: Board | None, marks: Marks, *, drawing: str, label: str) -> None:
        """Show a position: as a board, or as `drawing` where the game declares none."""
        self._picture.set_visibility(board is not None)
        self._text.set_visibility(board is None)
        if board is None:
            self._text.text = drawing
        else:
            self._picture.set_content(board_svg(board, marks, label=label))


def _cell_of(event: events.GenericEventArguments) -> Cell:
    """The cell that a browser names; nothing else than two small numbers gets through."""
    row, _, column = str(event.args).partition(",")
    if not (row.isdecimal() and column.isdecimal() and len(row) <= 2 and len(column) <= 2):
        return -1, -1
    return int(row), int(column)


def show_error(text: str) -> None:
    """A page, or a part of it, that cannot be shown, with the reason."""
    ui.label(text).classes("warning plain").props("role=alert")
