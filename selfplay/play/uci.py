"""An agent behind the Universal Chess Interface, so that programs for chess can play against it.

Knows the protocol, not where commands come from: `UciEngine.answer` takes a line and gives those to print. A search is
finished before the next command is read; `go nodes N` makes N simulations, `go movetime MS` and clocks are turned into
simulations by the pace of the searches before.
Huber and Meyer-Kahlen 2006, "UCI protocol".
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from selfplay.errors import GameError, UsageError
from selfplay.games.chess import state_from_fen
from selfplay.games.game import ONGOING, States
from selfplay.play.agent import Agent

_CLOCK_SHARE = 30  # of the time left, one part is spent on a move
_FEWEST, _MOST = 8, 100_000  # simulations of a move that is given time
_LINE_SHOWN = 10  # moves
_CENTIPAWNS, _STEEPNESS = 111.714640912, 1.5620688421  # of a value, as in Leela Chess Zero


class UciEngine:
    """One game in progress.

    Args:
        agent: of chess; others raise `UsageError`.
        simulations: per move where a search is given neither nodes nor time.
    """

    def __init__(self, agent: Agent, *, simulations: int) -> None:
        if agent.rules.info.spec != "chess":
            raise UsageError(f"UCI is for chess; {agent.name} plays {agent.rules.info.name}")
        self._agent = agent
        self._simulations = simulations
        self._states: States = agent.rules.start(1)
        self._is_ongoing = True
        self._per_second = 1_000.0  # simulations, at first a guess
        self.is_over = False  # the other side has said goodbye

    def answer(self, line: str) -> Iterator[str]:
        """The lines to print in answer to a command; commands that UCI does not know are passed over, as it asks."""
        words = line.split()
        match words[:1]:
            case ["uci"]:
                yield "id name selfplay"
                yield "id author the selfplay authors"
                yield f"option name Simulations type spin default {self._simulations} min 1 max {_MOST}"
                yield "uciok"
            case ["isready"]:
                yield "readyok"
            case ["ucinewgame"]:
                self._states, self._is_ongoing = self._agent.rules.start(1), True
            case ["setoption"]:
                self._set(words)
            case ["position"]:
                try:
                    self._place(words[1:])
                except GameError as error:
                    yield f"info string {error}"
            case ["go"]:
                yield from self._search(_figures(words))
            case ["quit"]:
                self.is_over = True

    def _set(self, words: list[str]) -> None:
        text = words[-1]
        if "Simulations" in words and text.isdecimal() and 1 <= int(text) <= _MOST:
            self._simulations = int(text)

    def _place(self, words: list[str]) -> None:
        """`startpos` or `fen …`, then `moves …`. Raises `GameError`; the position before then stays."""
        rules = self._agent.rules
        end = words.index("moves") if "moves" in words else len(words)
        states = state_from_fen(" ".join(words[1:end])) if words[:1] == ["fen"] else rules.start(1)
        known = rules.describe(states)
        for name in words[end + 1 :]:
            action = rules.find_action(name)
            if action is None or not known.legal[0][action]:
                raise GameError(f"{name} is not legal")
            known = rules.advance(states, np.array([action], np.int32))
        self._states, self._is_ongoing = states, bool(known.outcomes[0] == ONGOING and known.legal[0].any())

    def _search(self, asked: dict[str, int]) -> Iterator[str]:
        if not self._is_ongoing:
            yield "bestmove 0000"
            return
        rules, started = self._agent.rules, time.perf_counter()
        best, facts, lines = self._agent.look_at(self._states, simulations=self._wanted(asked))
        seconds, nodes = max(time.perf_counter() - started, 1e-6), int(facts.visits.sum())
        self._per_second = max(1.0, nodes / seconds)
        line = " ".join(map(rules.action_name, lines[best][:_LINE_SHOWN]))
        score = round(_CENTIPAWNS * float(np.tan(_STEEPNESS * np.clip(facts.value, -0.999, 0.999))))
        depth = max(map(len, lines.values()))
        figures = f"depth {depth} nodes {nodes} time {round(1000 * seconds)} nps {nodes / seconds:.0f} score cp {score}"
        yield f"info {figures} pv {line}"
        yield f"bestmove {rules.action_name(best)}"

    def _wanted(self, asked: dict[str, int]) -> int:
        """Simulations for a search."""
        if "nodes" in asked:
            return max(1, min(asked["nodes"], _MOST))
        player = "wtime" if int(self._agent.rules.describe(self._states).to_move[0]) == 0 else "btime"
        if "movetime" not in asked and player not in asked:
            return self._simulations
        milliseconds = asked.get("movetime", asked.get(player, 0) / _CLOCK_SHARE)
        return int(np.clip(self._per_second * milliseconds / 1000, _FEWEST, _MOST))


def _figures(words: list[str]) -> dict[str, int]:
    """`nodes 800 wtime 60000` as numbers by name."""
    return {name: int(text) for name, text in pairwise(words) if text.lstrip("-").isdecimal()}
