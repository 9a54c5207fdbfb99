"""Plans as values: what is chosen, refused, warned of; how batches are cut; what is tried after a failure."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from selfplay.errors import TrainingError, UsageError
from selfplay.games.registry import load_rules
from selfplay.network.checkpoint import network_shape
from selfplay.network.resnet import ResNet
from selfplay.settings import NetworkSettings, TrainingSettings
from selfplay.training.loss import Losses
from selfplay.training.parallel_plan import (
    Machine,
    ParallelPlan,
    Work,
    check,
    choose,
    group_sizes,
    recommended_workers,
)
from selfplay.training.pipeline_parallel import balanced_stages, part_costs
from selfplay.training.recovery import next_plan
from selfplay.training.statistics import RoundStatistics
from selfplay.training.step import LossSums, RankReport, RanksFailed, StepReport

TWO_CORES = Machine(cores=2, memory=16e9)
SMALL = NetworkSettings(blocks=4, channels=32)
LARGE = NetworkSettings(blocks=5, channels=64)
HUGE = NetworkSettings(blocks=10, channels=128)
SERIAL = ParallelPlan("serial", 1, 1, 64)


def work_of(rules, network, games=100, **training):
    return Work.of(rules.info, network, TrainingSettings(**training), games)


def chosen(rules, network, machine, games=100, **training):
    plan, why = choose(TrainingSettings(**training), work_of(rules, network, games, **training), machine)
    return plan, why


def test_the_work_of_a_network_is_counted_right(connect4):
    network = ResNet(network_shape(connect4.info, LARGE))
    convolutions = sum(p.numel() for name, p in network.named_parameters() if p.ndim > 1)
    work = work_of(connect4, LARGE)
    assert work.parameters == pytest.approx(convolutions, rel=0.01)
    assert work.flops == pytest.approx(31.8e6, rel=0.05)  # per position


@pytest.mark.parametrize(
    ("network", "machine", "expected"),
    [
        (SMALL, TWO_CORES, ("serial", 1, 2)),
        (LARGE, TWO_CORES, ("serial", 1, 2)),
        (LARGE, Machine(4, 16e9), ("data", 4, 1)),
        (HUGE, TWO_CORES, ("data", 2, 1)),
        (LARGE, Machine(1, 16e9), ("serial", 1, 1)),
        (LARGE, Machine(16, 64e9), ("data", 4, 4)),
        (SMALL, Machine(16, 64e9, gpus=1, gpu_memory=8e10), ("serial", 1, 1)),
        (LARGE, Machine(16, 64e9, gpus=4, gpu_memory=8e10), ("data", 4, 1)),
        (NetworkSettings(blocks=40, channels=512), Machine(16, 64e9, gpus=4, gpu_memory=4e9), ("pipeline", 4, 1)),
    ],
)
def test_auto_fits_machine_and_network(connect4, network, machine, expected):
    plan, why = chosen(connect4, network, machine)
    assert (plan.mode, plan.ranks, plan.threads) == expected
    assert why
    assert check(plan, work_of(connect4, network), machine) == []


def test_products_are_bfloat16_where_the_hardware_multiplies_them(connect4):
    for machine in (Machine(2, 16e9, has_bfloat16=True), Machine(2, 16e9, gpus=1, gpu_memory=8e10)):
        assert chosen(connect4, SMALL, machine)[0].precision == "bfloat16"
        assert chosen(connect4, SMALL, machine, precision="float32")[0].precision == "float32"
    assert chosen(connect4, SMALL, TWO_CORES)[0].precision == "float32"


def test_small_data_stays_serial(connect4):
    plan, why = chosen(connect4, LARGE, TWO_CORES, games=2)
    assert plan.mode == "serial"
    assert "small data" in why


def test_what_was_chosen_is_chosen_again_on_any_machine(connect4):
    """A run keeps its plan: as settings, it says everything."""
    plan, _ = chosen(connect4, HUGE, TWO_CORES)
    assert plan.mode == "data"
    kept = msgspec.structs.replace(TrainingSettings(), **plan.as_settings())
    for machine in (Machine(1, 1e9), Machine(64, 1e12)):
        again, why = choose(kept, work_of(connect4, HUGE), machine)
        assert again == plan
        assert why == "as asked for"


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (replace(SERIAL, ranks=2), "serial training is one rank"),
        (replace(SERIAL, mode="data"), "give training.ranks = 2 or more"),
        (replace(SERIAL, mode="data", ranks=8), "a batch of 256 has 4 groups of 64 to share"),
        (replace(SERIAL, mode="pipeline", ranks=9), "a network of 4 blocks, as this one begins, has only 6 parts"),
        (replace(SERIAL, device="cuda"), "this machine has no GPU that torch can use"),
    ],
)
def test_impossible_plans_are_refused_with_the_reason(connect4, plan, message):
    with pytest.raises(UsageError, match=message):
        check(plan, work_of(connect4, SMALL), TWO_CORES)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (replace(SERIAL, threads=3), "may use 2 cores"),
        (replace(SERIAL, mode="data", ranks=3), "4 groups do not divide by 3 ranks: 33% of their time"),
        (replace(SERIAL, mode="pipeline", ranks=2, micro_batch=256), "1 groups cannot fill a pipeline of 2 stages"),
    ],
)
def test_wasteful_plans_are_warned_of(connect4, plan, message):
    assert any(message in warning for warning in check(plan, work_of(connect4, SMALL), TWO_CORES))


@example("auto", 3, 0, "auto", TWO_CORES)  # more ranks than cores
@given(
    st.sampled_from(["auto", "serial", "data", "pipeline"]),
    st.integers(0, 9),
    st.integers(0, 300),
    st.sampled_from(["auto", "cpu", "cuda"]),
    st.builds(Machine, st.integers(1, 64), st.floats(1e6, 1e12), st.integers(0, 8), st.floats(1e6, 1e11)),
)
def test_whatever_is_asked_for_gives_a_plan_that_works_or_a_reason(mode, ranks, micro_batch, device, machine):
    training = TrainingSettings(mode=mode, ranks=ranks, micro_batch=micro_batch, device=device)
    work = work_of(load_rules("connect4"), SMALL)
    try:
        plan, why = choose(training, work, machine)
    except UsageError as error:
        reason = str(error)
    else:
        check(plan, work, machine)
        assert mode in ("auto", plan.mode)
        reason = f"training. {why}"
    assert reason.startswith("training.")
    assert len(reason) > 20


def test_recommended_workers_are_at_most_three_quarters_of_the_cores():
    assert [recommended_workers(100, cores) for cores in (1, 2, 4, 8)] == [1, 1, 3, 6]
    assert recommended_workers(2, 64) == 2
    assert recommended_workers(0, 64) == 1


@given(st.integers(1, 700), st.integers(2, 80), st.integers(1, 9))
def test_groups_and_shares_cover_the_batch_evenly(positions, size, ranks):
    sizes = group_sizes(positions, size)
    assert sum(sizes) == positions
    assert max(sizes) <= size + 1
    assert min(sizes) > 1 or positions == 1
    plan = ParallelPlan("data", ranks, 1, size)
    shares = plan.shares(positions)
    assert sum(shares) == len(sizes)
    assert max(shares) - min(shares) <= 1
    assert plan.accumulation(positions) == max(shares)


def test_stages_are_as_even_as_can_be(connect4):
    assert balanced_stages([1, 1, 1, 1], 2) == [range(2), range(2, 4)]
    assert balanced_stages([9, 1, 1, 1], 2) == [range(1), range(1, 4)]
    assert balanced_stages([1, 2, 3], 3) == [range(1), range(1, 2), range(2, 3)]
    costs = part_costs(network_shape(connect4.info, LARGE))
    assert len(costs) == LARGE.blocks + 2
    assert sum(costs) == pytest.approx(work_of(connect4, LARGE).flops / 2, rel=0.01)


def test_failures_are_met_with_the_same_plan_then_fewer_ranks_then_serial():
    plan, plans = ParallelPlan("data", 4, 1, 64), []
    for failures in range(1, 10):
        plan = next_plan(plan, failures, RanksFailed("x"), batch_size=256)
        plans.append((plan.mode, plan.ranks, plan.threads))
    four, two, serial = ("data", 4, 1), ("data", 2, 1), ("serial", 1, 2)
    assert plans == [four, four, two, two, two, serial, serial, serial, serial]


def test_a_lack_of_memory_halves_the_groups_at_once():
    plan = next_plan(ParallelPlan("pipeline", 2, 1, 64), 1, RanksFailed("x", out_of_memory=True), batch_size=256)
    assert (plan.mode, plan.ranks, plan.micro_batch) == ("pipeline", 2, 32)


def report(*positions):
    return StepReport(
        tuple(RankReport(n, n, LossSums(2.0 * n, n, 0.5 * n), forward_seconds=0.1, micro_batch=8) for n in positions)
    )


def test_statistics_add_up_and_fit_in_a_line():
    statistics = RoundStatistics(ParallelPlan("data", 2, 1, 8), planned=3)
    for step in (report(10, 6), StepReport((), failure="bad"), report(10, 6)):
        statistics.add(step)
    assert (statistics.done, statistics.failed, statistics.positions) == (2, 1, 32)
    assert statistics.losses == Losses(2.0, 1.0, 0.5)
    assert statistics.line(0.8) == "[ranks 2 · batches 2/3 · loss 3.000000 · 40 samples/s · 800 ms]"
    facts = statistics.facts(0.8)
    assert facts["shares"]["forward"] == 0.25
    assert facts["reasons"] == {"bad": 1}
    assert facts["loss_per_rank"] == [3.0, 3.0]


def test_a_round_that_lost_too_much_is_an_error():
    statistics = RoundStatistics(SERIAL, planned=10)
    for _ in range(2):
        statistics.add(StepReport((), failure="the loss is not finite"))
    with pytest.raises(TrainingError, match="2 of 10 batches could not be processed .2 x the loss is not finite."):
        statistics.must_be_worth_it()
