"""An agent behind the Go Text Protocol, version 2, so that programs for Go, Gomoku and Hex can play against it.

Knows the protocol and what positions are, not where commands come from: `GtpEngine.answer` takes a line and gives the
response. Vertices are GTP's: a letter for the column (there is no I in Go and Gomoku) and the row, counted from the
bottom; in Hex, as programs for it have it, all letters, and rows counted from the top. Farnebäck 2002, "Specification
of the Go Text Protocol, version 2, draft 2".
"""

from __future__ import annotations

import re
from collections.abc import Callable

from selfplay import __version__
from selfplay.errors import GameError, UsageError
from selfplay.games.coordinates import LETTERS
from selfplay.games.game import ONGOING, WIN
from selfplay.games.records import komi_of
from selfplay.play.agent import Agent

GAMES = ("go", "gomoku", "hex")
_WITHOUT_I = LETTERS.replace("i", "")
_COLOURS = {"b": 0, "black": 0, "w": 1, "white": 1}


class GtpEngine:
    """One game in progress.

    Args:
        agent: of a game among GAMES; others raise `UsageError`.
        simulations: per move.
    """

    def __init__(self, agent: Agent, *, simulations: int) -> None:
        self._name = agent.rules.info.spec.partition(":")[0]
        if self._name not in GAMES:
            raise UsageError(f"GTP is for {', '.join(GAMES)}; {agent.name} plays {agent.rules.info.name}")
        self._agent = agent
        self._simulations = simulations
        self._size = agent.rules.info.board_shape[0]
        self._letters = LETTERS if self._name == "hex" else _WITHOUT_I
        self._moves: list[int] = []
        self.is_over = False  # the other side has said goodbye
        self._commands: dict[str, Callable[[list[str]], str]] = {
            "protocol_version": lambda words: "2",
            "name": lambda words: "selfplay",
            "version": lambda words: __version__,
            "known_command": lambda words: str(words[:1] != [] and words[0] in self._commands).lower(),
            "list_commands": lambda words: "\n".join(self._commands),
            "quit": self._quit,
            "boardsize": self._boardsize,
            "clear_board": self._clear_board,
            "komi": self._komi,
            "play": self._play,
            "genmove": self._genmove,
            "undo": self._undo,
            "showboard": lambda words: "\n" + self._agent.rules.draw(self._agent.rules.replay(self._moves)[0][-1]),
            "final_score": self._final_score,
            "time_settings": lambda words: "",
            "time_left": lambda words: "",
        }

    def answer(self, line: str) -> str:
        """The response to a command, with the empty line behind it; "" for a line without one."""
        words = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", line.partition("#")[0]).replace("\t", " ").split()
        number = words.pop(0) if words and words[0].isdecimal() else ""
        if not words:
            return ""
        try:
            command = self._commands.get(words[0])
            if command is None:
                raise GameError("unknown command")
            return f"={number} {command(words[1:])}".rstrip() + "\n\n"
        except GameError as error:
            return f"?{number} {error}\n\n"

    def _quit(self, words: list[str]) -> str:
        self.is_over = True
        return ""

    def _boardsize(self, words: list[str]) -> str:
        if not words or set(words) != {str(self._size)}:
            raise GameError("unacceptable size")
        return self._clear_board(words)

    def _clear_board(self, words: list[str]) -> str:
        self._moves = []
        return ""

    def _komi(self, words: list[str]) -> str:
        own = komi_of(self._agent.rules)
        if own is not None and (not words or not _is_number(words[0]) or float(words[0]) != own):
            raise GameError(f"this model was trained with komi {own:g}")
        return ""

    def _play(self, words: list[str]) -> str:
        player, action = self._player(words), self._action(words)
        self._wait_for(player)
        known = self._agent.rules.replay(self._moves)[1]
        if not known.legal[-1][action]:
            raise GameError("illegal move")
        self._moves.append(action)
        return ""

    def _genmove(self, words: list[str]) -> str:
        self._wait_for(self._player(words))
        if self._agent.rules.replay(self._moves)[1].outcomes[-1] != ONGOING:
            return "resign" if self._name != "go" else "pass"
        best = self._agent.search(self._moves, simulations=self._simulations).best.action
        self._moves.append(best)
        return self._vertex(best)

    def _undo(self, words: list[str]) -> str:
        if not self._moves:
            raise GameError("cannot undo")
        self._moves.pop()
        return ""

    def _final_score(self, words: list[str]) -> str:
        known = self._agent.rules.replay(self._moves)[1]
        if known.outcomes[-1] == ONGOING:
            raise GameError("cannot score")
        last = int(known.outcomes[-1]) if known.to_move[-2] == 0 else -int(known.outcomes[-1])
        return {WIN: "B+", 0: "0"}.get(last, "W+")

    def _wait_for(self, player: int) -> None:
        """Let the other player pass where it is not this one's turn; where nobody can pass, that is an error."""
        known = self._agent.rules.replay(self._moves)[1]
        if known.outcomes[-1] != ONGOING or known.to_move[-1] == player:
            return
        if self._name != "go":
            raise GameError("illegal move: it is the other player's turn")
        self._moves.append(self._size * self._size)

    def _player(self, words: list[str]) -> int:
        colour = words[0].lower() if words else ""
        if colour not in _COLOURS:
            raise GameError("syntax error: expected a colour, b or w")
        return _COLOURS[colour]

    def _action(self, words: list[str]) -> int:
        vertex, cells = words[1].lower() if len(words) > 1 else "", self._size * self._size
        if vertex in ("pass", "swap", "swap-pieces"):
            if self._agent.rules.info.num_actions <= cells or (vertex == "pass") != (self._name == "go"):
                raise GameError("illegal move")
            return cells
        column, row = self._letters.find(vertex[:1] or "?"), vertex[1:]
        if not (0 <= column < self._size and row.isdecimal() and 1 <= int(row) <= self._size):
            raise GameError("invalid vertex")
        from_top = int(row) - 1 if self._name == "hex" else self._size - int(row)
        return from_top * self._size + column

    def _vertex(self, action: int) -> str:
        if action == self._size * self._size:
            return "pass" if self._name == "go" else "swap-pieces"
        row, column = divmod(action, self._size)
        return f"{self._letters[column].upper()}{row + 1 if self._name == 'hex' else self._size - row}"


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", text) is not None
