from dataclasses import asdict

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from selfplay.config import to_tree
from selfplay.errors import ModelError
from selfplay.games.random_play import random_positions
from selfplay.network.card import check_game, read_onnx_card
from selfplay.network.checkpoint import (
    checksum,
    fingerprint,
    load_checkpoint,
    playing_network,
    save_checkpoint,
    untrained,
)
from selfplay.network.onnx_export import to_onnx
from selfplay.network.quantization import Scale, observed, quantized, scale_of
from selfplay.network.resnet import NetworkShape, ResNet, count_blocks, further_blocks, new_network, of_playing
from selfplay.settings import NetworkSettings, Settings

PLANES = 4


def shape(board=(6, 7), actions=7, **settings):
    return NetworkShape(PLANES, board, actions, NetworkSettings(**settings))


def test_shapes_go_in_and_out():
    policy, outcome = new_network(shape(blocks=3, channels=8), seed=0)(torch.zeros(5, PLANES, 6, 7))
    assert policy.shape == (5, 7)
    assert outcome.shape == (5, 3)


def test_a_network_that_foretells_the_end_does_so_in_training_alone():
    asked = shape(blocks=2, channels=8, future=True)
    network, plain = new_network(asked, seed=0), new_network(asked.playing, seed=0)
    planes = torch.rand(5, PLANES, 6, 7)
    *answers, future = network(planes)
    assert future.shape == planes.shape
    assert of_playing(network.state_dict()).keys() == plain.state_dict().keys()
    assert all(torch.equal(one, other) for one, other in zip(answers, plain(planes), strict=True)), (
        "the further head changes nothing else"
    )
    future.square().sum().backward()
    assert network.stem[0].weight.grad.abs().sum() > 0, "it teaches the tower"


def test_a_model_plays_without_the_head_that_foretells_the_end(connect4, tmp_path):
    settings = Settings(network=NetworkSettings(blocks=2, channels=8, future=True))
    plain = Settings(network=NetworkSettings(blocks=2, channels=8))
    checkpoint, other = (untrained(connect4.info, each) for each in (settings, plain))
    save_checkpoint(checkpoint, tmp_path / "model.pt")
    loaded = load_checkpoint(tmp_path / "model.pt")
    assert loaded.weights.keys() - other.weights.keys() == {"future.weight", "future.bias"}
    assert loaded.card.parameters == other.card.parameters
    assert len(playing_network(loaded)(torch.rand(3, connect4.info.num_planes, 6, 7))) == 2
    assert to_onnx(playing_network(loaded), {}) == to_onnx(playing_network(other), {})


def test_fresh_weights_depend_on_the_seed_alone():
    def tensors(seed):
        return {name: tensor.clone() for name, tensor in new_network(shape(), seed).state_dict().items()}

    torch.manual_seed(1)
    first = fingerprint(tensors(0), {})
    torch.manual_seed(2)
    assert fingerprint(tensors(0), {}) == first
    assert fingerprint(tensors(1), {}) != first


def test_a_fresh_network_prefers_nothing():
    policy, outcome = new_network(shape(), seed=0).eval()(torch.rand(4, PLANES, 6, 7))
    assert policy.abs().max() == 0
    assert outcome.abs().max() == 0


