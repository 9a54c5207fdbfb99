"""Sets of cells as the bits of one 64-bit number: what boards of up to 64 cells can do with a few instructions.

Knows no game; compiled with the rules that call it. Bit c of a number is cell c; cells are numbered row by row.
"""

import numpy as np

NONE, ONE = np.uint64(0), np.uint64(1)


def bit(cell):
    """The set of one cell."""
    return ONE << np.uint64(cell)


def has(cells, cell):
    """Whether the cell is in the set."""
    return (cells >> np.uint64(cell)) & ONE != NONE


def count(cells):
    """How many cells are in the set."""
    number = 0
    while cells != NONE:
        cells &= cells - ONE
        number += 1
    return number
