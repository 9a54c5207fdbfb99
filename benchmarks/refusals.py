"""What users can mend ends a benchmark with one line on stderr and the exit code of `selfplay`: without a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selfplay.errors import SelfplayError


@contextmanager
def errors_in_a_line() -> Iterator[None]:
    """Around `main`, as its decorator."""
    try:
        yield
    except SelfplayError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
