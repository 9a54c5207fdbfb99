"""Sequential halving as a plan: how often an action must have been visited to be the next one.

Karnin, Koren, Somekh 2013, "Almost Optimal Exploration in Multi-Armed Bandits"; as used at the root by Danihelka et al.
2022, "Policy improvement by planning with Gumbel", algorithm 2. Plain lists of ints: knows nothing of trees.
"""

from __future__ import annotations


def wanted_visits(actions: int, simulations: int) -> list[int]:
    """For each simulation, the visits that the action it goes to has so far, where so many actions are considered.

    All are visited alike, then the better half of them, and so on down to two, each round with an even share of the
    simulations.

    >>> wanted_visits(4, 12)
    [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    """
    if actions <= 1:
        return list(range(simulations))
    rounds = (actions - 1).bit_length()
    plan: list[int] = []
    visits = 0  # of each action that is still considered
    while len(plan) < simulations:
        for _ in range(max(1, simulations // (rounds * actions))):
            plan += [visits] * actions
            visits += 1
        actions = max(2, actions // 2)
    return plan[:simulations]
