import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfplay.coordinator.plan import (
    Attempt,
    Contend,
    CreateModel,
    Done,
    Evaluate,
    Facts,
    Play,
    Publish,
    Train,
    is_to_be_evaluated,
    next_step,
    next_task,
    straggling,
)
from selfplay.settings import EvaluationSettings


@pytest.mark.parametrize(
    ("facts", "step"),
    [
        (Facts(None, False, 0, ()), CreateModel()),
        (Facts(0, False, 1, (0, 1)), Publish(0)),
        (Facts(0, True, 1, (0, 1)), Play(1, (0, 1))),
        (Facts(0, True, 1, (1,)), Play(1, (1,))),
        (Facts(0, True, 1, ()), Train(1)),
        (Facts(1, False, 2, (0, 1)), Publish(1)),
        (Facts(2, True, 3, (0, 1)), Done()),
        (Facts(3, True, 4, (0, 1)), Done()),
        (Facts(3, False, 1, ()), Train(1)),
        (Facts(3, True, 1, (4,)), Play(1, (4,))),
        (Facts(3, True, 0, ()), CreateModel()),
        (Facts(1, True, 2, (0, 1), evaluated=False), Evaluate(1)),
        (Facts(2, False, 1, (), undecided=1), Contend(1)),
        (Facts(2, True, 3, (0, 1), evaluated=False), Evaluate(2)),
        (Facts(1, False, 2, (0, 1), evaluated=False), Publish(1)),
        (Facts(3, True, 1, (4,), evaluated=False), Play(1, (4,))),
    ],
)
def test_the_next_step_follows_from_what_is_there(facts, step):
    assert next_step(facts, rounds=2) == step


def test_a_run_is_created_and_published_even_for_no_rounds():
    assert next_step(Facts(None, False, 0, ()), rounds=0) == CreateModel()
    assert next_step(Facts(0, True, 1, ()), rounds=0) == Done()


@pytest.mark.parametrize(
    ("number", "settings", "expected"),
    [
        (0, {"every": 1}, False),
        (3, {"every": 0}, False),
        (10, {"every": 0}, True),
        (11, {"every": 0}, True),
        (4, {"every": 2}, True),
        (5, {"every": 2}, False),
        (10, {"every": 3}, True),
        (10, {"games": 0}, False),
        (10, {"games": 0, "positions": 50}, True),
    ],
)
def test_rounds_are_evaluated_in_turn_and_at_the_end(number, settings, expected):
    assert is_to_be_evaluated(number, EvaluationSettings(**settings), rounds=10) is expected


@given(st.sets(st.integers(0, 400), min_size=1), st.integers(1, 9), st.integers(1, 64))
def test_tasks_cover_all_pending_games_once(pending, workers, parallel):
    left, given_out = sorted(pending), []
    while left:
        task = next_task(left, workers=workers, idle=1, games_in_parallel=parallel)
        assert list(task) == left[: len(task)]
        given_out += task
        del left[: len(task)]
    assert given_out == sorted(pending)


def test_small_rounds_are_split_evenly_and_large_ones_in_shrinking_tasks():
    assert len(next_task(list(range(100)), workers=4, idle=4, games_in_parallel=64)) == 25
    sizes, left = [], list(range(10_000))
    while left:
        task = next_task(left, workers=4, idle=1, games_in_parallel=64)
        sizes.append(len(task))
        del left[: len(task)]
    assert sizes[0] == 1250
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-2] == 5, "at least so many at a time, so that passes of the network stay large"


def test_a_worker_that_is_free_before_the_others_leaves_them_their_share():
    assert len(next_task(list(range(300)), workers=4, idle=1, games_in_parallel=64)) == 75
    assert len(next_task(list(range(1_000)), workers=4, idle=1, games_in_parallel=64)) == 128


def test_few_games_go_to_as_many_workers_as_there_are_games():
    sizes, left = [], list(range(100))
    for idle in range(64, 0, -1):
        if not left:
            break
        sizes.append(len(next_task(left, workers=64, idle=idle, games_in_parallel=64)))
        del left[: sizes[-1]]
    assert len(sizes) == 64
    assert max(sizes) == 2


def test_a_task_that_takes_twice_as_long_as_the_slowest_finished_one_is_straggling():
    attempts, missing = [Attempt(range(25), 20.1), Attempt(range(25, 50), 30.0)], [13, 14, 30, 49]
    assert straggling(attempts, missing, slowest_seconds=None) is None, "nothing to compare with"
    assert straggling(attempts, missing, slowest_seconds=15.0) is None
    assert straggling(attempts, missing, slowest_seconds=10.0) == (1, range(25, 50)), "the slowest first"
    assert straggling(attempts, [13, 14], slowest_seconds=10.0) == (0, range(10, 25)), "from where a file begins"
    copied = [*attempts, Attempt(range(25, 50), 1.0)]
    assert straggling(copied, missing, slowest_seconds=10.0) == (0, range(10, 25)), "nobody is copied twice"
    assert straggling([Attempt(range(5), 3.0)], [1], slowest_seconds=0.1) is None, "too short to tell"


@given(st.integers(0, 300), st.integers(1, 60), st.data())
def test_the_files_of_a_copy_are_files_of_its_task(start, length, data):
    task = range(start, start + length)
    missing = sorted(data.draw(st.sets(st.sampled_from(task), min_size=1)))
    _, copy = straggling([Attempt(task, 9.0)], missing, slowest_seconds=1.0)
    assert set(missing) <= set(copy) <= set(task)
    assert (copy.start - task.start) % 10 == 0
    assert copy.stop == task.stop
    assert copy.start > missing[0] - 10
