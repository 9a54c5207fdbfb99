"""A rank that fails as it is told, for tests: `python faulty_rank.py ORDER DESCRIPTOR`.

ORDER is a file with a line `FAULT RANK STEP`, read in every step; without it nothing happens. Faults, in that rank and
that step (from 1, since the model was untrained):

    memory            the loss runs out of memory, once
    always_memory     the loss runs out of memory, every time
    memory_at_the_end the last backward pass runs out of memory, once
    loop              an endless loop, once
"""

import sys
import time
from pathlib import Path

from selfplay.training import data_parallel, learner, rank

ORDER = Path(sys.argv.pop(1))
here = {"rank": -1, "step": 0}


def fault():
    """The fault that is due here and now, if any."""
    try:
        kind, number, step = ORDER.read_text().split()
    except FileNotFoundError:  # or taken away by the other rank, whose fault it was
        return ""
    if (int(number), int(step)) != (here["rank"], here["step"]):
        return ""
    return kind


def run_out_of_memory(*kinds):
    kind = fault()
    if kind in kinds:
        if kind != "always_memory":
            ORDER.unlink()
        raise MemoryError("a fault of the test")


def begin_step(self, *_):
    here["rank"] = self._setup.rank
    here["step"] = self._loaded().steps + 1
    if fault() == "loop":
        ORDER.unlink()
        while True:
            time.sleep(0.01)


def before(owner, name, action):
    """Do something before each call of a method."""
    original = getattr(owner, name)

    def wrapped(self, *arguments, **keywords):
        action(self, *arguments)
        return original(self, *arguments, **keywords)

    setattr(owner, name, wrapped)


before(data_parallel.DataParallelRank, "step", begin_step)
before(learner.Learner, "loss", lambda *_: run_out_of_memory("memory", "always_memory"))
before(learner.Learner, "apply", lambda *_: run_out_of_memory("memory_at_the_end"))
rank.main()
