"""A game against an agent, in a terminal."""

from __future__ import annotations

from collections.abc import Callable

from selfplay.errors import GameError
from selfplay.games.game import Rules
from selfplay.play.session import Session
from selfplay.search.search import RootFacts

HELP = "type a move; hint = what the agent would play, undo = take your last move back, quit = end"
_BAR_CELLS = 20


def play_in_terminal(session: Session, rules: Rules, *, ask: Callable[[str], str], say: Callable[[str], None]) -> None:
    """Play one game to its end, or until the person quits. `ask` shows a prompt and returns a line."""
    say(f"You are player {session.human + 1}. {HELP[0].upper()}{HELP[1:]}.")
    while not session.is_over:
        say(f"\n{session.drawing()}\n")
        if session.to_move == session.human:
            if not _human_turn(session, rules, ask, say):
                return
        else:
            action, facts = session.agent_move()
            say(f"the agent plays {rules.action_name(action)}\n{opinion(facts, rules, sign=1)}")
    say(f"\n{session.drawing()}\n")
    say({1: "You won.", 0: "A draw.", -1: "The agent won."}[session.result])


def opinion(facts: RootFacts, rules: Rules, *, sign: int) -> str:
    """What a search found: value as a bar and number, shares of visits, main line. `sign` -1 turns the view."""
    value = sign * facts.value
    filled = round((value + 1) / 2 * _BAR_CELLS)
    shares = facts.visits / max(1, int(facts.visits.sum()))
    best = sorted(range(len(shares)), key=lambda action: -shares[action])[:4]
    tops = ", ".join(f"{rules.action_name(action)} {shares[action]:.0%}" for action in best if shares[action] > 0)
    line = " ".join(rules.action_name(action) for action in facts.line[:8])
    return f"value for it [{'#' * filled}{'.' * (_BAR_CELLS - filled)}] {value:+.2f} · visits {tops} · line {line}"


def _human_turn(session: Session, rules: Rules, ask: Callable[[str], str], say: Callable[[str], None]) -> bool:
    """One turn of the person; False = quit."""
    while True:
        answer = ask(f"your move ({', '.join(session.legal_names())}): ").strip().lower()
        if answer in ("quit", "q", "exit"):
            return False
        if answer in ("help", "?", ""):
            say(HELP)
        elif answer == "undo":
            say("nothing to take back" if not session.take_back() else f"\n{session.drawing()}\n")
        elif answer == "hint":
            facts = session.think()
            say(f"it would play {rules.action_name(int(facts.visits.argmax()))}")
        else:
            try:
                session.play(answer)
            except GameError as error:
                say(str(error))
            else:
                return True
