"""Keys as they are pressed, without Enter, from a terminal that is left as it was found."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from types import TracebackType
from typing import Any


class Keys:
    """While the block runs, `pressed` tells which key was pressed; does nothing where input is no terminal."""

    def __init__(self) -> None:
        self._descriptor = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._before: list[Any] = []

    def __enter__(self) -> Keys:
        if self._descriptor is not None:
            self._before = termios.tcgetattr(self._descriptor)
            tty.setcbreak(self._descriptor)  # Ctrl-C stays Ctrl-C
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def pressed(self, seconds: float, *, or_readable: int | None = None) -> str:
        """The next keys within so long, empty if there are none; ends early where `or_readable` becomes readable."""
        sources = [descriptor for descriptor in (self._descriptor, or_readable) if descriptor is not None]
        ready, _, _ = select.select(sources, [], [], seconds)
        if self._descriptor is None or self._descriptor not in ready:
            return ""
        return os.read(self._descriptor, 64).decode(errors="replace")
