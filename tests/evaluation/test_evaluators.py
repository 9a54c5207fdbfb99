import numpy as np
import pytest
import torch
from models import model_of

from selfplay.errors import ModelError
from selfplay.evaluation.evaluator import Positions, read_outputs
from selfplay.evaluation.onnx_evaluator import OnnxEvaluator
from selfplay.evaluation.rollout import RolloutEvaluator
from selfplay.evaluation.torch_evaluator import TorchEvaluator
from selfplay.evaluation.uniform import UniformEvaluator
from selfplay.settings import NetworkSettings, SelfPlaySettings, Settings


@pytest.fixture(scope="module", params=["float32", "int8"])
def model(connect4, tmp_path_factory, request):
    return model_of(connect4, settings_with(request.param), tmp_path_factory.mktemp("model") / "model.pt")


def settings_with(precision):
    return Settings(network=NetworkSettings(blocks=2, channels=32), selfplay=SelfPlaySettings(precision=precision))


def random_positions(rules, count):
    rng = np.random.default_rng(5)
    games = [rng.integers(0, 7, rng.integers(0, 6)).tolist() for _ in range(count)]
    states = np.concatenate([rules.replay(moves)[0][-1:] for moves in games])
    return Positions.of(rules, states)


def test_rows_of_the_network_do_not_depend_on_the_batch(connect4, model):
    """Purity rests on this: equal to the bit for every batch size a worker can meet."""
    evaluator, positions = OnnxEvaluator(model.with_suffix(".onnx")), random_positions(connect4, 256)
    whole = evaluator.evaluate(positions)
    assert np.abs(whole.values).max() > 0.01
    for size in (1, 2, 3, 5, 7, 8, 13, 16, 31, 32, 33, 47, 63, 64, 65, 100, 127, 128, 129, 255):
        for start in (0, 256 - size):
            part = evaluator.evaluate(positions.take(np.arange(start, start + size)))
            np.testing.assert_array_equal(part.priors, whole.priors[start : start + size])
            np.testing.assert_array_equal(part.values, whole.values[start : start + size])


def test_torch_and_onnx_runtime_agree(connect4, model):
    positions = random_positions(connect4, 100)
    twin = OnnxEvaluator(model.with_suffix(".onnx"))
    rounding = {"float32": 1e-5, "int8": 0.05}[twin.card.precision]
    ours = twin.evaluate(positions)
    theirs = TorchEvaluator(model, device="cpu").evaluate(positions)
    np.testing.assert_allclose(ours.priors, theirs.priors, atol=rounding)
    np.testing.assert_allclose(ours.values, theirs.values, atol=rounding)


def test_padding_keeps_rows_of_the_torch_evaluator_apart(connect4, model):
    evaluator, positions = TorchEvaluator(model, device="cpu"), random_positions(connect4, 70)
    whole = evaluator.evaluate(positions)
    part = evaluator.evaluate(positions.take(np.arange(3, 9)))
    np.testing.assert_array_equal(part.values, whole.values[3:9])


def test_bfloat16_judges_nearly_as_float32_does(connect4, tmp_path):
    positions = random_positions(connect4, 70)
    exact, rounded = (
        TorchEvaluator(
            model_of(connect4, settings_with(precision), tmp_path / f"{precision}.pt"), device="cpu"
        ).evaluate(positions)
        for precision in ("float32", "bfloat16")
    )
    assert rounded.priors.dtype == rounded.values.dtype == np.float32
    assert (exact.values != rounded.values).any()
    np.testing.assert_allclose(exact.priors, rounded.priors, atol=0.02)
    np.testing.assert_allclose(exact.values, rounded.values, atol=0.02)


def test_a_run_on_a_gpu_says_so_where_there_is_none(model):
    if torch.cuda.is_available():
        assert TorchEvaluator(model, device="cuda").card.round == 0
    else:
        with pytest.raises(ModelError, match="torch finds none here"):
            TorchEvaluator(model, device="cuda")


def test_outputs_become_priors_over_legal_actions_and_values_from_wins_and_losses():
    logits = np.array([[1.0, 2.0, 1000.0], [0.0, 0.0, 0.0]], np.float32)
    legal = np.array([[True, True, False], [False, False, True]])
    priors, values = np.empty_like(logits), np.empty(2, np.float32)
    read_outputs(logits, np.array([[0.5, 0.2, 0.3], [0.0, 0.0, 1.0]], np.float32), legal, priors, values)
    expected = np.exp([1.0, 2.0]) / np.exp([1.0, 2.0]).sum()
    np.testing.assert_allclose(priors, [[*expected, 0], [0, 0, 1]], rtol=1e-6)
    np.testing.assert_allclose(values, [0.2, -1.0], rtol=1e-6)


def test_uniform_priors_lie_on_legal_actions(tictactoe):
    states, known = tictactoe.replay([0])
    answer = UniformEvaluator().evaluate(Positions(tictactoe, states, known.legal, known.keys))
    np.testing.assert_allclose(answer.priors[1], [0, *[1 / 8] * 8])
    np.testing.assert_array_equal(answer.values, 0)


def test_rollouts_are_a_function_of_position_and_seed(connect4):
    positions = random_positions(connect4, 50)
    evaluator = RolloutEvaluator(seed=3, playouts=5)
    whole = evaluator.evaluate(positions)
    np.testing.assert_array_equal(evaluator.evaluate(positions.take(np.array([7]))).values, whole.values[7:8])
    assert (RolloutEvaluator(seed=4, playouts=5).evaluate(positions).values != whole.values).any()


def test_rollouts_find_out_who_is_better(connect4):
    states, known = connect4.replay([3, 0, 3, 0, 3, 1, 2, 6, 4])  # player 1 to move, both ends and the column open
    positions = Positions(connect4, states[-1:], known.legal[-1:], known.keys[-1:])
    assert RolloutEvaluator(seed=0, playouts=400).evaluate(positions).values[0] < -0.5
