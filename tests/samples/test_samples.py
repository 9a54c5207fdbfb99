import dataclasses
import hashlib
import json
import os
from functools import partial

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfplay.errors import BatchError, ModelDamaged
from selfplay.evaluation.cache import CachedEvaluator
from selfplay.evaluation.uniform import UniformEvaluator
from selfplay.files import write_atomically
from selfplay.games.symmetry import tables
from selfplay.rundir.layout import RunLayout
from selfplay.rundir.listing import NewBatches
from selfplay.samples import batch_file
from selfplay.samples.batch_file import (
    BatchHeader,
    GameRecord,
    check_game_record,
    decode_batch,
    encode_batch,
    flat_policies,
    game_seed,
    read_batch,
    sparse_policies,
)
from selfplay.samples.bell import FolderBell
from selfplay.samples.collector import BatchCollector, Rejected, RunIdentity, Sweep, quarantine
from selfplay.samples.index import Known, RoundIndex, known_files, write_index
from selfplay.samples.pool import Draw, TrainingDataPool
from selfplay.samples.positions import rows_ahead
from selfplay.samples.window import newest_games, window_size
from selfplay.samples.writer import WorkerDataWriter, batch_name
from selfplay.settings import SearchSettings, TrainingSettings
from selfplay.worker.lockstep import Lockstep

SEED, GAMES = 9, 12
SEARCH = SearchSettings(simulations=6)


def played(rules, numbers, round_number=1):
    evaluator = CachedEvaluator(UniformEvaluator(), rules.info, positions=64)
    lockstep = Lockstep(rules, evaluator, SEARCH, slots=8, run_seed=SEED, round_number=round_number)
    games = {game.number: game for game in lockstep.play(numbers) if game is not None}
    return [games[number] for number in numbers]


def header_of(rules, round_number=1, model="m0", search=None):
    return BatchHeader(
        game=rules.info.name, rules=rules.info.rules_hash, model=model, round=round_number,
        search=search or msgspec.to_builtins(SEARCH),
    )  # fmt: skip


def identity_of(rules, player_of_round={1: "m0", 2: "m1"}.get):
    return RunIdentity(rules=rules, search=SEARCH, seed=SEED, games_per_round=GAMES, player_of_round=player_of_round)


@pytest.fixture
def games(tictactoe):
    return played(tictactoe, range(GAMES))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "worker_0").mkdir()
    return tmp_path


def write(folder, rules, games, name="worker_0/batch_r0001_g000000.json", **header):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(encode_batch(header_of(rules, **header), games))
    return path


def changed(content, old, new):
    """A batch with other content, sealed anew: a checksum finds damage, not lies."""
    body, mark, _ = content.replace(old, new, 1).rpartition(b',"checksum":"')
    return body + mark + hashlib.sha256(body).hexdigest().encode() + b'"}\n'


def collector_of(folder, rules, *player_of_round):
    return BatchCollector(NewBatches(RunLayout(folder)), identity_of(rules, *player_of_round))


# --- the format --------------------------------------------------------------------------------------------------


def test_a_batch_survives_its_file(tictactoe, games, tmp_path):
    batch = decode_batch(encode_batch(header_of(tictactoe), games))
    assert batch.games == games
    assert batch.header == header_of(tictactoe)
    assert encode_batch(batch.header, batch.games) == encode_batch(header_of(tictactoe), games)


def test_one_game_stands_on_one_line(tictactoe, games):
    lines = encode_batch(header_of(tictactoe), games).decode().splitlines()
    assert len(lines) == len(games) + 2
    assert json.loads(lines[1].rstrip(","))["number"] == 0


@given(st.binary(max_size=300))
def test_any_bytes_are_a_batch_or_a_batch_error(content):
    with pytest.raises(BatchError):
        decode_batch(content)


@given(st.data())
def test_a_torn_or_flipped_batch_is_found(data):
    from selfplay.games.registry import load_rules

    rules = load_rules("tictactoe")
    content = bytearray(encode_batch(header_of(rules), played(rules, range(1))))
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content = content[:at]
    else:
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(BatchError):
        decode_batch(bytes(content))


