"""The search against a slow twin in plain Python, toy games with known values, and a golden tree."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from one_slot import advance, decide, explore
from toys import HashEvaluator, again_value, made, minimax

from selfplay.evaluation.cache import CachedEvaluator
from selfplay.evaluation.evaluator import Evaluation, Positions
from selfplay.evaluation.uniform import UniformEvaluator
from selfplay.games.game import ONGOING, WIN
from selfplay.search.method import playing_method
from selfplay.search.puct import Puct, draw
from selfplay.search.search import Search
from selfplay.settings import SearchSettings

GOLDEN = Path(__file__).parents[1] / "golden" / "puct_tictactoe.json"


def remembering(evaluator, rules, positions=4096):
    return CachedEvaluator(evaluator, rules.info, positions=positions)


def search(rules, positions, *, simulations=64, evaluator=None, **settings):
    """Finished searches of the positions after these lists of moves, side by side."""
    asked = SearchSettings(simulations=simulations, **{"win_in_one": False, "solver": False, **settings})
    method = playing_method(asked, rules.info)
    result = Search(rules, remembering(evaluator or HashEvaluator(), rules), method, asked, slots=len(positions))
    for slot, moves in enumerate(positions):
        result.put(slot, rules.replay(moves)[0][-1:])
    result.run()
    return result


# --- the slow twin ---------------------------------------------------------------------------------------------


class Node:
    """A node of the twin: values are seen by its own player to move."""

    def __init__(self, rules, evaluator, state, known):
        self.state, self.mover = state, int(known.to_move[0])
        self.legal, self.children = np.flatnonzero(known.legal[0]), {}
        self.count = dict.fromkeys(self.legal.tolist(), 0)
        self.total = dict.fromkeys(self.legal.tolist(), 0.0)
        self.outcome = int(known.outcomes[0])
        if self.outcome == ONGOING:
            priors, values = evaluator.evaluate(Positions(rules, state, known.legal, known.keys))
            self.prior, self.value = priors[0], float(values[0])


class ByTheRules:
    """The twin of `win_in_one`: an evaluator that plays every move, and judges by another where none wins."""

    def __init__(self, evaluator):
        self.evaluator = evaluator

    def evaluate(self, positions):
        def wins(action):
            known = positions.rules.advance(positions.states.copy(), np.array([action], np.int32))
            return positions.legal[0, action] and known.outcomes[0] == WIN

        winning = np.array([wins(action) for action in range(positions.legal.shape[1])])
        if not winning.any():
            return self.evaluator.evaluate(positions)
        return Evaluation((winning / winning.sum())[None].astype(np.float32), np.ones(1, np.float32))


def simulate(rules, evaluator, node, settings):
    """One simulation; the value of what it found, seen by node's player to move."""
    visits = sum(node.count.values())
    mean = (node.value + sum(node.total.values())) / (1 + visits)
    seen = sum(float(node.prior[a]) for a in node.count if node.count[a])
    c = settings.c_puct + math.log((visits + settings.c_puct_base + 1) / settings.c_puct_base)

    def score(action):
        count = node.count[action]
        q = node.total[action] / count if count else mean - settings.fpu_reduction * math.sqrt(seen)
        return q + c * float(node.prior[action]) * math.sqrt(max(1, visits)) / (1 + count)

    action = max(node.count, key=score)
    if action not in node.children:
        state = node.state.copy()
        known = rules.advance(state, np.array([action], np.int32))
        child = node.children[action] = Node(rules, evaluator, state, known)
        seen_by_mover = (
            child.outcome if child.outcome != ONGOING else child.value * (1 if child.mover == node.mover else -1)
        )
    else:
        child = node.children[action]
        if child.outcome != ONGOING:
            seen_by_mover = child.outcome
        else:
            value = simulate(rules, evaluator, child, settings)
            seen_by_mover = value if child.mover == node.mover else -value
    node.count[action] += 1
    node.total[action] += seen_by_mover
    return seen_by_mover


