"""DeepMind's mctx searching a game given as tables: where `tests/golden/gumbel_tictactoe.json` comes from.

    python tests/search/golden_tables.py tables.npz
    benchmarks/.environments/mctx_pgx/bin/python benchmarks/peer_systems/gumbel_golden.py tables.npz golden.json

The tables hold, by state: the state after each action, who moves, the outcome for who moved there, priors and values.
`gumbel_scale` 0 takes all chance out of mctx; its Q is used as it is (`rescale_values` off).
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import mctx
import numpy as np

SIMULATIONS = (1, 2, 7, 16, 32, 100)
SCALES = (0.1, 0.5)
ONGOING = 2


def search(tables, roots, simulations, scale):
    """Visits and action weights [n, A] of the states in `roots`."""
    after, outcome, prior, value = (jnp.array(tables[name]) for name in ("after", "outcome", "prior", "value"))
    logits = jnp.where(prior > 0, jnp.log(jnp.maximum(prior, 1e-30)), -1e9)

    def recurrent(params, key, action, state):
        # Players take turns in this game. Behind the end of a game nothing counts.
        child, ended = after[state, action], outcome[state, action] != ONGOING
        reward = jnp.where(ended, outcome[state, action], 0).astype(jnp.float32)
        found = mctx.RecurrentFnOutput(
            reward=reward,
            discount=jnp.where(ended, 0.0, -1.0),
            prior_logits=logits[child],
            value=jnp.where(ended, 0.0, value[child]),
        )
        return found, child

    roots = jnp.array(roots)
    found = mctx.gumbel_muzero_policy(
        params=None,
        rng_key=jax.random.PRNGKey(0),
        root=mctx.RootFnOutput(prior_logits=logits[roots], value=value[roots], embedding=roots),
        recurrent_fn=recurrent,
        num_simulations=simulations,
        invalid_actions=prior[roots] <= 0,
        max_num_considered_actions=16,
        gumbel_scale=0.0,
        qtransform=partial(mctx.qtransform_completed_by_mix_value, value_scale=scale, rescale_values=False),
    )
    summary = found.search_tree.summary()
    return np.array(summary.visit_counts), np.array(found.action_weights), np.array(found.action)


def main() -> None:
    tables = np.load(sys.argv[1])
    cases = []
    for simulations in SIMULATIONS:
        for scale in SCALES:
            visits, weights, actions = search(tables, tables["roots"], simulations, scale)
            cases.append(
                {
                    "simulations": simulations,
                    "scale": scale,
                    "visits": visits.tolist(),
                    "weights": np.round(weights, 5).tolist(),
                    "actions": actions.tolist(),
                }
            )
    golden = {"mctx": mctx.__version__, "positions": json.loads(str(tables["positions"])), "cases": cases}
    Path(sys.argv[2]).write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