def test_policies_are_sparse_and_come_back_as_probabilities():
    weights = np.array([[0, 3, 0, 1], [0, 0, 0, 0], [7, 0, 0, 0]], np.int32)
    assert sparse_policies(weights) == [[1, 3, 3, 1], [], [0, 7]]
    pairs, actions, weights = flat_policies([[1, 3, 3, 1], [2, 5]])
    assert (pairs.tolist(), actions.tolist(), weights.tolist()) == ([2, 1], [1, 3, 2], [3, 1, 5])


def test_seeds_differ_between_runs_rounds_and_games():
    seeds = {game_seed(run, r, n) for run in range(4) for r in range(4) for n in range(50)}
    assert len(seeds) == 800
    assert max(seeds) < 2**53


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outcome": 2}, "outcome"),
        ({"moves": [0]}, "1 moves but"),
        ({"values": []}, "moves but 0 values"),
        ({"moves": "abc"}, "not as the format says"),
        ({"surprise": 1}, "not as the format says.*surprise"),
        ({"number": -1}, "not as the format says"),
    ],
)
def test_a_game_that_disagrees_with_itself_is_refused(tictactoe, games, change, message):
    table = {**msgspec.to_builtins(games[0]), **change}
    text = {
        "format": "selfplay-batch",
        "version": 1,
        **msgspec.to_builtins(header_of(tictactoe)),
        "games": [table],
    }
    with pytest.raises(BatchError, match=message):
        check_game_record(decode_batch(json.dumps(text).encode()).games[0], tictactoe)


def test_wrong_outcomes_moves_and_policies_are_refused(tictactoe, games):
    game = games[0]
    replace = msgspec.structs.replace
    wrong_outcome = replace(game, outcome=1 if game.outcome != 1 else -1)
    with pytest.raises(BatchError, match="says outcome"):
        check_game_record(wrong_outcome, tictactoe)
    cut = {field: getattr(game, field)[:-1] for field in ("moves", "policies", "values", "simulations")}
    with pytest.raises(BatchError, match="but is not over there"):
        check_game_record(replace(game, **cut), tictactoe)
    with pytest.raises(BatchError, match="not legal"):
        check_game_record(replace(game, moves=[game.moves[0], *game.moves[:-1]]), tictactoe)
    for policy in ([0], [0, 0], [3, 1, 2, 1], []):
        with pytest.raises(BatchError, match="not pairs of rising actions"):
            check_game_record(replace(game, policies=[policy, *game.policies[1:]]), tictactoe)
    with pytest.raises(BatchError, match="names an action that is not legal"):
        check_game_record(replace(game, policies=[game.policies[0], [game.moves[0], 1], *game.policies[2:]]), tictactoe)


def test_positions_cost_at_most_100_bytes(connect4):
    games = played(connect4, range(10))
    size = len(encode_batch(header_of(connect4), games))
    assert size / sum(len(game.moves) for game in games) <= 100


def test_every_version_of_the_format_that_was_ever_written_is_read(tictactoe):
    from pathlib import Path

    for version in (1, 2, 3):
        batch = read_batch(Path(__file__).parents[1] / "golden" / f"batch_version_{version}.json")
        assert batch.version == version
        assert [game.number for game in batch.games] == [0, 1]
        for game in batch.games:
            check_game_record(game, tictactoe)


