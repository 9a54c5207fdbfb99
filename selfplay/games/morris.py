"""Nine Men's Morris: set nine men each, then move them along the lines; three in a line, a mill, take one of the
other's.

A mill's owner moves again, to take a man that stands in no mill, or any where all do. Who has three men left may move
them anywhere; who has two, or cannot move, has lost. After MOST_TURNS turns the game is drawn. Points are numbered row
by row, 0 to 23. Actions: the points (to set a man, or to take one), then from × to. The board of the planes is 7 × 7,
with holes. Planes, as seen by the player to move: 0 own men, 1 the opponent's, 2 ones if a man is to be taken, 3 and 4
men to set / 9, 5 and 6 ones where three men are left, 7 turns / MOST_TURNS.
"""

import numpy as np

from selfplay.games.game import DRAW, ONGOING, WIN, Game
from selfplay.games.symmetry import mirror_columns, on_cells, rotate

POINTS, MEN, MOST_TURNS = 24, 9, 200
BOARD = ("o..o..o", ".o.o.o.", "..ooo..", "ooo.ooo", "..ooo..", ".o.o.o.", "o..o..o")  # where points are
CELLS = np.array([(r, c) for r in range(7) for c in range(7) if BOARD[r][c] == "o"], np.int8)  # [24, 2]
# The sixteen lines of three points; neighbours along them are joined.
LINES = np.array(
    [
        [0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11], [12, 13, 14], [15, 16, 17], [18, 19, 20], [21, 22, 23],
        [0, 9, 21], [3, 10, 18], [6, 11, 15], [1, 4, 7], [16, 19, 22], [8, 12, 17], [5, 13, 20], [2, 14, 23],
    ],
    np.int8,
)  # fmt: skip


def _neighbours() -> np.ndarray:
    """The points [24, 4] that are joined with each point by a line, -1 behind the last."""
    pairs = [pair for a, b, c in LINES.tolist() for pair in ((a, b), (b, a), (b, c), (c, b))]
    return np.array([(sorted(b for a, b in pairs if a == point) + [-1] * 4)[:4] for point in range(POINTS)])


def _mills() -> np.ndarray:
    """The two others [24, 2, 2] of both lines through each point."""
    lines = LINES.tolist()
    return np.array([[[a for a in line if a != point] for line in lines if point in line] for point in range(POINTS)])


def _places() -> list[tuple[int, ...]]:
    """The cells of the 7 × 7 board that each action is played on."""
    cell = [int(7 * row + column) for row, column in CELLS]
    moves = [(cell[a], cell[b]) if a != b else () for a in range(POINTS) for b in range(POINTS)]
    return [(point,) for point in cell] + moves


NEIGHBOURS, MILLS, PLACES = _neighbours(), _mills(), _places()


class NineMensMorris(Game):
    """Make mills, three men in a line, to take the other one's men."""

    name, board_shape, num_actions, num_planes = "morris", (7, 7), POINTS + POINTS * POINTS, 8
    max_plies, typical_plies = 2 * MOST_TURNS, 100
    State = np.dtype(
        [
            ("men", np.int8, (POINTS,)),  # 0 none, else player + 1
            ("to_set", np.int8, (2,)),
            ("left", np.int8, (2,)),  # on the board and to be set
            ("takes", np.int8),  # 1 where a mill was made and a man is to be taken
            ("turns", np.int16),
            ("to_move", np.int8),
        ]
    )
    symmetries = (on_cells(rotate, PLACES), on_cells(mirror_columns, PLACES))

    def start(state):
        state.to_set[:] = MEN
        state.left[:] = MEN
        state.to_move = 0

    def legal(state, mask):
        player, men = state.to_move, state.men
        if state.takes == 1:
            all_in_mills = not has_man_outside_mills(men, 2 - player)
            for point in range(POINTS):
                if men[point] == 2 - player:
                    mask[point] = all_in_mills or not in_mill(men, point)
        elif state.to_set[player] > 0:
            for point in range(POINTS):
                mask[point] = men[point] == 0
        else:
            flies = state.left[player] <= 3
            for source in range(POINTS):
                if men[source] != player + 1:
                    continue
                for way in range(POINTS if flies else 4):
                    target = way if flies else NEIGHBOURS[source, way]
                    if target >= 0 and men[target] == 0:
                        mask[POINTS + source * POINTS + target] = True

    def play(state, action):
        player = state.to_move
        if state.takes == 1:
            state.men[action] = 0
            state.left[1 - player] -= 1
            state.takes = 0
        else:
            if action < POINTS:
                point = action
                state.to_set[player] -= 1
            else:
                point = (action - POINTS) % POINTS
                state.men[(action - POINTS) // POINTS] = 0
            state.men[point] = player + 1
            if in_mill(state.men, point):
                state.takes = 1
                return ONGOING
        state.to_move = 1 - player
        state.turns += 1
        if not can_move(state, 1 - player) or state.left[1 - player] <= 2:
            return WIN
        return DRAW if state.turns >= MOST_TURNS else ONGOING

    def encode(state, planes):
        own, other = state.to_move, 1 - state.to_move
        for point in range(POINTS):
            if state.men[point] != 0:
                planes[0 if state.men[point] == own + 1 else 1, CELLS[point, 0], CELLS[point, 1]] = 1.0
        planes[2, :, :] = state.takes
        planes[3, :, :] = state.to_set[own] / MEN
        planes[4, :, :] = state.to_set[other] / MEN
        planes[5, :, :] = 1.0 if state.left[own] == 3 else 0.0
        planes[6, :, :] = 1.0 if state.left[other] == 3 else 0.0
        planes[7, :, :] = state.turns / MOST_TURNS

    def pieces(state):
        rows = [list(row.replace(".", " ")) for row in BOARD]
        for (row, column), man in zip(CELLS, state.men, strict=True):
            rows[row][column] = ".XO"[man]
        return ["".join(row) for row in rows]

    def cells(state, action):
        return [divmod(cell, 7) for cell in PLACES[action]]

    def draw(state):
        marks = [".XO"[man] for man in state.men]
        drawn = DRAWING.format(*marks)
        doing = "takes a man" if state.takes else "sets a man" if state.to_set[state.to_move] else "moves"
        return f"{drawn}\nplayer {state.to_move + 1} {doing}; to set: {state.to_set[0]}, {state.to_set[1]}"

    def action_name(action):
        if action < POINTS:
            return str(action + 1)
        return f"{(action - POINTS) // POINTS + 1}-{(action - POINTS) % POINTS + 1}"


DRAWING = """{}-----{}-----{}
| {}---{}---{} |
| | {}-{}-{} | |
{}-{}-{}   {}-{}-{}
| | {}-{}-{} | |
| {}---{}---{} |
{}-----{}-----{}"""


def in_mill(men, point):
    """Whether the man on a point stands in a line of three of his colour."""
    man = men[point]
    for line in range(2):
        if men[MILLS[point, line, 0]] == man and men[MILLS[point, line, 1]] == man:
            return True
    return False


def has_man_outside_mills(men, man):
    """Whether some man of a colour (player + 1) stands in no mill."""
    for point in range(POINTS):
        if men[point] == man and not in_mill(men, point):
            return True
    return False


def can_move(state, player):
    """Whether a player who has no man to take can do anything."""
    if state.to_set[player] > 0 or state.left[player] <= 3:
        return True  # some point is free: at most eighteen men are set
    men = state.men
    for source in range(POINTS):
        if men[source] == player + 1:
            for way in range(4):
                target = NEIGHBOURS[source, way]
                if target >= 0 and men[target] == 0:
                    return True
    return False