@pytest.mark.parametrize(
    ("board", "actions", "network"),
    [
        ((6, 7), 7, {"blocks": 4, "channels": 32}),
        ((3, 3), 9, {"blocks": 1, "channels": 4}),
        ((5, 1), 2, {"blocks": 2, "channels": 16, "block": "bottleneck"}),
        ((6, 7), 7, {"blocks": 2, "channels": 5, "block": "bottleneck"}),
    ],
)
def test_the_onnx_twin_computes_what_torch_computes(board, actions, network):
    network = new_network(shape(board, actions, **network), seed=0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    network.train()
    network(torch.rand(64, PLANES, *board))  # batch statistics that are not the identity
    network.eval()
    content = to_onnx(network, {"a": "b"})
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    planes = np.random.default_rng(0).random((33, PLANES, *board), np.float32)
    logits, outcome = session.run(["policy_logits", "outcome"], {"planes": planes})
    with torch.no_grad():
        expected_logits, expected_outcome = network(torch.from_numpy(planes))
    np.testing.assert_allclose(logits, expected_logits, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(outcome, torch.softmax(expected_outcome, -1), rtol=1e-4, atol=1e-5)
    assert session.get_modelmeta().custom_metadata_map == {"a": "b"}


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_a_block_has_as_many_weights_as_its_settings_say(block):
    network = new_network(shape(channels=16, block=block), seed=0)
    convolutions = [module for module in network.tower[0].modules() if isinstance(module, nn.Conv2d)]
    assert sum(module.weight.numel() for module in convolutions) == network.shape.settings.block_weights


def test_further_blocks_change_nothing_until_they_learn(busy_network, connect4):
    """Neither in play nor in training, where batches are normalised by their own statistics; but they have gradients."""
    small = busy_network
    larger = shape(blocks=5, channels=16, block=small.shape.settings.block)
    grown = ResNet(larger)
    grown.load_state_dict(small.state_dict() | further_blocks(larger, before=3, seed=0))
    planes = torch.from_numpy(connect4.encode(random_positions(connect4, 64, seed=0)))
    for mode in (False, True):
        small.train(mode)
        grown.train(mode)
        for before, after in zip(small(planes), grown(planes), strict=True):
            assert torch.equal(before, after)
    grown(planes)[0].square().sum().backward()
    assert all(block.layers()[name][-1].weight.grad.abs().sum() > 0 for block, name in last_layers(grown, since=3))
    assert count_blocks(small.state_dict()) == 3
    assert count_blocks(grown.state_dict()) == 5


def last_layers(network, since):
    """The blocks from one on, each with the name of its last layer."""
    return [(block, list(block.layers())[-1]) for block in list(network.tower)[since:]]


def test_a_network_grows_by_a_block_every_so_many_rounds():
    settings = NetworkSettings(blocks=4, first_blocks=2, growth_rounds=3)
    assert [settings.blocks_at(number) for number in range(9)] == [2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert NetworkSettings(blocks=4).blocks_at(0) == 4
    assert NetworkSettings(blocks=1, first_blocks=2).blocks_at(0) == 1, "a preset grows, and fewer were asked for"
    assert settings.of_size(3).blocks_at(0) == 3
    late = NetworkSettings(blocks=4, first_blocks=2, growth_rounds=3, growth_start=5)
    assert [late.blocks_at(number) for number in range(10)] == [2, 2, 2, 2, 2, 3, 3, 3, 4, 4]
    early = NetworkSettings(blocks=4, first_blocks=2, growth_rounds=3, growth_start=1)
    assert [early.blocks_at(number) for number in range(6)] == [2, 3, 3, 3, 4, 4]


@pytest.fixture(params=["basic", "bottleneck"])
def busy_network(connect4, request):
    """A network with weights of every size and batch statistics that are not the identity."""
    torch.manual_seed(0)
    network = new_network(shape((6, 7), 7, blocks=3, channels=16, block=request.param), seed=0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    network.train()
    network(torch.rand(64, PLANES, 6, 7))
    return network.eval()


def test_the_8_bit_twin_judges_nearly_as_torch_does(busy_network, connect4):
    planes = torch.from_numpy(connect4.encode(random_positions(connect4, 256, seed=0)))
    content = to_onnx(busy_network, {}, observed(busy_network, planes))
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    fresh = connect4.encode(random_positions(connect4, 500, seed=1))
    logits, outcome = session.run(["policy_logits", "outcome"], {"planes": fresh})
    with torch.no_grad():
        expected_logits, expected_outcome = busy_network(torch.from_numpy(fresh))
    spread = float(expected_logits.std())
    assert np.abs(logits - expected_logits.numpy()).mean() < 0.05 * spread
    assert np.abs(outcome - torch.softmax(expected_outcome, -1).numpy()).mean() < 0.02
    for rows in (1, 7, 32):  # a row's bits do not depend on the rows beside it
        np.testing.assert_array_equal(
            session.run(["policy_logits"], {"planes": fresh[:rows]})[0], logits[:rows], strict=True
        )


def test_whole_weights_stand_for_those_of_convolution_and_normalisation(busy_network):
    block = busy_network.tower[0]
    padding, channels = block.first[0].padding, len(block.first[0].weight)
    source = Scale(np.float32(1 / 255), np.uint8(0))
    with torch.no_grad():
        block.first[1].weight[3] = 1e-9  # a channel that is nearly all bias
        block.first[1].weight[4] = block.first[1].bias[4] = 0.0
    features = torch.rand(5, 16, 6, 7)
    with torch.no_grad():
        exact = block.first[1](block.first[0](features))

    def answers(whole):
        values = torch.from_numpy(whole.weights * whole.sizes[:, None, None, None])
        bias = torch.from_numpy(whole.bias * whole.sizes.astype(float) * source.size)
        return torch.nn.functional.conv2d(features.double(), values.double(), bias, padding=padding)

    whole = quantized(*block.first[:2], source, features.double().mean(dim=0).numpy())
    found = answers(whole)
    assert whole.weights.min() >= -64
    assert whole.weights.max() <= 64
    assert abs(whole.weights).max(axis=(1, 2, 3)).tolist() == [64] * 3 + [0, 0] + [64] * (channels - 5)
    assert float((found - exact)[:, 3:5].abs().max()) < 1e-6
    assert float((found - exact).abs().mean()) < 0.015 * float(exact.std())
    on_average = (found - exact).mean(dim=(0, 2, 3)).abs()
    assert float(on_average.max()) < 1e-4 * float(exact.std()), "biases make up for what rounding does on average"
    unaware = answers(quantized(*block.first[:2], source, np.zeros((16, 6, 7))))
    assert float((unaware - exact).mean(dim=(0, 2, 3)).abs().max()) > 1e-3 * float(exact.std())


@pytest.mark.parametrize("found", [(0.0, 7.3), (-2.0, 5.0), (-3.0, 0.0), (0.0, 0.0)])
def test_a_scale_covers_its_range_and_stands_for_0_exactly(found):
    size, zero = (float(part) for part in scale_of(*found))
    low, high = -zero * size, (255 - zero) * size
    assert low - size / 2 <= found[0] <= low + size / 2
    assert high - size / 2 <= found[1] <= high + size / 2 or found == (0.0, 0.0)


def test_a_network_whose_values_are_not_finite_is_refused(busy_network, connect4):
    with torch.no_grad():
        busy_network.tower[1].first[0].weight[0] = float("nan")
    planes = torch.from_numpy(connect4.encode(random_positions(connect4, 8, seed=0)))
    with pytest.raises(ModelError, match="not finite"):
        observed(busy_network, planes)


def sum_of(checkpoint):
    return checksum(checkpoint, asdict(checkpoint.card), to_tree(checkpoint.settings))


def test_an_operation_without_an_onnx_form_is_refused():
    network = new_network(shape(), seed=0)
    network.policy = nn.GELU()
    with pytest.raises(TypeError, match="no ONNX form for GELU"):
        to_onnx(network, {})


@pytest.fixture
def saved(tictactoe, small_settings, tmp_path):
    checkpoint = untrained(tictactoe.info, small_settings)
    save_checkpoint(checkpoint, tmp_path / "model.pt")
    return checkpoint, tmp_path / "model.pt"


def test_a_checkpoint_survives_the_file(saved):
    checkpoint, path = saved
    loaded = load_checkpoint(path)
    assert loaded.card == checkpoint.card == read_onnx_card(path.with_suffix(".onnx"))
    assert loaded.settings == checkpoint.settings
    assert fingerprint(loaded.weights, loaded.average) == checkpoint.card.fingerprint


def test_the_same_model_gives_the_same_twin_to_the_byte(saved, tmp_path):
    _, path = saved
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "named_otherwise.pt"
    save_checkpoint(load_checkpoint(path), other)
    assert other.with_suffix(".onnx").read_bytes() == path.with_suffix(".onnx").read_bytes()


def test_the_average_plays(saved):
    checkpoint, _ = saved
    checkpoint.average["stem.0.weight"] += 1
    assert torch.equal(playing_network(checkpoint).state_dict()["stem.0.weight"], checkpoint.average["stem.0.weight"])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[: len(content) // 2], "not a whole selfplay model .* cut short"),
        (lambda content: b"", r"\(0 bytes\)"),
        (lambda content: b"hello" * 100, "not a whole selfplay model"),
    ],
)
def test_damaged_checkpoints_are_refused(saved, damage, message):
    _, path = saved
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelError, match=message):
        load_checkpoint(path)


def test_foreign_and_changed_checkpoints_are_refused(saved, tmp_path):
    _, path = saved
    table = torch.load(path, weights_only=True)
    kept = {name: {"momentum": torch.ones(tensor.shape)} for name, tensor in table["weights"].items()}
    for change, message in [
        ({"format": "other"}, "not a model that selfplay wrote"),
        ({"version": 4}, "format version 4, this program reads 1 to 3"),
        ({"steps": 99}, "does not match its checksum"),
        ({"optimizer": kept}, "does not match its checksum"),
        ({"optimizer": {"x": {"momentum": torch.ones(())}}}, "unknown parameter x"),
        (
            {"optimizer": {name: {"step": torch.ones(())} for name in kept}},
            r"found the fields \['step'\], expected one of",
        ),
        (
            {"weights": {name: tensor + 1 for name, tensor in table["weights"].items()}},
            "the file was changed",
        ),
        ({"card": {}}, "parts missing or malformed"),
        ({"settings": {"search": {"simulations": -1}}}, "parts missing or malformed"),
        ({"card": {**table["card"], "blocks": 90_000}}, "90000 blocks, and the settings ask for 1"),
    ]:
        torch.save({**table, **change}, tmp_path / "changed.pt")
        with pytest.raises(ModelError, match=message):
            load_checkpoint(tmp_path / "changed.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ModelError, match="not a model that selfplay wrote"):
        load_checkpoint(tmp_path / "list.pt")


def test_flipped_bits_in_a_model_are_found(saved, tmp_path):
    """In 60 places of each file; bytes between the parts of a zip file mean nothing, and may be flipped."""
    _, path = saved
    expected = sum_of(load_checkpoint(path))
    rng = np.random.default_rng(0)
    changed = tmp_path / "changed.pt"
    for reader, source in ((load_checkpoint, path), (read_onnx_card, path.with_suffix(".onnx"))):
        for at in rng.integers(0, source.stat().st_size, 60):
            content = bytearray(source.read_bytes())
            content[at] ^= 1 << int(rng.integers(8))
            changed.write_bytes(content)
            try:
                found = reader(changed)
            except ModelError:
                continue
            assert reader is load_checkpoint
            assert sum_of(found) == expected


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    torch.save({"format": "selfplay-model", "evil": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(ModelError):
        load_checkpoint(tmp_path / "evil.pt")
    assert not (tmp_path / "owned").exists()


def test_foreign_onnx_files_are_refused(tmp_path):
    network = new_network(shape(), seed=0).eval()
    (tmp_path / "a.onnx").write_bytes(to_onnx(network, {}))
    (tmp_path / "b.onnx").write_bytes(b"\x00nonsense")
    with pytest.raises(ModelError, match="not one that selfplay wrote"):
        read_onnx_card(tmp_path / "a.onnx")
    with pytest.raises(ModelError, match="not an ONNX file|not one that selfplay wrote"):
        read_onnx_card(tmp_path / "b.onnx")


def test_a_model_of_another_game_or_other_rules_is_refused(saved, connect4, tictactoe):
    checkpoint, path = saved
    check_game(checkpoint.card, tictactoe.info, path)
    with pytest.raises(ModelError, match="is a model of tictactoe, but the game is connect4"):
        check_game(checkpoint.card, connect4.info, path)
    import dataclasses

    with pytest.raises(ModelError, match="other rules of tictactoe"):
        check_game(checkpoint.card, dataclasses.replace(tictactoe.info, rules_hash="x"), path)
    with pytest.raises(ModelError, match="other input planes of tictactoe"):
        check_game(checkpoint.card, dataclasses.replace(tictactoe.info, encoding_hash="x"), path)


def test_bigger_settings_make_bigger_networks(connect4):
    small = untrained(connect4.info, Settings())
    big = untrained(connect4.info, Settings(network=NetworkSettings(blocks=5, channels=64)))
    assert big.card.parameters > 2 * small.card.parameters


def test_a_model_that_is_older_than_a_setting_is_read_as_it_was_made(saved, tmp_path):
    """Its checksum is over what its file says, not over what would be said of it today."""
    checkpoint, path = saved
    table = torch.load(path, weights_only=True)
    del (
        table["card"]["precision"],
        table["settings"]["selfplay"]["precision"],
        table["settings"]["search"]["win_in_one"],
    )
    table["checksum"] = checksum(checkpoint, table["card"], table["settings"])
    torch.save(table, tmp_path / "old.pt")
    read = load_checkpoint(tmp_path / "old.pt")
    assert read.card.precision == read.settings.selfplay.precision == "float32"
    assert not read.settings.search.win_in_one


def test_models_of_version_1_are_read(saved, tmp_path):
    """Their optimizer counted parameters; now it names them."""
    checkpoint, path = saved
    table = torch.load(path, weights_only=True)
    del table["trained"], table["checksum"]
    first = next(iter(checkpoint.weights))
    moment = torch.ones_like(checkpoint.weights[first])
    kept = {"exp_avg": moment, "exp_avg_sq": moment, "step": torch.tensor(3.0)}
    table |= {"version": 1, "optimizer": {"state": {0: kept}, "param_groups": [{"lr": 0.1}]}}
    torch.save(table, tmp_path / "old.pt")
    read = load_checkpoint(tmp_path / "old.pt")
    assert read.trained == {}
    assert list(read.optimizer) == [first]
    assert torch.equal(read.optimizer[first]["exp_avg"], moment)