@pytest.mark.parametrize("win_in_one", [False, True])
@pytest.mark.parametrize(
    ("game", "moves"), [("tictactoe", [4]), ("connect4", [3, 3, 3]), ("again", []), ("objects", [])]
)
def test_visits_are_those_of_a_slow_twin_in_plain_python(request, game, moves, win_in_one):
    rules, settings = request.getfixturevalue(game), SearchSettings(simulations=120)
    evaluator = ByTheRules(HashEvaluator()) if win_in_one else HashEvaluator()
    found = search(rules, [moves], simulations=120, win_in_one=win_in_one).root(0)
    states, _ = rules.replay(moves)
    root = Node(rules, evaluator, states[-1:], rules.describe(states[-1:].copy()))
    for _ in range(120):
        simulate(rules, evaluator, root, settings)
    expected = np.zeros(rules.info.num_actions, int)
    for action, count in root.count.items():
        expected[action] = count
    np.testing.assert_array_equal(found.visits, expected)
    assert found.value == pytest.approx((root.value + sum(root.total.values())) / 121, abs=1e-5)


def test_the_golden_tree_has_not_changed(tictactoe):
    golden = json.loads(GOLDEN.read_text())
    result = search(tictactoe, golden["positions"], simulations=golden["simulations"])
    for slot in range(len(golden["positions"])):
        facts = result.root(slot)
        assert facts.visits.tolist() == golden["visits"][slot]
        assert facts.value == pytest.approx(golden["values"][slot], abs=1e-6)
        assert facts.line == golden["lines"][slot]


def test_a_win_in_one_is_judged_by_the_rules_alone(connect4):
    """X has three in the bottom row, open on both sides; one simulation, and the evaluator is never asked."""
    result = search(connect4, [[2, 2, 3, 3, 4, 4]], simulations=1, evaluator=Refusing(), win_in_one=True)
    facts = result.root(0)
    assert facts.evaluation == facts.value == 1.0
    assert facts.prior.tolist() == [0, 0.5, 0, 0, 0, 0.5, 0]
    assert facts.visits.tolist() == [0, 1, 0, 0, 0, 0, 0]


class Refusing:
    """Knows nothing."""

    def evaluate(self, positions):
        raise AssertionError("asked, though the rules decide")


# --- laws --------------------------------------------------------------------------------------------------------


def test_a_game_searched_alone_equals_the_game_in_the_batch(connect4):
    rng = np.random.default_rng(0)
    positions = [rng.permutation(7)[: rng.integers(0, 6)].tolist() for _ in range(17)]
    together = search(connect4, positions)
    for slot, moves in enumerate(positions):
        alone, batched = search(connect4, [moves]).root(0), together.root(slot)
        np.testing.assert_array_equal(alone.visits, batched.visits)
        assert alone.value == batched.value


def test_the_root_gets_exactly_its_visits(tictactoe):
    for simulations in (1, 2, 33):
        assert search(tictactoe, [[]], simulations=simulations).root(0).visits.sum() == simulations


def test_illegal_actions_are_never_visited(tictactoe):
    facts = search(tictactoe, [[0, 4, 8]], simulations=200).root(0)
    assert facts.visits[[0, 4, 8]].sum() == 0
    assert facts.prior[[0, 4, 8]].sum() == 0


@pytest.mark.parametrize("moves", [[0, 3, 1, 4], [0, 1, 3, 4, 8], [0, 4, 8]])
def test_wins_are_taken_and_losses_avoided(tictactoe, moves):
    facts = search(tictactoe, [moves], simulations=400, evaluator=UniformEvaluator()).root(0)
    best = int(facts.visits.argmax())
    after = minimax(tictactoe, (*moves, best)) if tictactoe.replay([*moves, best])[1].outcomes[-1] == ONGOING else -1
    assert -after == minimax(tictactoe, tuple(moves))


