"""Settings for a game that nobody has tuned: from the size of its board, how long games are, and how many moves there
are.

Read off the presets, whose games were tuned: they are where to start, not the best there is. A function of the rules.
Even openings and the end foretold, which Connect Four owes much to, are not among them: in other games they are no sure
gain (docs/ablations.md, "Other games").
"""

from __future__ import annotations

import numpy as np

from selfplay.config import Tree, preset, presets
from selfplay.games.game import Rules
from selfplay.games.random_play import random_game
from selfplay.games.registry import load_rules

GAMES = 40  # played at random to learn what the game is like
MANY_ACTIONS = 25  # legal ones, from which on few simulations are spread better by Gumbel search
# Cells of the board -> blocks and channels of a network that two cores can play with.
NETWORKS = ((16, 2, 32), (64, 4, 32), (100, 4, 48), (400, 5, 64))
MOST_WEIGHTS = 2_000_000  # of the policy head's last layer
ROUND_POSITIONS = 6_000  # about so many new ones in a round
LONG_GAME = 100  # plies; random play to the end of longer games is no cheap opponent


def settings_for(spec: str) -> Tree:
    """The preset that carries the game's name, else what `suggested` says; for a resolved spec."""
    name = preset_name(spec)
    return preset(name) if name in presets() else suggested(load_rules(spec))


def preset_name(spec: str) -> str:
    """What the preset of a game is called: `othello-size-6` of `othello:size=6`."""
    return spec.replace(":", "-").replace(",", "-").replace("=", "-")


def suggested(rules: Rules) -> Tree:
    """Settings for a game, as nested dictionaries."""
    info = rules.info
    plies, legal = _seen_at_random(rules)
    cells = info.board_shape[0] * info.board_shape[1]
    blocks, channels = next((b, c) for most, b, c in (*NETWORKS, (cells, *NETWORKS[-1][1:])) if cells <= most)
    gumbel = legal > MANY_ACTIONS
    return {
        "network": {
            "blocks": blocks,
            "channels": channels,
            "policy_channels": int(np.clip(MOST_WEIGHTS // (cells * info.num_actions), 2, 16)),
        },
        "search": {
            "method": "gumbel" if gumbel else "puct",
            "simulations": 48 if gumbel else 64,
            "noise_alpha": round(float(np.clip(10 / legal, 0.03, 1.0)), 2),
            "temperature_plies": max(2, round(0.15 * min(plies, info.typical_plies))),
            "late_temperature": 0.0,
            "opening_share": 0.5,
            "opening_plies": max(1, round(0.5 * min(plies, info.typical_plies))),
            "win_in_one": rules.is_compiled,
        },
        "selfplay": {"games_per_round": int(np.clip(round(ROUND_POSITIONS / plies, -1), 50, 500))},
        "training": {
            "passes": 4.0,
            "learning_rate": 0.004,
            "value_lambda": 0.9,
            "window_start": max(20_000, round(1_000 * plies)),
        },
        "evaluation": {
            "every": 5,
            "games": 50,
            "opponents": ["random", "rollout:100"] if plies <= LONG_GAME and rules.is_compiled else ["random"],
        },
    }


def _seen_at_random(rules: Rules) -> tuple[float, float]:
    """Plies and legal actions of random games, on average."""
    games = [random_game(rules, np.random.default_rng([0, number])) for number in range(GAMES)]
    legal = [float(rules.replay(moves[:-1])[1].legal.sum(axis=1).mean()) for moves in games]
    return float(np.mean([len(moves) for moves in games])), float(np.mean(legal))
