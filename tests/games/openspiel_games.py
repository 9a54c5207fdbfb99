"""Prints random games as OpenSpiel plays them, one JSON line each, until enough positions are shown.

    python openspiel_games.py connect_four 10000
    python openspiel_games.py "go(board_size=5)" 10000 --superko     leaves out moves that repeat a board, and counts them

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
            player, actions = state.current_player(), state.legal_actions()
            every = len(actions)
            if "--superko" in sys.argv:
                # Any ply ends a game that has become too long: then nothing can be told of it, and a pass is played.
                last = len(plies) + 1 == game.max_game_length()
                actions = [a for a in actions if a == actions[-1] or not (last or state.child(a).is_terminal())]
            action = rng.choice(actions)
            plies.append({"legal": actions, "player": player, "action": action, "repeating": every - len(actions)})
            state.apply_action(action)
        positions -= len(plies) + 1
        print(json.dumps({"plies": plies, "returns": state.returns()}))


if __name__ == "__main__":
    main()
