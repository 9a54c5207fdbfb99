"""Files from strangers: nothing but a `SelfplayError` comes out of any reader. A short turn of `fuzz_readers.py`."""

import pytest
from fuzz_readers import SHARES, Workshop, give
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selfplay.errors import ModelError, SelfplayError, UsageError
from selfplay.network.card import read_onnx_card
from selfplay.network.checkpoint import load_checkpoint

EXAMPLES = 25


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    return Workshop(tmp_path_factory.mktemp("workshop"))


def test_every_reader_has_its_share_of_the_inputs(workshop):
    assert workshop.targets().keys() == SHARES.keys()


@pytest.mark.parametrize("reader", sorted(SHARES))
def test_nothing_but_our_errors_comes_out_of_a_reader(workshop, reader):
    target = workshop.targets()[reader]

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(st.data())
    def read(data):
        content = bytearray(data.draw(st.sampled_from(target.seeds)))
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(content)))
            cut = data.draw(st.sampled_from([0, 1, 1, 1, 2, 8, len(content)]))
            content[at : at + cut] = data.draw(st.binary(max_size=12))
        give(target, bytes(content))

    for seed in target.seeds:
        target.read(seed) if len(seed) > 1 and "pickle" not in reader else give(target, seed)
    read()


def altered(path, change):
    """The inference file with something else in it, sealed anew."""
    import onnx

    from selfplay.network.card import sealed

    model = onnx.load_model_from_string(path.read_bytes()[: -len(sealed(b""))])
    change(model)
    other = path.with_name("altered.onnx")
    other.write_bytes(sealed(model.SerializeToString(deterministic=True)))
    return other


def read_elsewhere(model):
    weight = model.graph.initializer[0]
    weight.data_location = 1
    weight.external_data.add(key="location", value="../../../etc/passwd")


def loop(model):
    model.graph.node[0].op_type = "Loop"


def swell(model):
    model.graph.initializer[0].dims[0] = 2**40


def open_board(model):
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 77


def foreign_operations(model):
    model.opset_import.add(domain="ai.onnx.ml", version=1)


def far_padding(model):
    next(node for node in model.graph.node if node.op_type == "Conv").attribute[0].ints[0] = 10**9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (read_elsewhere, "lies in another file"),
        (loop, "a node of kind Loop"),
        (swell, "of shape .* has .* bytes"),
        (open_board, "its inputs are"),
        (foreign_operations, "it uses operations of"),
        (far_padding, "a node Conv with pads"),
    ],
)
def test_an_inference_file_holds_nothing_but_our_network(workshop, change, message):
    with pytest.raises(ModelError, match=message):
        read_onnx_card(altered(workshop.model.with_suffix(".onnx"), change))


def test_what_a_file_says_cannot_steer_the_terminal():
    error = SelfplayError("its game is \x1b[2J\x07evil\r" + "x" * 10_000)
    assert "\x1b" not in str(error)
    assert r"\x1b[2J\x07evil\r" in str(error)
    assert len(str(error)) < 5000


def test_a_command_line_that_is_no_text_is_refused():
    from selfplay.config import from_tree

    with pytest.raises(UsageError, match="is not text"):
        from_tree({"game": {"name": "caf\udce9"}}, where="settings")


def test_tensors_that_claim_more_than_the_file_holds_are_refused(workshop, tmp_path):
    import torch

    table = torch.load(workshop.model, weights_only=True)
    name, tensor = next(iter(table["weights"].items()))
    table["weights"][name] = torch.zeros(1).expand(tensor.shape)
    torch.save(table, tmp_path / "model.pt")
    with pytest.raises(ModelError, match="more numbers than the file holds"):
        load_checkpoint(tmp_path / "model.pt")


def test_tables_that_hold_themselves_a_billion_times_are_refused(workshop, tmp_path):
    import torch

    table = torch.load(workshop.model, weights_only=True)
    laughs = ["ha"] * 10
    for _ in range(12):
        laughs = [laughs] * 10
    torch.save({**table, "trained": {"x": laughs}}, tmp_path / "model.pt")
    with pytest.raises(ModelError, match="more than 1000 values"):
        load_checkpoint(tmp_path / "model.pt")
