"""Lines of stones, for games that are won by them. Knows no game; compiled with the rules that call it."""

import numpy as np

DIRECTIONS = np.array([[0, 1], [1, 0], [1, 1], [1, -1]], np.int8)  # (down, right) of the four lines through a cell


def longest_line(stones, row, column):
    """Length of the longest line of equal stones [H, W] through the one at (row, column)."""
    longest = 0
    for direction in range(4):
        down, right = DIRECTIONS[direction, 0], DIRECTIONS[direction, 1]
        length = 1 + run_length(stones, row, column, down, right) + run_length(stones, row, column, -down, -right)
        longest = max(longest, length)
    return longest


def makes_exactly(stones, row, column, wanted):
    """Whether some line of equal stones [H, W] through (row, column) is just so long, and no longer."""
    for direction in range(4):
        down, right = DIRECTIONS[direction, 0], DIRECTIONS[direction, 1]
        length = 1 + run_length(stones, row, column, down, right) + run_length(stones, row, column, -down, -right)
        if length == wanted:
            return True
    return False


def run_length(stones, row, column, down, right):
    """How many equal stones follow the one at (row, column) in a direction."""
    stone, length = stones[row, column], 0
    r, c = row + down, column + right
    while 0 <= r < stones.shape[0] and 0 <= c < stones.shape[1] and stones[r, c] == stone:
        length += 1
        r, c = r + down, c + right
    return length
