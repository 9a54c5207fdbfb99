"""A memory of evaluations, keyed by position, and one evaluation for equal leaves of a step.

Because evaluators judge row by row, a remembered evaluation equals a fresh one to the bit: the cache changes speed
and nothing else. Knows nothing of games or networks. Letters: n positions, m positions to evaluate, A actions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from selfplay.evaluation.evaluator import Evaluation, Evaluator, Positions
from selfplay.kernels import kernel

WAYS = 4  # entries that share a bucket
EMPTY, STORED, HIT = 0, 1, 2  # states of an entry; HIT = found again since it was stored or last spared


class Table(NamedTuple):
    """C remembered evaluations, C a power of two (0 = no memory)."""

    state: npt.NDArray[np.uint8]  # [C] EMPTY, STORED or HIT
    keys: npt.NDArray[np.uint64]  # [C, 2]
    priors: npt.NDArray[np.float32]  # [C, A]
    values: npt.NDArray[np.float32]  # [C]


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

    def reset(self) -> None:
        """Count from zero again; what is remembered stays."""
        self.lookups = self.hits = self.duplicates = self.evaluated = 0


class CachedEvaluator:
    """An evaluator that remembers.

    Args:
        evaluator: judges what is not remembered.
        actions: A.
        positions: how many evaluations to remember, rounded down to a power of two; 0 = only equal leaves of one
            step are shared.
    """

    def __init__(self, evaluator: Evaluator, *, actions: int, positions: int) -> None:
        capacity = 1 << (positions.bit_length() - 1) if positions >= WAYS else 0
        self.counts = CacheCounts()
        self._evaluator = evaluator
        self.table = Table(
            np.zeros(capacity, np.uint8),
            np.zeros((capacity, 2), np.uint64),
            np.zeros((capacity, actions), np.float32),
            np.zeros(capacity, np.float32),
        )

    def evaluate(self, positions: Positions) -> Evaluation:
        count = len(positions.keys)
        priors, values = np.empty(positions.legal.shape, np.float32), np.empty(count, np.float32)
        source, missing = np.empty(count, np.int32), np.empty(count, np.int32)
        scratch = np.full(_scratch_size(count), -1, np.int32)
        found, to_evaluate = look_up(self.table, positions.keys, priors, values, source, missing, scratch)
        self.counts.lookups += count
        self.counts.hits += found
        self.counts.evaluated += to_evaluate
        self.counts.duplicates += count - found - to_evaluate
        if to_evaluate == count:
            fresh = self._evaluator.evaluate(positions)
        elif to_evaluate:
            fresh = self._evaluator.evaluate(positions.take(missing[:to_evaluate]))
        else:
            return Evaluation(priors, values)
        remember(self.table, positions.keys, missing[:to_evaluate], fresh.priors, fresh.values)
        fill_in(source, fresh.priors, fresh.values, priors, values)
        return Evaluation(priors, values)


def _scratch_size(count: int) -> int:
    return 2 << max(count, 1).bit_length()


@kernel
def look_up(
    table: Any, keys: Any, priors: Any, values: Any, source: Any, missing: Any, scratch: Any
) -> tuple[int, int]:
    """Answer what is remembered; list the rest, equal positions once.

    Writes priors and values of found rows; missing[:m] = rows to evaluate; source[i] = index into missing for a
    row not found, -1 for a found one. Returns (found, m). `scratch` is an empty (-1) hash table of rows.
    """
    found, to_evaluate = 0, 0
    for i in range(len(keys)):
        values[i] = recall(table, keys[i], priors[i])
        if not np.isnan(values[i]):
            source[i] = -1
            found += 1
            continue
        cell = np.int64(keys[i, 1] & np.uint64(len(scratch) - 1))
        while scratch[cell] >= 0 and not equal_keys(keys[missing[scratch[cell]]], keys[i]):
            cell = (cell + 1) % len(scratch)
        if scratch[cell] < 0:
            scratch[cell] = to_evaluate
            missing[to_evaluate] = i
            to_evaluate += 1
        source[i] = scratch[cell]
    return found, to_evaluate


@kernel
def recall(table: Any, key: Any, priors: Any) -> float:
    """The value remembered for a key, its priors written to `priors` [A]; NaN where there is none."""
    place = find(table, key)
    if place < 0:
        return np.nan
    table.state[place] = HIT
    priors[:] = table.priors[place]
    return float(table.values[place])


@kernel
def find(table: Any, key: Any) -> int:
    """The place of a key in the table, or -1."""
    if len(table.state) == 0:
        return -1
    first: int = bucket(table, key)
    for place in range(first, first + WAYS):
        if table.state[place] != EMPTY and equal_keys(table.keys[place], key):
            return place
    return -1


@kernel
def remember(table: Any, keys: Any, rows: Any, priors: Any, values: Any) -> None:
    """Store evaluation j under keys[rows[j]], in a place of its bucket that is empty or was not asked for lately."""
    if len(table.state) == 0:
        return
    for j in range(len(rows)):
        place = victim(table, keys[rows[j]])
        table.state[place] = STORED
        table.keys[place] = keys[rows[j]]
        table.priors[place] = priors[j]
        table.values[place] = values[j]


@kernel
def victim(table: Any, key: Any) -> int:
    """The place for a new key: an empty one, else the first that was not found again, sparing those that were.

    Second chance (Corbato 1968): openings, which every game asks for, outlive the endings of single games.
    """
    first: int = bucket(table, key)
    for place in range(first, first + WAYS):
        if table.state[place] == EMPTY:
            return place
    start = int(key[1] >> np.uint64(62))  # a different first candidate for each key
    for step in range(2 * WAYS):
        place = first + (start + step) % WAYS
        if table.state[place] == STORED:
            return place
        table.state[place] = STORED
    return first


@kernel
def fill_in(source: Any, fresh_priors: Any, fresh_values: Any, priors: Any, values: Any) -> None:
    """Write fresh evaluations to the rows that wait for them."""
    for i in range(len(source)):
        if source[i] >= 0:
            priors[i] = fresh_priors[source[i]]
            values[i] = fresh_values[source[i]]


@kernel
def bucket(table: Any, key: Any) -> int:
    """The first place of the key's bucket."""
    return int(np.int64(key[0] & np.uint64(len(table.state) // WAYS - 1))) * WAYS


@kernel
def equal_keys(a: Any, b: Any) -> bool:
    """Whether two 128-bit keys are the same."""
    return bool(a[0] == b[0] and a[1] == b[1])
