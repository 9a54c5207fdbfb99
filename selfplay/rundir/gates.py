"""Which round's model plays: the newest one, or, in a run with a gate, the newest that won against the one before; in a
run with a lag, as it stood a round earlier.

As in AlphaGo Zero (Silver et al. 2017, Methods: Evaluator), which AlphaZero left out. The verdict on each round lies
in `data/gates/round_0007.json`; what plays a round is a function of these files.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from selfplay.errors import RunError
from selfplay.files import ensure_directory, read_file, write_atomically
from selfplay.rundir.facts import ModelsOnDisk
from selfplay.rundir.layout import RunLayout
from selfplay.settings import SelfPlaySettings

FORMAT, VERSION = "selfplay-gate", 1
MOST_BYTES = 1 << 16


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on a round's model."""

    format: str = FORMAT
    version: int = VERSION
    round: Annotated[int, Meta(ge=1)]
    champion: Annotated[int, Meta(ge=0)]  # the round that it played against
    games: Annotated[int, Meta(ge=2)]
    score: Annotated[float, Meta(ge=0, le=1)]  # of the round, draws count half
    needed: Annotated[float, Meta(ge=0, le=1)]

    @property
    def is_passed(self) -> bool:
        """Whether the round plays from now on."""
        return self.score >= self.needed


class PlayingModels:
    """The model that plays each round of a run.

    Args:
        layout: the run's.
        models: its models.
        settings: whether rounds have to win to play, and how old the model is that plays.
    """

    def __init__(self, layout: RunLayout, models: ModelsOnDisk, settings: SelfPlaySettings) -> None:
        self._layout, self._models = layout, models
        self._is_gated, self._lag = settings.gate > 0, settings.lag
        self._champions: dict[int, int] = {0: 0}

    def player(self, number: int) -> int | None:
        """The round whose model plays the games of round `number`; None where that is not decided yet."""
        return self.champion(max(0, number - 1 - self._lag))

    def plays(self, number: int) -> str | None:
        """Its fingerprint; None where the model is not there, or not decided. Raises as `ModelsOnDisk`."""
        player = self.player(number)
        return None if player is None else self._models.fingerprint(player)

    def champion(self, number: int) -> int | None:
        """Of the rounds up to `number`, the one whose model is to play; None where that is not decided yet.

        Raises `RunError` where a verdict cannot be read.
        """
        if not self._is_gated:
            return number
        for each in range(max(self._champions) + 1, number + 1):
            if not self._layout.gate(each).exists():
                return None
            gate = read_gate(self._layout, each)
            self._champions[each] = each if gate.is_passed else self._champions[each - 1]
        return self._champions[number]

    def first_undecided(self, rounds: set[int]) -> int | None:
        """The first of these rounds, from 1 on without a break, whose verdict is not there."""
        number = 1
        while self._is_gated and number in rounds:
            if self.champion(number) is None:
                return number
            number += 1
        return None


def write_gate(layout: RunLayout, gate: Gate) -> None:
    """Keep a verdict."""
    ensure_directory(layout.gates)
    write_atomically(layout.gate(gate.round), msgspec.json.encode(gate))


def read_gate(layout: RunLayout, number: int) -> Gate:
    """The verdict on a round. Raises `RunError` where the file is none that can be used."""
    path = layout.gate(number)
    content = read_file(path, what="verdict on a round", error=RunError, most_bytes=MOST_BYTES)
    try:
        gate = msgspec.json.decode(content, type=Gate)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RunError(f"{path}: no verdict: {error}; delete it, and its match is played again") from None
    if (gate.format, gate.version, gate.round) != (FORMAT, VERSION, number) or gate.champion >= number:
        raise RunError(
            f"{path}: format {gate.format} {gate.version}, round {gate.round} against {gate.champion}; expected "
            f"{FORMAT} {VERSION} of round {number}; delete it, and its match is played again"
        )
    return gate
