"""Tic-tac-toe as tables with a hash for a network: what `benchmarks/peer_systems/gumbel_golden.py` searches.

python tests/search/golden_tables.py tables.npz
"""

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from toys import HashEvaluator

from selfplay.evaluation.evaluator import Positions
from selfplay.games.game import ONGOING
from selfplay.games.registry import load_rules

POSITIONS = [[], [4], [0, 1], [0, 4, 8], [4, 0, 2], [0, 3, 1, 4], [0, 1, 4, 8, 2], [4, 2, 0, 8, 5]]


def main() -> None:
    rules = load_rules("tictactoe")
    states = [rules.start(1)]
    index = {rules.describe(states[0]).keys[0].tobytes(): 0}
    after, outcome, prior, value = [], [], [], []
    place = 0
    while place < len(states):
        state = states[place]
        known = rules.describe(state)
        judged = HashEvaluator().evaluate(Positions(rules, state, known.legal, known.keys))
        prior.append(judged.priors[0])
        value.append(judged.values[0])
        after.append([0] * 9)
        outcome.append([ONGOING] * 9)
        for action in known.legal[0].nonzero()[0]:
            child = state.copy()
            then = rules.advance(child, np.array([action], np.int32))
            outcome[place][action] = int(then.outcomes[0])
            if then.outcomes[0] == ONGOING:
                key = then.keys[0].tobytes()
                if key not in index:
                    index[key] = len(states)
                    states.append(child)
                after[place][action] = index[key]
        place += 1
    roots = [index[rules.replay(moves)[1].keys[-1].tobytes()] for moves in POSITIONS]
    np.savez(
        sys.argv[1],
        after=after, outcome=outcome, prior=np.array(prior), value=np.array(value), roots=roots,
        positions=json.dumps(POSITIONS),
    )  # fmt: skip


if __name__ == "__main__":
    main()
