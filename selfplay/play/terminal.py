"""A game against an agent, in a terminal."""

from __future__ import annotations

from collections.abc import Callable

from selfplay.errors import GameError
from selfplay.play.agent import Opinion
from selfplay.play.session import Session

HELP = "type a move; hint = what the agent would play, undo = take your last move back, quit = end"
_BAR_CELLS = 20
_OPTIONS_SHOWN = 4

Ask = Callable[[str, list[str]], str]  # a prompt and the moves that may be played -> what the person entered


def play_in_terminal(session: Session, *, ask: Ask, say: Callable[[str], None]) -> None:
    """Play one game to its end, or until the person quits."""
    if session.human is not None:
        say(f"You are player {session.human + 1}. {HELP[0].upper()}{HELP[1:]}.")
    while not session.is_over:
        say(f"\n{session.drawing()}\n")
        if session.to_move == session.human:
            if not _human_turn(session, ask, say):
                return
        else:
            opinion = session.agent_move()
            say(f"the agent plays {opinion.best.name}\n{in_a_line(opinion)}")
    say(f"\n{session.drawing()}\n")
    say(session.verdict)


def in_a_line(opinion: Opinion) -> str:
    """An opinion: value as a bar and number, shares of visits, main line."""
    tops = ", ".join(f"{option.name} {option.share:.0%}" for option in opinion.options[:_OPTIONS_SHOWN])
    line = " ".join(opinion.best.line[:8])
    sure = " proven" if opinion.is_proven else ""
    return f"value for it [{bar(opinion.value)}] {opinion.value:+.2f}{sure} · visits {tops} · line {line}"


def bar(value: float) -> str:
    """A value from -1 to 1 as a bar."""
    filled = round((value + 1) / 2 * _BAR_CELLS)
    return "#" * filled + "." * (_BAR_CELLS - filled)


def _human_turn(session: Session, ask: Ask, say: Callable[[str], None]) -> bool:
    """One turn of the person; False = quit."""
    while True:
        names = session.legal_names()
        answer = ask(f"your move ({', '.join(names)}): ", names).strip().lower()
        if answer in ("quit", "q", "exit"):
            return False
        if answer in ("help", "?", ""):
            say(HELP)
        elif answer == "undo":
            say("nothing to take back" if not session.take_back() else f"\n{session.drawing()}\n")
        elif answer == "hint":
            opinion = session.think()
            say(f"it would play {opinion.best.name}\n{in_a_line(opinion)}")
        else:
            try:
                session.play(answer)
            except GameError as error:
                say(str(error))
            else:
                return True