def test_a_proven_win_shows_in_the_value(tictactoe):
    won = search(tictactoe, [[0, 3, 1, 4]], simulations=300, evaluator=UniformEvaluator()).root(0)
    assert won.value > 0.8
    assert won.q[2] == 1.0
    assert won.line[0] == 2


@pytest.mark.parametrize("moves", [[], [0], [1], [0, 1], [1, 0], [1, 1], [0, 1, 0]])
def test_signs_hold_where_a_player_moves_twice_running(again, moves):
    """With 2,000 simulations and no knowledge, the value has the sign of perfect play."""
    state = again.replay(moves)[0][-1]
    perfect = again_value(int(state["left"]), int(state["again"]))
    facts = search(again, [moves], simulations=2000, evaluator=UniformEvaluator()).root(0)
    best = int(facts.visits.argmax())
    after, known = again.replay([*moves, best])
    if known.outcomes[-1] != ONGOING:
        reached = int(known.outcomes[-1])
    else:
        reached = again_value(int(after[-1]["left"]), int(after[-1]["again"]))
        reached *= 1 if known.to_move[-1] == known.to_move[-2] else -1
    assert reached == perfect
    assert abs(facts.value - perfect) < 0.5


class Planted:
    """Values planted by player: whoever is player 0 is sure to win."""

    def evaluate(self, positions: Positions) -> Evaluation:
        priors, _ = UniformEvaluator().evaluate(positions)
        to_move = positions.rules.describe(positions.states.copy()).to_move
        return Evaluation(priors, np.where(to_move == 0, 1, -1).astype(np.float32))


@pytest.mark.parametrize("moves", [[], [0]])
def test_planted_values_are_backed_up_with_the_right_sign(again, moves):
    """One simulation: player 0 to move at the root in both positions, and sure to win whatever the leaf's mover."""
    for simulations in (1, 2, 3):
        assert search(again, [moves], simulations=simulations, evaluator=Planted()).root(0).value == 1.0


def test_reusing_the_tree_keeps_what_was_known_of_the_subtree(connect4):
    result = search(connect4, [[]], simulations=200)
    root = result.root(0)
    action = int(root.visits.argmax())
    expected = root.visits[action] - 1  # the first visit evaluated the child itself
    line = root.line
    advance(result, 0, action)
    again = result.root(0)
    assert again.visits.sum() == expected
    assert again.line == line[1:]
    np.testing.assert_array_equal(result.state(0), connect4.replay([action])[0][-1:])
    result.run()
    assert result.root(0).visits.sum() == 200
    assert made(result) == 200 - expected


def test_a_reused_tree_grows_as_the_twin_of_its_subtree_would(tictactoe):
    """After re-rooting, the tree is a tree as any other: parents above children, edges as many as nodes."""
    result = search(tictactoe, [[]], simulations=300)
    moves = []
    for _ in range(4):
        action = int(result.root(0).visits.argmax())
        moves.append(action)
        advance(result, 0, action)
        result.run()
        tree = result._simulator.tree
        size = int(tree.size[0])
        for node in range(1, size):
            parent = tree.parent[0, node]
            assert parent < node
            assert tree.child[0, parent, tree.parent_action[0, node]] == node
        assert (tree.child[0, :size] >= 0).sum() == size - 1
        assert tree.visits[0, 0].sum() == 300


def test_noise_reaches_only_the_root_and_only_self_play(connect4):
    settings = SearchSettings(simulations=50, noise_fraction=0.5)
    noisy = Search(connect4, remembering(HashEvaluator(), connect4), Puct(settings), settings, slots=1)
    noisy.put(0, connect4.start(1))
    explore(noisy, 0, ply=0, legal=np.ones(7, bool), rng=np.random.default_rng(1))
    noisy.run()
    calm = search(connect4, [[]], simulations=50)
    assert (noisy.root(0).visits != calm.root(0).visits).any()
    np.testing.assert_array_equal(noisy.root(0).prior, calm.root(0).prior)
    np.testing.assert_array_equal(calm.root(0).visits, search(connect4, [[]], simulations=50).root(0).visits)


