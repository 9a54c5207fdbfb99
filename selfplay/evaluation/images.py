"""One image stands for all: positions that a symmetry of the board carries into one another are asked about as one.

A network judges by planes and legal actions alone, so that any image of a position may be asked about instead, and the
answer turned back. Asked is the image with the smallest key: whichever comes first, all get the same judgement, turned.
Which one that is looks like chance from position to position, so that a search averages over the network's biases, as
AlphaGo Zero's did with random turns (Silver et al. 2017, "Mastering the game of Go without human knowledge", Methods).
Knows nothing of networks or memory. Letters: n positions, P planes, C cells of the board, A actions, S symmetries.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from selfplay.games.compiled import hash_words
from selfplay.games.symmetry import Symmetry, tables
from selfplay.kernels import kernel

_WORD_BITS = 64
_ONE, _SHIFT = np.uint64(1), np.uint64(32)
_MIX = np.uint64(0x9FB21C651E98DF25)  # an odd constant, of rrmxmx (Evensen 2018)

Planes = npt.NDArray[np.float32]  # [n, P, H, W]
Masks = npt.NDArray[np.bool_]  # [n, A] True = may be played


class Turning(NamedTuple):
    """Symmetries as the kernels see them, and memory to work in."""

    cells: npt.NDArray[np.int32]  # [S, C] an image's cell i shows what the cell at cells[s, i] showed
    actions: npt.NDArray[np.int32]  # [S, A] its action a is what actions[s, a] was
    marks: npt.NDArray[np.uint64]  # [C] one number for all planes of a cell
    words: npt.NDArray[np.uint64]  # [C + A / 64] what an image is: marks, then legal actions
    key: npt.NDArray[np.uint64]  # [2]


class Images:
    """The images that are asked about, under a game's whole group of symmetries."""

    def __init__(self, symmetries: tuple[Symmetry, ...]) -> None:
        cells, actions = tables(symmetries)
        words = cells.shape[1] + -(-actions.shape[1] // _WORD_BITS)
        self._turning = Turning(
            cells, actions, np.empty(cells.shape[1], np.uint64), np.empty(words, np.uint64), np.empty(2, np.uint64)
        )

    def choose(self, planes: Planes, legal: Masks) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]:
        """For each position the 128-bit key of the image that stands for it [n, 2], and the symmetry that leads there
        [n]."""
        keys, turns = np.empty((len(planes), 2), np.uint64), np.empty(len(planes), np.int32)
        bits = planes.reshape(*planes.shape[:2], -1).view(np.uint32)
        choose_images(bits, legal, self._turning, keys, turns)
        return keys, turns

    def turn(
        self, planes: Planes, legal: Masks, turns: npt.NDArray[np.int32], rows: npt.NDArray[Any]
    ) -> tuple[Planes, Masks]:
        """Planes and legal actions of the images of these rows, in their order."""
        images = np.empty((len(rows), *planes.shape[1:]), np.float32), np.empty((len(rows), legal.shape[1]), np.bool_)
        flat = (len(rows), planes.shape[1], -1)
        turn_rows(planes.reshape(len(planes), planes.shape[1], -1), legal, self._turning, turns, rows,
                  images[0].reshape(flat), images[1])  # fmt: skip
        return images

    def turn_back(self, priors: npt.NDArray[np.float32], turns: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Priors of the positions [n, A] from those of their images."""
        back = np.empty_like(priors)
        turn_priors_back(priors, self._turning, turns, back)
        return back


@kernel
def choose_images(bits: Any, legal: Any, turning: Any, keys: Any, turns: Any) -> None:
    """Write the smallest of the keys of each position's images, and which one it is; planes come as bits [n, P, C]."""
    key = turning.key
    for i in range(len(bits)):
        mark_cells(bits[i], turning.marks)
        for symmetry in range(len(turning.cells)):
            describe_image(turning, symmetry, legal[i], turning.words)
            hash_words(turning.words, key)
            if symmetry == 0 or key[0] < keys[i, 0] or (key[0] == keys[i, 0] and key[1] < keys[i, 1]):
                keys[i, 0], keys[i, 1] = key[0], key[1]
                turns[i] = symmetry


@kernel
def mark_cells(bits: Any, marks: Any) -> None:
    """Write one number for each cell [C], by what all planes [P, C] show there."""
    for cell in range(len(marks)):
        mark = np.uint64(0)
        for plane in range(len(bits)):
            mark = (mark ^ np.uint64(bits[plane, cell])) * _MIX
            mark ^= mark >> _SHIFT
        marks[cell] = mark


@kernel
def describe_image(turning: Any, symmetry: int, legal: Any, words: Any) -> None:
    """Write what an image shows: its cells' marks, and 64 legal actions to a word."""
    cells, actions = turning.cells, turning.actions
    for cell in range(cells.shape[1]):
        words[cell] = turning.marks[cells[symmetry, cell]]
    for action in range(actions.shape[1]):
        place = cells.shape[1] + action // _WORD_BITS
        word = words[place] if action % _WORD_BITS else np.uint64(0)
        words[place] = (word << _ONE) | np.uint64(legal[actions[symmetry, action]])


@kernel
def turn_rows(planes: Any, legal: Any, turning: Any, turns: Any, rows: Any, images: Any, legal_there: Any) -> None:
    """Write planes [m, P, C] and legal actions [m, A] of the images of rows [m]."""
    for j in range(len(rows)):
        i = rows[j]
        for plane in range(planes.shape[1]):
            for cell in range(planes.shape[2]):
                images[j, plane, cell] = planes[i, plane, turning.cells[turns[i], cell]]
        for action in range(legal.shape[1]):
            legal_there[j, action] = legal[i, turning.actions[turns[i], action]]


@kernel
def turn_priors_back(priors: Any, turning: Any, turns: Any, back: Any) -> None:
    """Write to back [n, A] what the priors of the images [n, A] say of the positions' own actions."""
    for i in range(len(priors)):
        for action in range(priors.shape[1]):
            back[i, turning.actions[turns[i], action]] = priors[i, action]
