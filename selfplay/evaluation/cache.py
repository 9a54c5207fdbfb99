"""A memory of evaluations, keyed by position, and one evaluation for equal leaves of a step.

Because evaluators judge row by row, a remembered evaluation equals a fresh one to the bit: the cache changes speed
and nothing else. Knows nothing of games or networks. Letters: n positions, m different ones among them, A actions,
C places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from selfplay.evaluation.evaluator import Evaluation, Evaluator, Positions
from selfplay.kernels import kernel

WAYS = 4  # places that share a bucket
MOST_BYTES = 128 << 20  # of a table: games with thousands of actions are remembered for fewer positions
EMPTY = np.uint64(0)
TAKEN, ASKED = np.uint64(1), np.uint64(2)  # lowest bits of a tag: there is an entry; it was found again lately
_HALF = np.uint64(32)


class Table(NamedTuple):
    """Remembered evaluations, C of them, a multiple of WAYS (0 = no memory).

    A search reads one line of the processor's cache to learn that a position is not here, and one more where it is.
    The first half of a key tells the bucket, the second is the tag, but for two bits: after 10^7 positions the
    chance that any was taken for another is about 10^-11.
    """

    tags: npt.NDArray[np.uint64]  # [C] EMPTY, or second half of the key with TAKEN and ASKED in its lowest bits
    answers: npt.NDArray[np.float32]  # [C, 1 + A] value, then priors


@dataclass
class CacheCounts:
    """What was asked for, and how it was answered."""

    lookups: int = 0
    hits: int = 0  # found in memory
    duplicates: int = 0  # equal to another leaf of the same step
    evaluated: int = 0  # rows given to the evaluator

    def count_recalled(self, number: int) -> None:
        """So many evaluations were recalled from the table."""
        self.lookups += number
        self.hits += number

    def count_fresh(self, number: int, different: int) -> None:
        """So many were not in the table, of which so many differed from each other."""
        self.lookups += number
        self.duplicates += number - different
        self.evaluated += different

    def reset(self) -> None:
        """Count from zero again; what is remembered stays."""
        self.lookups = self.hits = self.duplicates = self.evaluated = 0


class CachedEvaluator:
    """An evaluator that remembers. Ask `recall` with its table first, then `evaluate` what is not there.

    Args:
        evaluator: judges what is not remembered.
        actions: A.
        positions: how many evaluations to remember, rounded up to a multiple of WAYS, and at most what MOST_BYTES hold;
            0 = only equal leaves of one step are shared.
    """

    def __init__(self, evaluator: Evaluator, *, actions: int, positions: int) -> None:
        entry = np.dtype(np.uint64).itemsize + (1 + actions) * np.dtype(np.float32).itemsize
        capacity = min(-(-positions // WAYS), MOST_BYTES // (WAYS * entry)) * WAYS
        self.counts = CacheCounts()
        self.table = Table(np.zeros(capacity, np.uint64), np.zeros((capacity, 1 + actions), np.float32))
        self._evaluator = evaluator

    def evaluate(self, positions: Positions) -> Evaluation:
        """Judge n > 0 positions that the table does not hold, equal ones once, and remember them."""
        count = len(positions.keys)
        rows, source = np.empty(count, np.int32), np.empty(count, np.int32)
        different = distinct_rows(positions.keys, rows, source, np.full(2 << count.bit_length(), -1, np.int32))
        self.counts.count_fresh(count, different)
        if different < count:
            positions = positions.take(rows[:different])
        priors, values = self._evaluator.evaluate(positions)
        remember(self.table, positions.keys, priors, values)
        return Evaluation(priors, values) if different == count else Evaluation(priors[source], values[source])


@kernel
def distinct_rows(keys: Any, rows: Any, source: Any, scratch: Any) -> int:
    """List each different key [n, 2] once: the first rows[:m] that hold them, and key i equals keys[rows[source[i]]].

    `scratch` is an empty (-1) hash table of at least n + 1 cells, a power of two. Returns m.
    """
    count = 0
    for i in range(len(keys)):
        cell = np.int64(keys[i, 1] & np.uint64(len(scratch) - 1))
        while scratch[cell] >= 0 and not equal_keys(keys[rows[scratch[cell]]], keys[i]):
            cell = (cell + 1) % len(scratch)
        if scratch[cell] < 0:
            scratch[cell] = count
            rows[count] = i
            count += 1
        source[i] = scratch[cell]
    return count


@kernel
def recall(table: Any, key: Any, priors: Any) -> float:
    """The value remembered for a key [2], its priors written to `priors` [A]; NaN where there is none."""
    if len(table.tags) == 0:
        return np.nan
    first: int = bucket(table, key)
    for place in range(first, first + WAYS):
        if table.tags[place] | ASKED == key[1] | TAKEN | ASKED:
            table.tags[place] |= ASKED
            for action in range(len(priors)):
                priors[action] = table.answers[place, 1 + action]
            return float(table.answers[place, 0])
    return np.nan


@kernel
def remember(table: Any, keys: Any, priors: Any, values: Any) -> None:
    """Store evaluation i under keys[i], in a place of its bucket that is empty or was not asked for lately."""
    if len(table.tags) == 0:
        return
    for i in range(len(keys)):
        place = victim(table, keys[i])
        table.tags[place] = (keys[i, 1] | TAKEN | ASKED) ^ ASKED
        table.answers[place, 0] = values[i]
        for action in range(priors.shape[1]):
            table.answers[place, 1 + action] = priors[i, action]


@kernel
def victim(table: Any, key: Any) -> int:
    """The place for a new key: an empty one, else the first that was not found again, sparing those that were.

    Second chance (Corbato 1968): openings, which every game asks for, outlive the endings of single games.
    """
    first: int = bucket(table, key)
    for place in range(first, first + WAYS):
        if table.tags[place] == EMPTY:
            return place
    start = int(key[1] >> np.uint64(62))  # a different first candidate for each key
    for step in range(2 * WAYS):
        place = first + (start + step) % WAYS
        if not table.tags[place] & ASKED:
            return place
        table.tags[place] ^= ASKED
    return first


@kernel
def bucket(table: Any, key: Any) -> int:
    """The first place of the key's bucket: the upper half of key[0] (0 to 2^32), scaled to the number of buckets."""
    buckets = np.uint64(len(table.tags) // WAYS)
    return int(((key[0] >> _HALF) * buckets) >> _HALF) * WAYS


@kernel
def equal_keys(a: Any, b: Any) -> bool:
    """Whether two 128-bit keys are the same."""
    return bool(a[0] == b[0] and a[1] == b[1])
