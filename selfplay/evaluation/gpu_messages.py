"""What workers and the process that computes for them on a GPU say to each other, and the memory they share.

Over a Unix socket, in this order, a frame being four bytes of length and JSON:

    worker    frame {"model": path}
    service   frame {"card": …} or {"error": text}
    worker    a descriptor of memory that both map: `Shared`
    worker    four bytes: so many positions are written there        } again
    service   one byte: what the network says of them is written     } and again

Knows nothing of networks. Letters: R most positions of a request, P planes, H × W board, A actions.
"""

from __future__ import annotations

import mmap
import os
import socket
from typing import Any

import msgspec
import numpy as np

from selfplay.network.card import ModelCard

ROWS = 512  # R
MOST_BYTES = 1 << 16  # of a frame
COUNT_BYTES = 4
DONE = b"\1"


class Ask(msgspec.Struct, frozen=True):
    """Which network."""

    model: str  # path of the .pt


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """Its card, or why there is none."""

    card: ModelCard | None = None
    error: str = ""


class Shared:
    """The memory of one worker: planes [R, P, H, W] in, logits [R, A] and outcome probabilities [R, 3] out, float32.

    An anonymous file: it is gone as soon as both ends are, however they end.
    """

    def __init__(self, card: ModelCard, descriptor: int) -> None:
        shapes = ((ROWS, card.planes, card.rows, card.columns), (ROWS, card.actions), (ROWS, 3))
        sizes = [4 * int(np.prod(shape)) for shape in shapes]
        if os.fstat(descriptor).st_size == 0:
            os.truncate(descriptor, sum(sizes))
        self._memory = mmap.mmap(descriptor, sum(sizes))  # raises ValueError where the file is shorter
        starts = (0, sizes[0], sizes[0] + sizes[1])
        self.planes, self.logits, self.outcomes = (
            np.frombuffer(self._memory, np.float32, size // 4, start).reshape(shape)
            for shape, size, start in zip(shapes, sizes, starts, strict=True)
        )


def send_frame(connection: socket.socket, message: Ask | Reply) -> None:
    """Write a message."""
    content = msgspec.json.encode(message)
    connection.sendall(len(content).to_bytes(4, "little") + content)


def receive_frame(connection: socket.socket, kind: type[Any]) -> Any:
    """Read a message of a kind. Raises `ConnectionError` where the other end is gone or says something else."""
    length = int.from_bytes(receive(connection, 4), "little")
    if length > MOST_BYTES:
        raise ConnectionError(f"a message of {length} bytes, expected at most {MOST_BYTES}")
    try:
        return msgspec.json.decode(receive(connection, length), type=kind)
    except msgspec.DecodeError as error:
        raise ConnectionError(f"a message that is no {kind.__name__}: {error}") from error


def receive(connection: socket.socket, count: int) -> bytes:
    """Read so many bytes. Raises `ConnectionError` where the other end is gone."""
    content = b""
    while len(content) < count:
        more = connection.recv(count - len(content))
        if not more:
            raise ConnectionError("the other end is gone")
        content += more
    return content
