"""Kalah: sow the seeds of one of your houses; a last seed in your store lets you move again.

Seeds go round over the own houses, the own store and the opponent's houses, not over the opponent's store. A last seed
in an empty house of one's own captures it and what lies opposite, if anything does. When one side is empty the game is
over: what is left belongs to the side it lies on, and more seeds win. Houses are numbered in the order of sowing, from
1. Board of the planes: the own houses and store above, the opponent's below; planes: 0 seeds / 16, then one for each
number of seeds from 0 to 14 and more.
"""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from selfplay.games.game import DRAW, LOSS, ONGOING, WIN, Game

MOST_TOLD = 14  # larger numbers of seeds share a plane


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size of the board."""

    houses: Annotated[int, Meta(description="houses of each player", ge=2, le=12)] = 6
    seeds: Annotated[int, Meta(description="seeds in each house at the start", ge=1, le=10)] = 4


def kalah(parameters: Parameters) -> type[Game]:
    """Sow seeds round the board and gather more than the other one; the last seed in your store: move again."""
    houses, seeds = parameters.houses, parameters.seeds
    side = houses + 1  # a player's houses and store

    class Kalah(Game):
        __doc__ = kalah.__doc__

        name, board_shape, num_actions, num_planes = "kalah", (2, side), houses, 2 + MOST_TOLD
        # Seeds only ever come nearer to stores; random games are far from this.
        max_plies, typical_plies = 1000, 2 * houses * seeds
        State = np.dtype(
            [("pits", np.int16, (2, side)), ("to_move", np.int8)]
        )  # of each player: houses, then the store
        board_kind = "squares"

        def start(state):
            for player in range(2):
                for house in range(houses):
                    state.pits[player, house] = seeds
            state.to_move = 0

        def legal(state, mask):
            for house in range(houses):
                mask[house] = state.pits[state.to_move, house] > 0

        def play(state, action):
            player = state.to_move
            where, pit = sow(state.pits, player, action)
            if where != player or pit != houses:
                state.to_move = 1 - player
            if where == player and pit < houses and state.pits[player, pit] == 1:
                opposite = state.pits[1 - player, houses - 1 - pit]
                if opposite > 0:
                    state.pits[player, houses] += 1 + opposite
                    state.pits[player, pit] = state.pits[1 - player, houses - 1 - pit] = 0
            if state.pits[0, :houses].sum() > 0 and state.pits[1, :houses].sum() > 0:
                return ONGOING
            ahead = state.pits[player].sum() - state.pits[1 - player].sum()
            return WIN if ahead > 0 else LOSS if ahead < 0 else DRAW

        def encode(state, planes):
            for row in range(2):
                player = state.to_move if row == 0 else 1 - state.to_move
                for pit in range(side):
                    count = state.pits[player, pit]
                    planes[0, row, pit] = count / 16
                    planes[1 + min(count, MOST_TOLD), row, pit] = 1.0

        def draw(state):
            above = " ".join(f"{count:2}" for count in state.pits[1, houses - 1 :: -1])
            below = " ".join(f"{count:2}" for count in state.pits[0, :houses])
            gap = " " * (3 * houses - 1)
            stores = f"{state.pits[1, houses]:2} {gap} {state.pits[0, houses]:2}"
            return f"   {above}\n{stores}\n   {below}\nplayer {state.to_move + 1} to move"

        def action_name(action):
            return str(action + 1)

    return Kalah


def sow(pits, player, house):
    """Sow the seeds of a house; where the last one fell: (side, pit)."""
    side, where, pit = pits.shape[1], player, house
    seeds = pits[player, house]
    pits[player, house] = 0
    for _ in range(seeds):
        pit += 1
        if pit == side or (pit == side - 1 and where != player):
            where, pit = 1 - where, 0
        pits[where, pit] += 1
    return where, pit
