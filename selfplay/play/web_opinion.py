"""What the agent thinks of a position, on a page: chances as a bar, value, moves, and the line it expects."""

from __future__ import annotations

from nicegui import ui

from selfplay.errors import printable
from selfplay.play.agent import Opinion

_TOPS, _LINE = 5, 10
_LEAST_WRITTEN = 0.12  # share of the bar that has room for words


class OpinionView:
    """The elements; empty until the first opinion."""

    def __init__(self) -> None:
        with ui.element("div").classes("outlook").props('role=img data-name="outlook"') as self._bar:
            self._shares = {name: ui.element("div").classes(name) for name in ("won", "drawn", "lost")}
        self._line = ui.label().classes("plain").props("data-name=opinion")

    def show(self, opinion: Opinion, *, human: int | None) -> None:
        """Show an opinion from the person's side, the first player's where the agent plays both."""
        is_mine = opinion.to_move == (human or 0)
        who = "the first player" if human is None else "you"
        if opinion.outcome is not None:
            win, draw, loss = opinion.outcome if is_mine else reversed(opinion.outcome)
            self._show_chances(who, win, draw, loss)
        tops = ", ".join(f"{option.name} {option.share:.0%}" for option in opinion.options[:_TOPS])
        value = opinion.value if is_mine else -opinion.value
        line = " ".join(opinion.best.line[:_LINE])
        sure = " proven" if opinion.is_proven else ""
        self._line.text = printable(f"value for {who} {value:+.2f}{sure} · visits {tops}\nexpects {line}")

    def _show_chances(self, who: str, win: float, draw: float, loss: float) -> None:
        words = f"chances for {who}: win {win:.0%}, draw {draw:.0%}, loss {loss:.0%}"
        self._bar.props(f'aria-label="{words}" title="{words}, by the network alone"')
        for (name, element), share in zip(self._shares.items(), (win, draw, loss), strict=True):
            element.style(f"flex: {share:.4f} 1 0%")
            element.clear()
            if share >= _LEAST_WRITTEN:
                with element:
                    ui.label(f"{name} {share:.0%}")
