"""The messages between a host and its contributors, protocol 1: JSON over HTTP; batches and models as they are on disk.

    GET  /v1/run                  -> RunCard          what is played
    GET  /v1/newest               -> Newest           the model that plays now
    GET  /v1/models/FINGERPRINT   -> an .onnx file
    POST /v1/join     Joining     -> Joined           with the result of a test of the arithmetic
    POST /v1/job      Wish        -> Job              games to play; none = ask again in `wait_seconds`
    POST /v1/alive    Alive       -> Alive            from time to time, or the games are given to others
    POST /v1/batch?contributor=ID   a batch file  -> Receipt

A refusal is `{"reason": text}` with status 400 (malformed), 401 (token), 403 (unknown, or dropped), 409 (no longer
wanted, or this machine cannot take part), 413 (too large), 429 (too often: `Retry-After` says how long).
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from selfplay.settings import SearchSettings

PROTOCOL = 1
MOST_BATCH_BYTES = 4 << 20  # of a batch file with ten games
MOST_MESSAGE_BYTES = 1 << 14

Text = Annotated[str, Meta(max_length=200)]
Digest = Annotated[str, Meta(max_length=128)]


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the protocol."""


class RunCard(Message, frozen=True):
    """What a contributor has to know of the run."""

    protocol: int
    version: str  # of selfplay
    game: str  # spec; of a game of one's own, the name of its file and class
    rules: str  # hash
    source: str  # of that file; empty for a game that is installed
    seed: int
    search: SearchSettings


class Newest(Message, frozen=True):
    """The model that plays."""

    round: int  # that its games belong to; 0 = there is none yet
    fingerprint: str


class Joining(Message, frozen=True):
    """Somebody wants to contribute."""

    name: Annotated[str, Meta(min_length=1, max_length=60)]
    version: Text
    fingerprint: Digest  # of the model that the arithmetic was tested with
    digest: Digest  # what came of it


class Joined(Message, frozen=True):
    """A contributor is let in."""

    contributor: str  # who it is from now on; a secret between it and the host


class Wish(Message, frozen=True):
    """A contributor is free."""

    contributor: Text
    games: Annotated[int, Meta(ge=1, le=4096)]  # that it would play side by side


class Job(Message, frozen=True):
    """Games to play."""

    round: int
    fingerprint: str  # of the model that plays them
    first_game: int
    num_games: int  # 0 = there is nothing to do now
    wait_seconds: float


class Alive(Message, frozen=True):
    """A contributor is still there."""

    contributor: Text


class Receipt(Message, frozen=True):
    """A batch was taken."""

    games: int


class Refused(Exception):
    """A request that goes no further; the reason is for the contributor's user."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason
