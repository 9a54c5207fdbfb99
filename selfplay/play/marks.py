"""What is marked on the board of a game that is being played. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from selfplay.games.board import Board, Cell
from selfplay.play.agent import Opinion
from selfplay.play.clicks import targets
from selfplay.play.session import Session
from selfplay.web.picture import Marks


def marks_of(session: Session, board: Board | None, opinion: Opinion | None, *, chosen: Sequence[Cell]) -> Marks:
    """The last move; the clicks so far, with where they may go on; the opinion: visits as heat, its move as an arrow.

    Args:
        session: the game.
        board: its position, None where the game has no board.
        opinion: on that position.
        chosen: cells clicked so far.
    """
    if board is None:
        return Marks()
    heat = board.heat({option.action: option.share for option in opinion.options}) if opinion else {}
    arrows = board.arrows(opinion.best.action) if opinion else []
    marked = (*chosen, *sorted(targets(board, chosen))) if chosen else ()
    return Marks(last=session.last_cells()[-1:], chosen=marked, heat=heat, arrows=arrows)