@pytest.mark.parametrize("how", [{}, {"full_share": 0.4}, {"decided_value": 0.1}])
@pytest.mark.parametrize("future", [False, True])
def test_only_what_was_searched_is_learnt(folder, tictactoe, how, future):
    """And the future is the board at the end of the game, though nothing is learnt there."""
    search = msgspec.structs.replace(SEARCH, opening_share=0.6, opening_plies=3, **how)
    evaluator = CachedEvaluator(UniformEvaluator(), tictactoe.info, positions=64)
    lockstep = Lockstep(tictactoe, evaluator, search, slots=8, run_seed=SEED, round_number=1)
    games = sorted((game for game in lockstep.play(range(GAMES)) if game), key=lambda game: game.number)
    write(folder, tictactoe, games, search=msgspec.to_builtins(search))
    identity = dataclasses.replace(identity_of(tictactoe), search=search)
    pool = TrainingDataPool(
        lambda: lambda: sorted(folder.glob("*/*.json")), identity, TrainingSettings(), future=future
    )
    assert pool.collect() == GAMES
    window = pool.window(1)
    searched = sum(bool(policy) for game in games for policy in game.policies)
    assert (searched < sum(len(game.moves) - game.opening for game in games)) == bool(how)
    assert len(window.learnt) == window.new_positions == searched
    assert (len(window.weight) > searched) == (future and bool(how))
    assert searched < sum(len(game.moves) for game in games)
    assert window.weight[window.learnt].mean() == pytest.approx(1)
    if future:
        ends = [tictactoe.encode(tictactoe.replay(game.moves)[0][-3:-1]) for game in games]
        expected = [
            ends[place][-1 if (len(game.moves) - 1 - ply) % 2 == 0 else 0]
            for place, game in enumerate(games)
            for ply, policy in enumerate(game.policies)
            if policy
        ]
        found = pool.samples(window, Draw(window.learnt, 0 * window.learnt)).future
        np.testing.assert_array_equal(found, expected)
    for samples in pool.minibatches(window, steps=3, rng=np.random.default_rng(0)):
        np.testing.assert_allclose(samples.policy.sum(axis=1), 1, rtol=1e-6)


def test_a_sealed_batch_cannot_pass_for_one_of_version_1(tictactoe, games):
    content = encode_batch(header_of(tictactoe), games).replace(b'"version":3', b'"version":1')
    with pytest.raises(BatchError, match="does not match its checksum"):
        decode_batch(content)


# --- the writer --------------------------------------------------------------------------------------------------


def test_a_file_is_written_for_every_ten_games_in_whatever_order_they_end(tictactoe, tmp_path):
    games = played(tictactoe, range(30, 55))
    writer = WorkerDataWriter(tmp_path / "worker_0", header_of(tictactoe), first_game=30, num_games=25)
    paths = [path for game in reversed(games) if (path := writer.add(game))]
    assert sorted(path.name for path in paths) == [batch_name(1, first) for first in (30, 40, 50)]
    assert [len(read_batch(path).games) for path in sorted(paths)] == [10, 10, 5]
    assert [game.number for path in sorted(paths) for game in read_batch(path).games] == list(range(30, 55))


def test_the_writer_refuses_foreign_games_and_sweeps_its_own_leftovers(tictactoe, games, tmp_path):
    (tmp_path / ".batch_r0001_g000000.json.77.tmp").write_text("half")
    writer = WorkerDataWriter(tmp_path, header_of(tictactoe), first_game=5, num_games=2)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="not one of 5"):
        writer.add(games[0])


def test_finished_games_that_wait_for_others_are_written_in_the_end(folder, tictactoe, games):
    writer = WorkerDataWriter(folder / "worker_0", header_of(tictactoe), first_game=0, num_games=12)
    for number in (11, 3, 1):
        assert writer.add(games[number]) is None
    (path,) = writer.write_rest()
    assert path.name == batch_name(1, 1)
    assert [game.number for game in read_batch(path).games] == [1, 3, 11]
    assert writer.write_rest() == []
    assert collector_of(folder, tictactoe).sweep().accepted == [path]


@given(
    st.lists(st.lists(st.integers(0, 4), max_size=6), min_size=1, max_size=4),
    st.lists(st.booleans(), min_size=16, max_size=16),
)
def test_policies_of_a_game_are_judged_as_each_ply_alone(policies, legal):
    legal = np.array(legal).reshape(4, 4)

    def is_good(ply, policy):
        try:
            batch_file._check_policy(
                GameRecord(number=0, seed=0, outcome=0, moves=[], policies=[], values=[], simulations=[]),
                ply,
                policy,
                legal[ply],
            )
        except BatchError:
            return False
        return True

    one_by_one = all(is_good(ply, policy) for ply, policy in enumerate(policies))
    assert batch_file._policies_are_good(policies, legal) == one_by_one


