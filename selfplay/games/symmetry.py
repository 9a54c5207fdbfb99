"""Symmetries of a board: permutations of its cells, each with the permutation of the actions that goes along.

A game names generators (`symmetries = (rotate, mirror_columns)`); the whole group is derived here. Knows nothing
of rules. Letters: H × W the board, A actions, S symmetries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from selfplay.errors import GameError

Permutation = tuple[int, ...]


@dataclass(frozen=True)
class Symmetry:
    """Cell c of the transformed board shows what cell board[c] showed; action a becomes actions[a]."""

    board: Permutation  # [H * W] source cell of each cell
    actions: Permutation  # [A] image of each action

    def then(self, other: Symmetry) -> Symmetry:
        """This symmetry first, the other after it."""
        return Symmetry(
            tuple(self.board[source] for source in other.board),
            tuple(other.actions[image] for image in self.actions),
        )


SymmetryMaker = Callable[[tuple[int, int], int], Symmetry]


def mirror_columns(board_shape: tuple[int, int], num_actions: int) -> Symmetry:
    """Left becomes right."""
    return _of_cells(np.arange(np.prod(board_shape)).reshape(board_shape)[:, ::-1], board_shape, num_actions)


def mirror_rows(board_shape: tuple[int, int], num_actions: int) -> Symmetry:
    """Top becomes bottom; for games whose actions are cells."""
    return _of_cells(np.arange(np.prod(board_shape)).reshape(board_shape)[::-1, :], board_shape, num_actions)


def rotate(board_shape: tuple[int, int], num_actions: int) -> Symmetry:
    """A quarter turn of a square board; for games whose actions are cells."""
    if board_shape[0] != board_shape[1]:
        raise GameError(f"a quarter turn needs a square board, this one is {board_shape[0]} × {board_shape[1]}")
    return _of_cells(np.rot90(np.arange(np.prod(board_shape)).reshape(board_shape)), board_shape, num_actions)


def half_turn(board_shape: tuple[int, int], num_actions: int) -> Symmetry:
    """The board upside down; for games whose actions are cells."""
    return _of_cells(np.arange(np.prod(board_shape)).reshape(board_shape)[::-1, ::-1], board_shape, num_actions)


def transpose(board_shape: tuple[int, int], num_actions: int) -> Symmetry:
    """A square board mirrored at the diagonal from the top left; for games whose actions are cells."""
    if board_shape[0] != board_shape[1]:
        raise GameError(f"transposing needs a square board, this one is {board_shape[0]} × {board_shape[1]}")
    return _of_cells(np.arange(np.prod(board_shape)).reshape(board_shape).T, board_shape, num_actions)


def on_cells(turn: SymmetryMaker, places: Sequence[Sequence[int]]) -> SymmetryMaker:
    """A turn of the board for a game whose action a is played on the cells places[a], as (one), or (from, to).

    An action's image is the one that is played on the images of its cells; actions without cells stay.
    """
    places = [tuple(cells) for cells in places]
    played_on = {cells: action for action, cells in enumerate(places)}

    def make(board_shape: tuple[int, int], num_actions: int) -> Symmetry:
        turned = turn(board_shape, board_shape[0] * board_shape[1])
        images = [played_on[tuple(turned.actions[cell] for cell in cells)] if cells else action
                  for action, cells in enumerate(places)]  # fmt: skip
        return Symmetry(turned.board, tuple(images))

    return make


def group(generators: Iterable[Symmetry], board_cells: int, num_actions: int) -> tuple[Symmetry, ...]:
    """Everything that the generators lead to, the identity first, in an order that depends on them alone."""
    found = [Symmetry(tuple(range(board_cells)), tuple(range(num_actions)))]
    generators = tuple(generators)
    for element in found:
        for generator in generators:
            product = element.then(generator)
            if product not in found:
                found.append(product)
    return tuple(found)


def tables(symmetries: tuple[Symmetry, ...]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Source tables (cells [S, H * W], actions [S, A]): transformed[i] = original[table[s, i]] for both."""
    boards = np.array([symmetry.board for symmetry in symmetries], np.int32)
    actions = np.array([np.argsort(symmetry.actions) for symmetry in symmetries], np.int32)
    return boards, actions


def _of_cells(sources: npt.NDArray[np.int64], board_shape: tuple[int, int], num_actions: int) -> Symmetry:
    """The symmetry whose cell (r, c) shows sources[r, c]; actions are cells (and perhaps a pass) or columns."""
    height, width = board_shape
    flat = sources.reshape(-1)
    images = np.argsort(flat)  # the cell that an action's cell moves to
    if num_actions in (height * width, height * width + 1):
        actions = [int(image) for image in images]
        return Symmetry(tuple(map(int, flat)), (*actions, *range(height * width, num_actions)))
    if num_actions == width and np.array_equal(sources // width, np.arange(height)[:, None] + 0 * sources):
        return Symmetry(tuple(map(int, flat)), tuple(int(image) % width for image in images[:width]))
    raise GameError(
        f"{num_actions} actions on a {height} × {width} board are neither its cells nor its columns; "
        "write the symmetry as a function (board_shape, num_actions) -> Symmetry"
    )
