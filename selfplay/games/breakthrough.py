"""Breakthrough: pawns step forward, straight or diagonally, and capture diagonally; who reaches the far row wins.

The first player's pawns begin in the upper two rows and go down, the second player's go up. Losing all pawns loses too.
An action is a cell times six directions: down-left, down, down-right, up-left, up, up-right. Planes, as seen by the
player to move: 0 own pawns, 1 the opponent's, 2 ones if the first player is to move (who goes down).
"""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from selfplay.games.coordinates import cell_name, with_coordinates
from selfplay.games.game import ONGOING, WIN, Game
from selfplay.games.symmetry import mirror_columns, on_cells

STEPS = np.array([[1, -1], [1, 0], [1, 1], [-1, -1], [-1, 0], [-1, 1]], np.int8)  # (down, right) of each direction


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size of the board."""

    rows: Annotated[int, Meta(description="rows", ge=4, le=16)] = 8
    columns: Annotated[int, Meta(description="columns", ge=2, le=16)] = 8


def breakthrough(parameters: Parameters) -> type[Game]:
    """Bring a pawn to the far row."""
    rows, columns = parameters.rows, parameters.columns
    ranks = 2 if rows >= 6 else 1  # rows full of pawns at the start, as in OpenSpiel
    actions = rows * columns * 6

    class Breakthrough(Game):
        __doc__ = breakthrough.__doc__

        name, board_shape, num_actions, num_planes = "breakthrough", (rows, columns), actions, 3
        # Every ply brings a pawn a row on, and one that has come all the way ends the game.
        max_plies = 2 * columns * sum(rows - 2 - rank for rank in range(ranks)) + 1
        typical_plies = max_plies // 2
        board_kind = "chequered"
        State = np.dtype(
            [
                ("pawns", np.int8, (rows, columns)),
                ("left", np.int16, (2,)),
                ("to_move", np.int8),
            ]  # 0 none, else player + 1
        )
        symmetries = (on_cells(mirror_columns, places_of(rows, columns)),)

        def start(state):
            for column in range(columns):
                for rank in range(ranks):
                    state.pawns[rank, column] = 1
                    state.pawns[rows - 1 - rank, column] = 2
            state.left[:] = ranks * columns
            state.to_move = 0

        def legal(state, mask):
            own, first = state.to_move + 1, 3 * state.to_move
            for cell in range(rows * columns):
                if state.pawns[cell // columns, cell % columns] != own:
                    continue
                for direction in range(first, first + 3):
                    row, column = cell // columns + STEPS[direction, 0], cell % columns + STEPS[direction, 1]
                    if 0 <= row < rows and 0 <= column < columns:
                        there = state.pawns[row, column]
                        is_diagonal = STEPS[direction, 1] != 0
                        mask[cell * 6 + direction] = there == 0 or (there == 3 - own and is_diagonal)

        def play(state, action):
            player, cell, direction = state.to_move, action // 6, action % 6
            row, column = cell // columns + STEPS[direction, 0], cell % columns + STEPS[direction, 1]
            if state.pawns[row, column] != 0:
                state.left[1 - player] -= 1
            state.pawns[cell // columns, cell % columns] = 0
            state.pawns[row, column] = player + 1
            state.to_move = 1 - player
            arrived = row == (rows - 1 if player == 0 else 0)
            return WIN if arrived or state.left[1 - player] == 0 else ONGOING

        def encode(state, planes):
            for row in range(rows):
                for column in range(columns):
                    planes[2, row, column] = 1.0 - state.to_move
                    if state.pawns[row, column] != 0:
                        planes[0 if state.pawns[row, column] == state.to_move + 1 else 1, row, column] = 1.0

        def pieces(state):
            return ["".join(".XO"[pawn] for pawn in row) for row in state.pawns]

        def cells(state, action):
            return [divmod(cell, columns) for cell in places_of(rows, columns)[action]]

        def draw(state):
            return with_coordinates(Breakthrough.pieces(state))

        def action_name(action):
            row, column = divmod(action // 6, columns)
            down, right = (int(step) for step in STEPS[action % 6])
            if 0 <= row + down < rows and 0 <= column + right < columns:
                return cell_name(row, column, rows) + cell_name(row + down, column + right, rows)
            return f"{cell_name(row, column, rows)} off {'down' if down > 0 else 'up'} {right}"  # never legal

    return Breakthrough


def places_of(rows: int, columns: int) -> list[tuple[int, ...]]:
    """From and to of each action as cells; a step off the board goes to a number of its own that no cell has."""
    places: list[tuple[int, ...]] = []
    for action in range(rows * columns * 6):
        cell, direction = divmod(action, 6)
        row, column = cell // columns + int(STEPS[direction, 0]), cell % columns + int(STEPS[direction, 1])
        inside = 0 <= row < rows and 0 <= column < columns
        places.append((cell, row * columns + column) if inside else ())
    return places
