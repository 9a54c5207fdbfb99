"""OpenSpiel's AlphaZero in Python: its own model, evaluator, search and self-play loop. `openspiel.py linen|nnx`."""

from __future__ import annotations

import sys
import tempfile
import time

import numpy as np
import pyspiel
from driver import NETWORK_BLOCKS, NETWORK_CHANNELS, SIMULATIONS, serve
from open_spiel.python.algorithms.alpha_zero import alpha_zero
from open_spiel.python.algorithms.alpha_zero.evaluator import AlphaZeroEvaluator


class OpenSpiel:
    """The work of one of its actors, move by move."""

    def __init__(self, api: str) -> None:
        self.games = self.moves = self.simulations = self.evaluations = 0
        self._game = pyspiel.load_game("connect_four")
        config = alpha_zero.Config(
            game="connect_four", path=tempfile.mkdtemp(), learning_rate=1e-3, weight_decay=1e-4,
            decouple_weight_decay=True, train_batch_size=128, replay_buffer_size=1000, replay_buffer_reuse=False,
            max_steps=1, checkpoint_freq=1, actors=1, evaluators=0, evaluation_window=1, eval_levels=1, uct_c=1.5,
            max_simulations=SIMULATIONS, policy_alpha=1.0, policy_epsilon=0.25, temperature=1.0, temperature_drop=12,
            nn_model="resnet", nn_width=NETWORK_CHANNELS, nn_depth=NETWORK_BLOCKS,
            observation_shape=tuple(self._game.observation_tensor_shape()),
            output_size=self._game.num_distinct_actions(), verbose=False, quiet=True, nn_api_version=api,
        )  # fmt: skip
        self._model = alpha_zero._init_model_from_config(config)
        self._bot = alpha_zero._init_bot(config, self._game, AlphaZeroEvaluator(self._game, self._model), False)
        self._rng = np.random.default_rng(0)
        self._state = self._game.new_initial_state()

    def advance(self) -> None:
        """A move, as its `_play_game` makes it."""
        root = self._bot.mcts_search(self._state)
        visits = np.zeros(self._game.num_distinct_actions())
        for child in root.children:
            visits[child.action] = child.explore_count
        self._state.apply_action(int(self._rng.choice(len(visits), p=visits / visits.sum())))
        self.moves += 1
        self.simulations += SIMULATIONS
        if self._state.is_terminal():
            self.games += 1
            self._state = self._game.new_initial_state()

    def warm(self, seconds: float) -> None:
        start = time.perf_counter()
        while time.perf_counter() - start < seconds:
            self.advance()

    def bare(self, seconds: float) -> float:
        """One position at a time: its search knows no other way."""
        state = self._game.new_initial_state()
        observation, mask = np.array(state.observation_tensor()), np.array(state.legal_actions_mask())
        passes, start = 0, time.perf_counter()
        while (now := time.perf_counter()) - start < seconds:
            np.asarray(self._model.inference(observation, mask)[0])
            passes += 1
        return passes / (now - start)


if __name__ == "__main__":
    serve(OpenSpiel(sys.argv[1]))