# --- the collector -----------------------------------------------------------------------------------------------


def test_batches_that_are_older_than_a_setting_belong_to_runs_without_it(folder, tictactoe, games):
    search = msgspec.to_builtins(SEARCH)
    del search["win_in_one"]
    path = write(folder, tictactoe, games, search=search)
    for win_in_one in (False, True):
        identity = dataclasses.replace(
            identity_of(tictactoe), search=msgspec.structs.replace(SEARCH, win_in_one=win_in_one)
        )
        sweep = BatchCollector(lambda: [path], identity).sweep()
        assert (len(sweep.accepted), len(sweep.rejected)) == ((0, 1) if win_in_one else (1, 0))


def test_new_files_are_taken_in_once(folder, tictactoe, games):
    collector = collector_of(folder, tictactoe)
    assert not collector.sweep().games
    write(folder, tictactoe, games[:10])
    assert [game.record.number for game in collector.sweep().games] == list(range(10))
    assert collector.missing(1) == [10, 11]
    assert not collector.sweep().games
    write(folder, tictactoe, games[8:], "worker_1/batch_r0001_g000008.json")
    assert [game.record.number for game in collector.sweep().games] == [10, 11], "second copies are dropped"
    assert collector.missing(1) == []
    whole_copy = write(folder, tictactoe, games[:10], "worker_2/batch_r0001_g000000.json")
    sweep = collector.sweep()
    assert (sweep.copies, sweep.games_copied, sweep.accepted) == ([whole_copy], 10, [])


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"model": "other"}, "its model is other"),
        ({"round_number": 2}, "its model is m0, this run's round 2 is played with m1"),
    ],
)
def test_batches_of_another_model_or_round_are_rejected(folder, tictactoe, games, header, message):
    write(folder, tictactoe, games, **header)
    sweep = collector_of(folder, tictactoe).sweep()
    assert not sweep.games
    assert message in sweep.rejected[0].reason


def test_batches_wait_for_a_model_that_is_not_there(folder, tictactoe):
    models = {1: "m0", 2: "m1"}
    games = played(tictactoe, range(GAMES), 3)
    path = write(folder, tictactoe, games, round_number=3, model="m2")
    collector = collector_of(folder, tictactoe, models.get)
    sweep = collector.sweep()
    assert (sweep.games, sweep.rejected, sweep.waiting) == ([], [], [(path, 3)])
    assert collector.sweep() == Sweep()
    models[3] = "m2"
    assert len(collector.sweep().games) == len(games)
    assert collector.missing(3) == []


def test_a_sweep_that_meets_a_damaged_model_takes_nothing_in(folder, tictactoe, games):
    damaged = [True]

    def player_of_round(number):
        if number == 2 and damaged:
            raise ModelDamaged(folder / "round_0001.pt", "flipped")
        return f"m{number - 1}"

    write(folder, tictactoe, games)
    later = played(tictactoe, range(GAMES), 2)
    write(folder, tictactoe, later, "worker_1/batch_r0002_g000000.json", round_number=2, model="m1")
    collector = collector_of(folder, tictactoe, player_of_round)
    with pytest.raises(ModelDamaged):
        collector.sweep()
    assert len(collector.missing(1)) == len(games)
    damaged.clear()
    assert len(collector.sweep().games) == 2 * len(games)