def test_noise_lies_on_legal_actions_and_sums_to_one(tictactoe):
    settings = SearchSettings(simulations=5)
    result = Search(tictactoe, remembering(HashEvaluator(), tictactoe), Puct(settings), settings, slots=1)
    state, known = tictactoe.replay([0, 4])
    result.put(0, state[-1:])
    explore(result, 0, ply=2, legal=known.legal[-1], rng=np.random.default_rng(0))
    noise = result._simulator.tree.noise[0]
    assert noise[[0, 4]].sum() == 0
    assert noise.sum() == pytest.approx(1, abs=1e-6)


def pruned_by_hand(root, settings):
    """The twin of `prune_visits`: takes visits away one by one while the action would still score less without noise."""
    visits = [int(count) for count in root.visits]
    c = settings.c_puct + math.log((sum(visits) + settings.c_puct_base + 1) / settings.c_puct_base)

    def score(action, count):
        return root.q[action] + c * root.prior[action] * math.sqrt(sum(map(int, root.visits))) / (1 + count)

    best = int(root.visits.argmax())
    for action in range(len(visits)):
        while action != best and visits[action] > 0 and score(action, visits[action] - 1) <= score(best, visits[best]):
            visits[action] -= 1
    return visits


def noisy(rules, moves, **settings):
    """A finished search with noise after these moves."""
    asked = SearchSettings(simulations=100, noise_fraction=0.8, late_temperature=0.0, **settings)
    result = Search(rules, remembering(HashEvaluator(), rules), Puct(asked), asked, slots=1)
    states, known = rules.replay(moves)
    result.put(0, states[-1:])
    explore(result, 0, ply=len(moves), legal=known.legal[-1], rng=np.random.default_rng(len(moves)))
    result.run()
    return result, asked


def test_pruning_takes_away_the_visits_that_noise_brought(connect4):
    """Against a twin; the most visited action keeps its visits, and is still played."""
    moves, fewer = [3, 3, 2, 4, 4, 1, 0, 6, 6, 5], 0
    for ply in range(len(moves)):
        result, settings = noisy(connect4, moves[:ply], prune_targets=True, solver=False)
        root = result.root(0)
        action, target = decide(result, 0, 42, np.random.default_rng(0))
        assert target.tolist() == pruned_by_hand(root, settings)
        assert action == root.visits.argmax()
        assert target[action] == root.visits[action]
        fewer += root.visits.sum() - target.sum()
    assert fewer > 100


def test_temperature_draws_by_powers_of_the_visits():
    visits = np.array([1, 0, 3, 4], np.int32)
    rng = np.random.default_rng(0)
    for temperature in (1.0, 0.5):
        drawn = np.bincount([draw(visits, 1 / temperature, rng.random()) for _ in range(20_000)], minlength=4)
        expected = visits ** (1 / temperature) / (visits ** (1 / temperature)).sum()
        np.testing.assert_allclose(drawn / 20_000, expected, atol=0.0106)  # three standard errors of a half
        assert drawn[1] == 0


def test_temperature_changes_after_its_plies(tictactoe):
    settings = SearchSettings(simulations=20, temperature=10.0, temperature_plies=2, late_temperature=0.0)
    result = Search(tictactoe, remembering(HashEvaluator(), tictactoe), Puct(settings), settings, slots=1)
    result.put(0, tictactoe.start(1))
    explore(result, 0, ply=0, legal=np.ones(9, bool), rng=np.random.default_rng(0))
    result.run()
    rng = np.random.default_rng(0)
    assert len({decide(result, 0, 1, rng)[0] for _ in range(50)}) > 4
    assert {decide(result, 0, 2, rng)[0] for _ in range(50)} == {int(result.root(0).visits.argmax())}
