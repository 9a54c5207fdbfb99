"""Gumbel search against DeepMind's mctx, and the laws that its paper promises."""

import json
from pathlib import Path

import numpy as np
import pytest
from one_slot import advance, decide, explore
from toys import CALM, HashEvaluator, again_value, made

from selfplay.evaluation.cache import CachedEvaluator
from selfplay.evaluation.uniform import UniformEvaluator
from selfplay.search.gumbel import TARGET_SUM, target_at_root
from selfplay.search.halving import wanted_visits
from selfplay.search.method import playing_method, self_play_method
from selfplay.search.search import Search
from selfplay.settings import SearchSettings

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "gumbel_tictactoe.json").read_text())


def search(rules, positions, *, simulations, evaluator=None, **settings):
    plain = {"method": "gumbel", "win_in_one": False, "solver": False, **settings}
    asked = SearchSettings(simulations=simulations, **plain)
    cached = CachedEvaluator(evaluator or HashEvaluator(), rules.info, positions=4096)
    result = Search(rules, cached, playing_method(asked, rules.info), asked, slots=len(positions))
    for slot, moves in enumerate(positions):
        result.put(slot, rules.replay(moves)[0][-1:])
    result.run()
    return result


# --- against mctx (benchmarks/peer_systems/gumbel_golden.py) ------------------------------------------------------


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: f"{case['simulations']} at {case['scale']}")
def test_visits_targets_and_moves_are_those_of_mctx(tictactoe, case):
    found = search(
        tictactoe, GOLDEN["positions"], simulations=case["simulations"], gumbel_scale=case["scale"], gumbel_visits=50
    )
    for slot in range(len(GOLDEN["positions"])):
        facts = found.root(slot)
        assert facts.visits.tolist() == case["visits"][slot]
        assert decide(found, slot, 0, np.random.default_rng(0))[0] == case["actions"][slot]
        weights = np.empty(9, np.float32)
        target_at_root(found._simulator.tree, slot, found.method.constants, weights)
        np.testing.assert_allclose(weights, case["weights"][slot], atol=2e-5)


# --- halving -----------------------------------------------------------------------------------------------------


def test_halving_gives_every_half_an_even_share():
    assert wanted_visits(4, 12) == [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert wanted_visits(1, 3) == [0, 1, 2]
    assert wanted_visits(16, 8) == [0] * 8


@pytest.mark.parametrize("actions", [2, 3, 5, 8, 16, 33])
@pytest.mark.parametrize("simulations", [1, 7, 64, 500])
def test_a_plan_can_be_followed(actions, simulations):
    """Somebody has the wanted number of visits at every simulation, and nobody is passed over in a round."""
    visits = [0] * actions
    plan = wanted_visits(actions, simulations)
    assert len(plan) == simulations
    for wanted in plan:
        visits[visits.index(wanted)] += 1


# --- laws --------------------------------------------------------------------------------------------------------


def test_the_target_improves_on_the_policy(connect4):
    """Its expected value, by the values that the search knows, is at least that of the priors (the paper's (7))."""
    found = search(connect4, [[], [3], [3, 3], [0, 1, 2]], simulations=40, gumbel_scale=0.3)
    for slot in range(4):
        facts = found.root(slot)
        target = decide(found, slot, 0, CALM)[1] / TARGET_SUM
        mixed = facts.q[facts.visits > 0] @ facts.prior[facts.visits > 0] / facts.prior[facts.visits > 0].sum()
        completed = np.where(facts.visits > 0, facts.q, (facts.evaluation + 40 * mixed) / 41)
        assert target.sum() == pytest.approx(1, abs=0.001)
        assert target @ completed >= facts.prior @ completed


def test_noise_makes_games_differ_and_its_absence_does_not(connect4):
    def first_moves(temperature):
        settings = SearchSettings(method="gumbel", simulations=8, temperature=temperature, late_temperature=temperature)
        cached = CachedEvaluator(HashEvaluator(), connect4.info, positions=4096)
        result = Search(connect4, cached, self_play_method(settings, connect4.info), settings, slots=64)
        for slot in range(64):
            result.put(slot, connect4.start(1))
            explore(result, slot, ply=0, legal=np.ones(7, bool), rng=np.random.default_rng(slot))
        result.run()
        return {decide(result, slot, 0, np.random.default_rng(0))[0] for slot in range(64)}

    assert len(first_moves(1.0)) >= 4
    assert len(first_moves(0.0)) == 1


@pytest.mark.parametrize("moves", [[], [0], [1], [0, 1], [1, 0], [1, 1], [0, 1, 0]])
def test_signs_hold_where_a_player_moves_twice_running(again, moves):
    state = again.replay(moves)[0][-1]
    facts = search(again, [moves], simulations=2000, evaluator=UniformEvaluator(), solver=True).root(0)
    assert facts.value == again_value(int(state["left"]), int(state["again"]))


def test_the_only_reply_is_found_whatever_the_noise(connect4):
    """X has three in a column: O has one move that does not lose."""
    moves = [3, 0, 3, 0, 3]
    settings = SearchSettings(method="gumbel", simulations=64, temperature=3.0)
    cached = CachedEvaluator(HashEvaluator(), connect4.info, positions=4096)
    result = Search(connect4, cached, self_play_method(settings, connect4.info), settings, slots=20)
    for slot in range(20):
        result.put(slot, connect4.replay(moves)[0][-1:])
        explore(result, slot, ply=0, legal=np.ones(7, bool), rng=np.random.default_rng(slot))
    result.run()
    assert {decide(result, slot, 0, np.random.default_rng(0))[0] for slot in range(20)} == {3}


def test_a_solved_position_is_played_out_without_searching_again(tictactoe):
    found = search(tictactoe, [[0, 1, 4]], simulations=300, win_in_one=True, solver=True)
    assert found.root(0).outcome == -1
    action = decide(found, 0, 3, np.random.default_rng(0))[0]
    advance(found, 0, action)
    found.run()
    assert found.root(0).outcome == 1
    assert made(found) <= 1
