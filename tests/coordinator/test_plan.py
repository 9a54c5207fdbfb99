import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfplay.coordinator.plan import CreateModel, Done, Facts, Play, Publish, Train, next_step, next_task


@pytest.mark.parametrize(
    ("facts", "step"),
    [
        (Facts(None, False, ()), CreateModel()),
        (Facts(0, False, (0, 1)), Publish(0)),
        (Facts(0, True, (0, 1)), Play(1, (0, 1))),
        (Facts(0, True, (1,)), Play(1, (1,))),
        (Facts(0, True, ()), Train(1)),
        (Facts(1, False, (0, 1)), Publish(1)),
        (Facts(2, True, (0, 1)), Done()),
        (Facts(3, True, (0, 1)), Done()),
    ],
)
def test_the_next_step_follows_from_what_is_there(facts, step):
    assert next_step(facts, rounds=2) == step


def test_a_run_is_created_and_published_even_for_no_rounds():
    assert next_step(Facts(None, False, ()), rounds=0) == CreateModel()
    assert next_step(Facts(0, True, ()), rounds=0) == Done()


@given(st.sets(st.integers(0, 400), min_size=1), st.integers(1, 9), st.integers(1, 64))
def test_tasks_cover_all_pending_games_once(pending, workers, parallel):
    left, given_out = sorted(pending), []
    while left:
        task = next_task(left, workers=workers, games_in_parallel=parallel)
        assert list(task) == left[: len(task)]
        given_out += task
        del left[: len(task)]
    assert given_out == sorted(pending)


def test_small_rounds_are_split_evenly_and_large_ones_in_shrinking_tasks():
    assert len(next_task(list(range(100)), workers=4, games_in_parallel=64)) == 25
    sizes, left = [], list(range(10_000))
    while left:
        task = next_task(left, workers=4, games_in_parallel=64)
        sizes.append(len(task))
        del left[: len(task)]
    assert sizes[0] == 1250
    assert sizes == sorted(sizes, reverse=True)
