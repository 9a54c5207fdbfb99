"""Prints random games as OpenSpiel plays them, one JSON line each, until enough positions are shown.

    python openspiel_games.py connect_four 10000

A program of its own: OpenSpiel and torch in one process crash now and then when that process ends.
"""

import json
import random
import sys

import pyspiel


def main() -> None:
    game, positions, rng = pyspiel.load_game(sys.argv[1]), int(sys.argv[2]), random.Random(11)
    while positions > 0:
        state, plies = game.new_initial_state(), []
        while not state.is_terminal():
            action = rng.choice(state.legal_actions())
            plies.append({"legal": state.legal_actions(), "player": state.current_player(), "action": action})
            state.apply_action(action)
        positions -= len(plies) + 1
        print(json.dumps({"plies": plies, "returns": state.returns()}))


if __name__ == "__main__":
    main()
