"""mctx searching in pgx's Connect Four, all of it compiled by JAX: `mctx_pgx.py puct|gumbel BATCH`.

After pgx's own example of AlphaZero: games side by side in one array, started anew where they end.
"""

from __future__ import annotations

import sys
import time
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import mctx
import pgx
from driver import NETWORK_BLOCKS, NETWORK_CHANNELS, SIMULATIONS, serve
from pgx.experimental import auto_reset

POLICIES = {
    "puct": partial(mctx.muzero_policy, dirichlet_fraction=0.25, dirichlet_alpha=1.0),
    "gumbel": partial(mctx.gumbel_muzero_policy, qtransform=mctx.qtransform_completed_by_mix_value),
}


class Block(nn.Module):
    channels: int

    @nn.compact
    def __call__(self, features):
        convolution = partial(nn.Conv, self.channels, (3, 3), use_bias=False)
        norm = partial(nn.BatchNorm, use_running_average=True)
        return nn.relu(features + norm()(convolution()(nn.relu(norm()(convolution()(features))))))


class Network(nn.Module):
    """The network that all systems play with."""

    blocks: int
    channels: int
    actions: int

    @nn.compact
    def __call__(self, planes):
        norm = partial(nn.BatchNorm, use_running_average=True)
        features = nn.relu(norm()(nn.Conv(self.channels, (3, 3), use_bias=False)(planes)))
        for _ in range(self.blocks):
            features = Block(self.channels)(features)
        heads = [nn.relu(norm()(nn.Conv(16, (1, 1), use_bias=False)(features))) for _ in range(2)]
        policy, value = (head.reshape(len(head), -1) for head in heads)
        return nn.Dense(self.actions)(policy), jnp.tanh(nn.Dense(1)(nn.relu(nn.Dense(64)(value))))[:, 0]


class MctxPgx:
    """A batch of games, one move in each at a time."""

    def __init__(self, policy: str, batch: int) -> None:
        self.games = self.moves = self.simulations = self.evaluations = 0
        self._batch, self._env = batch, pgx.make("connect_four")
        self._network = Network(NETWORK_BLOCKS, NETWORK_CHANNELS, self._env.num_actions)
        self._key = jax.random.PRNGKey(0)
        self._state = jax.jit(jax.vmap(self._env.init))(jax.random.split(self._key, batch))
        self._weights = self._network.init(self._key, self._planes(self._state))
        self._move = jax.jit(partial(self._moved, POLICIES[policy]))
        self._forward = jax.jit(self._network.apply)

    @staticmethod
    def _planes(state):
        return state.observation.astype(jnp.float32)

    def _judged(self, weights, state):
        logits, value = self._network.apply(weights, self._planes(state))
        logits = jnp.where(state.legal_action_mask, logits, jnp.finfo(logits.dtype).min)
        return logits, jnp.where(state.terminated, 0.0, value)

    def _recurrent(self, weights, key, action, state):
        mover = state.current_player
        state = jax.vmap(self._env.step)(state, action)
        logits, value = self._judged(weights, state)
        reward = state.rewards[jnp.arange(self._batch), mover]
        discount = jnp.where(state.terminated, 0.0, -1.0)
        return mctx.RecurrentFnOutput(reward=reward, discount=discount, prior_logits=logits, value=value), state

    def _moved(self, policy, weights, state, key):
        """The states after a move in each game, and how many games ended."""
        logits, value = self._judged(weights, state)
        key, search_key = jax.random.split(key)
        root = mctx.RootFnOutput(prior_logits=logits, value=value, embedding=state)
        found = policy(
            params=weights, rng_key=search_key, root=root, recurrent_fn=self._recurrent,
            num_simulations=SIMULATIONS, invalid_actions=~state.legal_action_mask,
        )  # fmt: skip
        keys = jax.random.split(key, self._batch)
        state = jax.vmap(auto_reset(self._env.step, self._env.init))(state, found.action, keys)
        return state, state.terminated.sum(), key

    def advance(self) -> None:
        self._state, ended, self._key = self._move(self._weights, self._state, self._key)
        self.games += int(ended)
        self.moves += self._batch
        self.simulations += self._batch * SIMULATIONS

    def warm(self, seconds: float) -> None:
        start = time.perf_counter()
        while time.perf_counter() - start < seconds:
            self.advance()

    def bare(self, seconds: float) -> float:
        planes = self._planes(self._state)
        jax.block_until_ready(self._forward(self._weights, planes))
        runs, start = 0, time.perf_counter()
        while (now := time.perf_counter()) - start < seconds:
            jax.block_until_ready(self._forward(self._weights, planes))
            runs += 1
        return runs * self._batch / (now - start)


if __name__ == "__main__":
    serve(MctxPgx(sys.argv[1], int(sys.argv[2])))
