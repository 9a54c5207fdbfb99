"""A memory of evaluations, keyed by position, and one evaluation for equal leaves of a step.

Because evaluators judge row by row, a remembered evaluation equals a fresh one to the bit: the cache changes speed
and nothing else. Networks are asked about one image of each position (`images.py`), so that all its images have one
evaluation. Letters: n positions, m different ones among them, A actions, C places.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from selfplay.evaluation.evaluator import Evaluation, Evaluator, NetworkEvaluator, Positions
from selfplay.evaluation.images import Images
from selfplay.games.game import GameInfo
from selfplay.kernels import kernel

WAYS = 4  # places that share a bucket
MOST_BYTES = 128 << 20  # of a table: games with thousands of actions are remembered for fewer positions
EMPTY = np.uint64(0)
TAKEN, ASKED = np.uint64(1), np.uint64(2)  # lowest bits of a tag: there is an entry; it was found again lately
_HALF = np.uint64(32)

Keys = npt.NDArray[np.uint64]  # [n, 2]


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
    hits: int = 0  # found in memory, as they are or as an image
    duplicates: int = 0  # equal to another leaf of the same step, or images of it
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
    """An evaluator that remembers. Searches ask `recall` with its table first, then `evaluate` what is not there and
    the rules do not decide; who only wants an opinion asks for a `glance`.

    Args:
        evaluator: judges what is not remembered.
        info: the game; a network is asked about one image of each position.
        positions: how many evaluations to remember, rounded up to a multiple of WAYS, and at most what MOST_BYTES hold;
            0 = only equal leaves of one step are shared. Where there are images, each takes a second place, as the
            image that was asked about.
    """

    def __init__(self, evaluator: Evaluator, info: GameInfo, *, positions: int) -> None:
        self._evaluator = evaluator
        self._images: _ImagesOf | None = None
        if isinstance(evaluator, NetworkEvaluator) and len(info.symmetries) > 1:
            self._images, positions = _ImagesOf(evaluator, Images(info.symmetries)), 2 * positions
        entry = np.dtype(np.uint64).itemsize + (1 + info.num_actions) * np.dtype(np.float32).itemsize
        capacity = min(-(-positions // WAYS), MOST_BYTES // (WAYS * entry)) * WAYS
        self.counts = CacheCounts()
        self.table = Table(np.zeros(capacity, np.uint64), np.zeros((capacity, 1 + info.num_actions), np.float32))

    def evaluate(self, positions: Positions) -> Evaluation:
        """Judge n > 0 positions that the table does not hold, equal ones once, and remember them."""
        if self._images is None:
            return self._judge(positions.keys, lambda rows: self._evaluator.evaluate(positions.take(rows)))
        answer = self._evaluate_images(*self._images, positions)
        remember(self.table, positions.keys, *answer)
        return answer

    def glance(self, positions: Positions) -> Evaluation:
        """Judge n > 0 ongoing positions of any kind. No search meets these judgements: where the rules decide a
        position it would not have asked the network, and what it finds must not hang on who asked before."""
        if self._images is None:
            return self._evaluator.evaluate(positions)
        return self._evaluate_images(*self._images, positions)

    def _evaluate_images(self, network: NetworkEvaluator, images: Images, positions: Positions) -> Evaluation:
        """What the network says of the positions' images, turned back; those that are remembered are not asked for."""
        planes, legal = positions.rules.encode(positions.states), positions.legal
        keys, turns = images.choose(planes, legal)
        found = Evaluation(np.zeros(legal.shape, np.float32), np.empty(len(legal), np.float32))
        unknown = np.empty(len(legal), np.int32)
        unknown = unknown[: recall_all(self.table, keys, *found, unknown)]
        self.counts.count_recalled(len(legal) - len(unknown))
        if len(unknown):
            found.priors[unknown], found.values[unknown] = self._judge(
                keys[unknown], lambda rows: network.judge(*images.turn(planes, legal, turns, unknown[rows]))
            )
        return Evaluation(images.turn_back(found.priors, turns), found.values)

    def _judge(self, keys: Keys, ask: Callable[[npt.NDArray[np.int32]], Evaluation]) -> Evaluation:
        """What `ask` says of the rows with these keys [n, 2], equal ones asked about once, and remembered."""
        count = len(keys)
        rows, source = np.empty(count, np.int32), np.empty(count, np.int32)
        different = distinct_rows(keys, rows, source, np.full(2 << count.bit_length(), -1, np.int32))
        self.counts.count_fresh(count, different)
        rows = rows[:different]
        priors, values = ask(rows)
        remember(self.table, keys[rows], priors, values)
        return Evaluation(priors, values) if different == count else Evaluation(priors[source], values[source])


class _ImagesOf(NamedTuple):
    """A network, and the images of positions that it is asked about."""

    network: NetworkEvaluator
    images: Images


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
def recall_all(table: Any, keys: Any, priors: Any, values: Any, unknown: Any) -> int:
    """Write to priors [n, A] and values [n] what is remembered for keys [n, 2], and to `unknown` [n] the rows of which
    nothing is; how many those are."""
    count = 0
    for i in range(len(keys)):
        values[i] = recall(table, keys[i], priors[i])
        if np.isnan(values[i]):
            unknown[count] = i
            count += 1
    return count


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
    """The place for a key: its own if it is there already, an empty one, else the first that was not found again,
    sparing those that were.

    Second chance (Corbato 1968): openings, which every game asks for, outlive the endings of single games.
    """
    first: int = bucket(table, key)
    for place in range(first, first + WAYS):
        if table.tags[place] == EMPTY or table.tags[place] | ASKED == key[1] | TAKEN | ASKED:
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