def test_foreign_torn_and_newer_files_are_rejected_with_the_reason(folder, tictactoe, connect4, games):
    good = encode_batch(header_of(tictactoe), games)
    files = {
        "torn": (good[: len(good) // 2], "cut short"),
        "foreign": (b'{"some": "json"}', 'format is ""'),
        "newer": (good.replace(b'"version":3', b'"version":4'), "version is 4, this program reads 1 to 3"),
        "changed": (good.replace(b'"outcome":1', b'"outcome":0'), "does not match its checksum"),
        "othergame": (encode_batch(header_of(connect4), played(connect4, range(2))), "its game is connect4"),
        "otherseed": (changed(good, str(games[3].seed).encode(), b"12345"), "game 3 has seed 12345"),
        "toomany": (changed(good, b'"number":11', b'"number":99'), "it holds game 99, a round has 12"),
        "empty": (encode_batch(header_of(tictactoe), []), "it holds no games"),
        "othersearch": (changed(good, b'"simulations":6', b'"simulations":7'), "its search is"),
    }
    for name, (content, _) in files.items():
        (folder / "worker_0" / f"batch_{name}.json").write_bytes(content)
    sweep = collector_of(folder, tictactoe).sweep()
    assert not sweep.games
    reasons = {rejected.path.stem.removeprefix("batch_"): rejected.reason for rejected in sweep.rejected}
    assert reasons.keys() == files.keys()
    for name, (_, message) in files.items():
        assert message in reasons[name]


def test_a_file_that_could_not_be_used_is_looked_into_again_though_it_is_listed_once(folder, tictactoe, games):
    path = write(folder, tictactoe, games)
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    collector = collector_of(folder, tictactoe)
    assert [rejected.path for rejected in collector.sweep().rejected] == [path]
    assert [rejected.path for rejected in collector.sweep().rejected] == [path], "for it is still there"
    path.write_bytes(whole)
    assert len(collector.sweep().games) == GAMES
    path.write_bytes(whole[:100])
    assert not collector.sweep().rejected, "its games are there"


def test_a_game_that_differs_from_its_other_copy_is_rejected(folder, tictactoe, games):
    write(folder, tictactoe, games)
    forged = msgspec.structs.replace(games[0], values=[0.5] * len(games[0].values))
    write(folder, tictactoe, [forged], "worker_1/batch_r0001_g000000.json")
    sweep = collector_of(folder, tictactoe).sweep()
    assert "game 0 of round 1 differs" in sweep.rejected[0].reason
    assert len(sweep.games) == GAMES


def test_quarantine_moves_the_file_and_leaves_the_reason_beside_it(folder):
    for _ in range(2):
        path = folder / "worker_0" / "batch_x.json"
        path.write_text("bad")
        place = quarantine(Rejected(path, "it is bad"), folder / "quarantine")
        assert not path.exists()
        assert place.read_text() == "bad"
        assert "it is bad" in place.with_suffix(".reason.txt").read_text()
    assert len(list((folder / "quarantine").glob("*.json"))) == 2


def test_the_bell_rings_when_a_batch_lands(folder, tictactoe, games):
    import time

    with FolderBell(folder) as bell:
        assert not bell.rang()
        path = write(folder, tictactoe, games)
        time.sleep(0.2)
        assert not bell.rang()
        write_atomically(path, path.read_bytes())
        until = time.monotonic() + 5
        while not bell.rang():
            assert time.monotonic() < until, "no ring within 5 s"
            time.sleep(0.01)


# --- window and pool ---------------------------------------------------------------------------------------------


def test_the_window_starts_with_everything_and_grows_by_slope_and_exponent():
    """The letters of the formula: c the start, beta the slope there, alpha the exponent far out."""
    settings = TrainingSettings(window_start=250_000, window_exponent=0.75, window_slope=0.4)
    assert window_size(1000, settings) == 1000
    assert window_size(250_000, settings) == 250_000
    assert (window_size(251_000, settings) - 250_000) / 1000 == pytest.approx(0.4, abs=0.01)
    assert window_size(2**44, settings) / window_size(2**40, settings) == pytest.approx(16**0.75, rel=0.01)


def test_the_window_takes_whole_games_from_the_newest_on():
    assert newest_games([5, 5, 5, 5], 10) == 2
    assert newest_games([5, 5, 5, 5], 11) == 1
    assert newest_games([5, 5], 100) == 0
    assert newest_games([], 10) == 0


def pool_of(folder, rules, *, future=False, **settings):
    settings = TrainingSettings(**{"batch_size": 32, **settings})
    return TrainingDataPool(partial(NewBatches, RunLayout(folder)), identity_of(rules), settings, future=future)


def test_games_that_the_window_left_behind_are_let_go_and_read_again_for_an_older_round(folder, tictactoe, games):
    settings = {"window_start": 30, "window_slope": 0.1}
    write(folder, tictactoe, games)
    pool = pool_of(folder, tictactoe, **settings)
    pool.collect()
    first = pool.window(1)
    write(folder, tictactoe, played(tictactoe, range(GAMES), 2), "worker_1/batch_2.json", round_number=2, model="m1")
    pool.collect()
    second = pool.window(2)
    assert second.total_positions > first.total_positions
    assert len(pool._places) < 2 * GAMES
    assert min(pool._places) > (1, 0)
    assert pool._plies.keys() == pool._places.keys()
    again = pool.window(1)
    assert again.total_positions == first.total_positions
    for one, other in zip((*first.positions, first.weight), (*again.positions, again.weight), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(pool.window(2).positions, second.positions, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_window_does_not_depend_on_who_played_what(tmp_path, tictactoe, games):
    a, b = tmp_path / "a", tmp_path / "b"
    for folder in (a, b):
        folder.mkdir()
    write(a, tictactoe, games)
    write(b, tictactoe, games[6:], "worker_0/batch_r0001_g000006.json")
    write(b, tictactoe, games[:6], "worker_1/batch_r0001_g000000.json")
    batches = []
    for folder in (a, b):
        pool = pool_of(folder, tictactoe)
        assert pool.collect() == GAMES
        batches.append(list(pool.minibatches(pool.window(1), steps=5, rng=np.random.default_rng(1))))
    for first, second in zip(*batches, strict=True):
        for x, y in zip(first, second, strict=True):
            np.testing.assert_array_equal(x, y)


def test_games_that_come_late_and_out_of_order_lie_where_they_belong(tmp_path, tictactoe):
    """A window of games that landed in one go equals one that grew round by round and let old ones go."""
    settings = {"window_start": 60, "window_slope": 0.1}
    rounds = {number: played(tictactoe, range(GAMES), number) for number in (1, 2)}
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    grown = pool_of(tmp_path / "parts", tictactoe, **settings)
    for number, games in rounds.items():
        for half in (1, 0):
            name = f"worker_{half}/batch_{number}.json"
            for folder in ("whole", "parts"):
                write(tmp_path / folder, tictactoe, games[half::2], name, round_number=number, model=f"m{number - 1}")
            grown.collect()
        grown.window(number)
    whole = pool_of(tmp_path / "whole", tictactoe, **settings)
    whole.collect()
    assert len(grown._places) < 2 * GAMES, "some were left behind"
    first, second = whole.window(2), grown.window(2)
    for one, other in zip((*first.positions, first.weight), (*second.positions, second.weight), strict=True):
        np.testing.assert_array_equal(one, other)


def test_training_on_incomplete_rounds_is_refused(folder, tictactoe, games):
    write(folder, tictactoe, games[:10])
    pool = pool_of(folder, tictactoe)
    pool.collect()
    with pytest.raises(BatchError, match="2 games are missing, the first is game 10 of round 1"):
        pool.window(1)


def test_every_position_comes_once_before_any_comes_again(folder, tictactoe, games):
    write(folder, tictactoe, games)
    pool = pool_of(folder, tictactoe, batch_size=7)
    pool.collect()
    window = pool.window(1)
    assert len(window.weight) == sum(len(game.moves) for game in games) == window.new_positions
    steps = len(window.weight) // 7
    drawn = sum(len(batch.planes) for batch in pool.minibatches(window, steps=steps, rng=np.random.default_rng(0)))
    assert drawn == steps * 7
    rows = np.concatenate([draw.rows for draw in pool.draws(window, steps=steps, rng=np.random.default_rng(0))])
    assert len(set(rows.tolist())) == len(rows) == drawn


def test_samples_are_transformed_together_and_outcomes_seen_by_the_mover(folder, tictactoe, games):
    write(folder, tictactoe, games)
    pool = pool_of(folder, tictactoe)
    pool.collect()
    window = pool.window(1)
    _boards, _actions = tables(tictactoe.info.symmetries)
    rows = np.arange(len(window.weight))
    plies = np.concatenate([np.arange(len(game.moves)) for game in games])
    outcomes = np.concatenate([np.full(len(game.moves), game.outcome) for game in games])
    for symmetry in range(8):
        samples = pool.samples(window, Draw(rows, np.full(len(rows), symmetry)))
        free = 1 - samples.planes.sum(axis=1).reshape(len(rows), 9)
        np.testing.assert_array_equal(samples.legal, free > 0)  # masks follow the board
        assert (samples.policy[~samples.legal] == 0).all()
        np.testing.assert_allclose(samples.policy.sum(axis=1), 1, rtol=1e-6)
        values = samples.outcome @ [1, 0, -1]
        np.testing.assert_array_equal(values, np.where(plies % 2 == 0, outcomes, -outcomes))


def test_outcomes_are_seen_by_the_mover_where_players_move_twice(folder, again):
    games = played(again, range(GAMES))
    write(folder, again, games)
    pool = pool_of(folder, again)
    pool.collect()
    window = pool.window(1)
    row = 0
    for game in games:
        for ply in range(len(game.moves)):
            mover = int(again.replay(game.moves)[1].to_move[ply])
            expected = game.outcome if mover == 0 else -game.outcome
            assert 1 - window.positions.outcome[row].argmax() == expected
            row += 1
    assert any((again.replay(game.moves)[1].to_move[:-1] != np.arange(len(game.moves)) % 2).any() for game in games), (
        "the games must show a player moving twice"
    )


@pytest.mark.parametrize(
    ("to_move", "ahead"),
    [
        ([0, 1, 0, 1], [2, 2, 0, 0]),
        ([0, 1, 0], [2, 0, 0]),
        ([0, 0, 1, 0, 1, 1], [3, 2, 3, 0, 1, 0]),
        ([1], [0]),
        ([], []),
    ],
)
def test_the_last_position_with_the_same_player_to_move_lies_ahead(to_move, ahead):
    assert rows_ahead(np.array(to_move, np.int8)).tolist() == ahead


@pytest.mark.parametrize("duplicates", [1.0, 0.5])
def test_the_future_is_the_games_last_position_turned_like_the_board(folder, again, duplicates):
    """Where players move twice; equal positions made one look ahead from the first of them."""
    games = played(again, range(GAMES))
    write(folder, again, games)
    pool = pool_of(folder, again, future=True, duplicates=duplicates)
    pool.collect()
    window = pool.window(1)
    expected, first = [], {}
    for game in games:
        states, known = again.replay(game.moves)
        movers = known.to_move[:-1]
        for ply, mover in enumerate(movers):
            expected.append(again.encode(states[np.flatnonzero(movers == mover)[-1:]])[0])
            first.setdefault(states[ply].tobytes(), expected[-1])
    if duplicates < 1.0:
        expected = list(first.values())
    rows = np.arange(len(window.weight))
    plain = pool.samples(window, Draw(rows, np.zeros(len(rows), np.int64)))
    np.testing.assert_array_equal(plain.future, expected)
    boards, _ = tables(again.info.symmetries)
    for symmetry, board in enumerate(boards):
        turned = pool.samples(window, Draw(rows, np.full(len(rows), symmetry)))
        flat = plain.future.reshape(*plain.future.shape[:2], -1)
        np.testing.assert_array_equal(turned.future.reshape(flat.shape), flat[:, :, board])
    assert pool_of(folder, again).samples(window, Draw(rows, 0 * rows)).future.shape[1] == 0


# --- files that are known ----------------------------------------------------------------------------------------


def index_of(folder, rules):
    """What a collector that has read everything says of the files."""
    entries = collector_of(folder, rules).sweep().entries
    rounds = {}
    for entry in entries:
        rounds.setdefault((entry.round, entry.model), []).append(entry.file)
    for (number, model), files in rounds.items():
        write_index(folder / f"round_{number}.json", RoundIndex(round=number, model=model, files=files))
    return known_files(sorted(folder.glob("round_*.json")), folder)


def collector_with(known, folder, rules):
    return BatchCollector(NewBatches(RunLayout(folder)), identity_of(rules), known=known)


def test_a_known_file_is_not_read_and_one_that_has_changed_is(folder, tictactoe, games):
    path = write(folder, tictactoe, games)
    known, there = index_of(folder, tictactoe), path.stat()
    path.write_bytes(bytes(there.st_size))  # nobody would take this, who read it
    os.utime(path, ns=(there.st_atime_ns, there.st_mtime_ns))
    collector = collector_with(known, folder, tictactoe)
    sweep = collector.sweep()
    assert (sweep.games, sweep.rejected) == ([], [])
    assert len(sweep.known) == GAMES
    assert collector.is_complete(1)

    os.utime(path, ns=(there.st_atime_ns, there.st_mtime_ns + 1))
    assert collector_with(known, folder, tictactoe).sweep().rejected


def test_what_is_known_of_another_model_or_of_copies_is_not_believed(folder, tictactoe, games):
    write(folder, tictactoe, games)
    known = index_of(folder, tictactoe)
    foreign = {path: Known(each.file, each.round, "m7") for path, each in known.items()}
    assert len(collector_with(foreign, folder, tictactoe).sweep().games) == GAMES
    write(folder, tictactoe, games, "worker_1/batch_r0001_g000000.json")
    sweep = collector_with(known, folder, tictactoe).sweep()
    assert len(sweep.known) == GAMES
    assert [path.parent.name for path in sweep.copies] == ["worker_1"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"format": "selfplay-index", "version": 9, "round": 1, "model": "", "files": []}']
)
def test_an_index_that_cannot_be_used_is_as_good_as_none(tmp_path, content):
    (tmp_path / "round_1.json").write_bytes(content)
    assert known_files([tmp_path / "round_1.json", tmp_path / "round_2.json"], tmp_path) == {}


def test_the_window_is_the_same_with_known_files_which_are_read_only_as_far_as_it_reaches(folder, tictactoe, games):
    settings = TrainingSettings(batch_size=32, window_start=30, window_slope=0.1)
    first = write(folder, tictactoe, games)
    write(folder, tictactoe, played(tictactoe, range(GAMES), 2), "worker_1/batch_2.json", round_number=2, model="m1")
    listing = lambda: sorted(folder.glob("worker_*/batch_*.json"))  # noqa: E731
    known = index_of(folder, tictactoe)
    windows = []
    for knowing in (dict, lambda: known):
        pool = TrainingDataPool(lambda: listing, identity_of(tictactoe), settings, known=knowing)
        assert pool.collect() == 2 * GAMES
        windows.append(pool.window(2))
    for one, other in zip(
        (*windows[0].positions, windows[0].weight), (*windows[1].positions, windows[1].weight), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert windows[0].total_positions == windows[1].total_positions
    assert first in pool._files.values(), "the first round's file was not needed"
    assert pool.window(1).total_positions < windows[0].total_positions  # now it is
    there = first.stat()
    first.write_bytes(bytes(there.st_size))
    os.utime(first, ns=(there.st_atime_ns, there.st_mtime_ns))
    pool = TrainingDataPool(lambda: listing, identity_of(tictactoe), settings, known=lambda: known)
    pool.collect()
    with pytest.raises(BatchError, match="it was good when the run's index was written: delete the folder `index`"):
        pool.window(1)
