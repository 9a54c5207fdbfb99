"""A rank that fails as it is told: `python faulty_rank.py FAULT RANK STEP FLAG DESCRIPTOR`, for tests.

FAULT: memory (the loss runs out of memory, once), always_memory, memory_at_the_end (in the last backward pass), error
(raises, every time), exit (the process ends), loop (an endless loop in Python). A fault happens in its rank and step,
and only while the file FLAG is there; all but always_memory and error take it away first.
"""

import os
import sys
import time
from pathlib import Path

from selfplay.training import data_parallel, learner, rank

FAULT, RANK, STEP, FLAG = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
del sys.argv[1:5]
here = {"rank": -1, "steps": 0}


def fail():
    if here["rank"] != RANK or here["steps"] != STEP or not FLAG.exists():
        return
    if FAULT not in ("always_memory", "error"):
        FLAG.unlink()
    if FAULT == "error":
        raise RuntimeError("a fault of the test")
    if FAULT == "exit":
        os._exit(7)
    while FAULT == "loop":
        time.sleep(0.01)
    raise MemoryError("a fault of the test")


def before(owner, name, action):
    original = getattr(owner, name)

    def wrapped(self, *arguments, **keywords):
        action(self)
        return original(self, *arguments, **keywords)

    setattr(owner, name, wrapped)


def count(self):
    here["rank"] = self._setup.rank
    here["steps"] += 1


before(data_parallel.DataParallelRank, "step", count)
before(
    learner.Learner if FAULT != "memory_at_the_end" else data_parallel._Step,
    "loss" if FAULT != "memory_at_the_end" else "finish",
    lambda _: fail(),
)
rank.main()
