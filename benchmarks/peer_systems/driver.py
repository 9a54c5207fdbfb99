"""What every system under comparison has in common: it gets ready, and plays when it is told to.

A driver is a process of its own, in its system's own environment, that speaks JSON lines with `peers.py`: it says
`{"ready": true}` when its first move is played; then each line `WHAT SECONDS` on its standard input is answered by what
was done: `play`, the same without being counted (`warm`), or the network alone (`bare`). Standard library only.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Protocol

NETWORK_BLOCKS, NETWORK_CHANNELS = 5, 64
SIMULATIONS = 100  # per move
COUNTS = ("games", "moves", "simulations", "evaluations")


class System(Protocol):
    """A trainer's self-play, kept going from turn to turn."""

    games: int  # finished so far
    moves: int  # made so far
    simulations: int  # made so far; visits kept from the move before do not count
    evaluations: int  # positions that the network judged so far; 0 where that is not counted

    def advance(self) -> None:
        """Play on by the smallest step there is: a move, or a step of all games."""

    def warm(self, seconds: float) -> None:
        """Get over what only happens at the start."""

    def bare(self, seconds: float) -> float:
        """Forward passes/s of the network alone, at the batch that self-play uses or a better one."""


def play_for(system: System, seconds: float) -> dict[str, float]:
    """What is done in at least so many seconds: whole steps only."""
    before = [getattr(system, name) for name in COUNTS]
    start = time.perf_counter()
    while (now := time.perf_counter()) - start < seconds:
        system.advance()
    done = {name: getattr(system, name) - old for name, old in zip(COUNTS, before, strict=True)}
    return {"seconds": now - start, **done}


def serve(system: System) -> None:
    """Do what is asked for until standard input ends."""
    while system.moves == 0:
        system.advance()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        what, seconds = line.split()[0], float(line.split()[1])
        if what == "play":
            answer = play_for(system, seconds)
        elif what == "warm":
            system.warm(seconds)
            answer = {}
        else:
            answer = {"passes_per_second": system.bare(seconds)}
        print(json.dumps(answer), flush=True)
