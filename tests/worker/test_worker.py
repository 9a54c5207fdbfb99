import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from toys import HashEvaluator

from selfplay.errors import BatchError, GameError, ModelError
from selfplay.evaluation.cache import CachedEvaluator
from selfplay.games.registry import load_rules
from selfplay.network.checkpoint import save_checkpoint, untrained
from selfplay.samples.batch_file import check_game_record, read_batch
from selfplay.settings import SearchSettings, WorkerSettings
from selfplay.worker.lockstep import Lockstep
from selfplay.worker.process import Worker, WorkerSetup, WorkerTask

SEARCH = SearchSettings(simulations=20, temperature_plies=4)
ROUND = 2


def play(rules, numbers, *, slots, cache=4096, search=SEARCH):
    evaluator = CachedEvaluator(HashEvaluator(), rules.info, positions=cache)
    lockstep = Lockstep(rules, evaluator, search, slots=slots, run_seed=3, round_number=ROUND)
    return {game.number: game for game in lockstep.play(numbers) if game is not None}


@pytest.mark.parametrize("game", ["connect4", "again", "objects"])
def test_a_game_does_not_depend_on_slots_neighbours_or_cache(request, game):
    rules = request.getfixturevalue(game)
    together = play(rules, range(20), slots=7)
    assert sorted(together) == list(range(20))
    for number in (0, 11, 19):
        assert play(rules, range(number, number + 1), slots=1, cache=0)[number] == together[number]
    assert play(rules, range(20), slots=20, cache=4) == together


@pytest.mark.parametrize("reuse", [True, False])
def test_records_agree_with_the_rules_and_with_themselves(connect4, reuse):
    search = msgspec.structs.replace(SEARCH, reuse_tree=reuse, solver=False)
    for game in play(connect4, range(6), slots=6, search=search).values():
        check_game_record(game, connect4)
        for ply, policy in enumerate(game.policies):
            assert sum(policy[1::2]) == SEARCH.simulations
            assert 0 < game.simulations[ply] <= SEARCH.simulations
            assert reuse or game.simulations[ply] == SEARCH.simulations
    first = play(connect4, range(1), slots=1, search=search)[0]
    assert first.simulations[0] == SEARCH.simulations


@pytest.mark.parametrize(
    "how", [{}, {"method": "gumbel"}, {"opening_choices": 3}, {"opening_policy": 0.5, "opening_choices": 3}]
)
def test_a_game_from_a_random_opening_is_searched_from_there_on(connect4, how):
    search = msgspec.structs.replace(SEARCH, opening_share=0.5, opening_plies=9, **how)
    games = play(connect4, range(60), slots=16, search=search)
    openings = {number: game.opening for number, game in games.items()}
    assert 15 < sum(plies > 0 for plies in openings.values()) < 45  # half of 60, four standard errors either side
    assert set(openings.values()) >= set(range(8))
    for number, game in games.items():
        check_game_record(game, connect4)
        assert not any(game.policies[: game.opening] + game.simulations[: game.opening])
        assert all(game.policies[game.opening :])
        assert play(connect4, range(number, number + 1), slots=1, cache=0, search=search)[number] == game


def test_quick_moves_are_played_and_not_learnt(connect4):
    search = msgspec.structs.replace(SEARCH, full_share=0.25, quick_simulations=5, solver=False, opening_share=0.3)
    games = play(connect4, range(60), slots=16, search=search)
    plies = [(game, ply) for game in games.values() for ply in range(game.opening, len(game.moves))]
    full = [bool(game.policies[ply]) for game, ply in plies]
    assert 0.20 < np.mean(full) < 0.30, "a quarter of some 1,500 plies, four standard errors either side"
    for game, ply in plies:
        if game.policies[ply]:
            assert sum(game.policies[ply][1::2]) == SEARCH.simulations
        else:
            assert game.simulations[ply] <= 5
    for number, game in games.items():
        check_game_record(game, connect4, has_short_searches=True)
        assert play(connect4, range(number, number + 1), slots=1, search=search)[number] == game
    with pytest.raises(BatchError, match="is not pairs of rising actions"):
        check_game_record(games[0], connect4)


def test_a_quick_move_is_searched_as_one_without_noise(connect4):
    """All moves quick: the same game as where every search is that short and has no noise."""
    calm = msgspec.structs.replace(
        SEARCH, simulations=9, noise_fraction=0.0, temperature=0.0, late_temperature=0.0, reuse_tree=False
    )
    quick = msgspec.structs.replace(calm, simulations=20, noise_fraction=0.9, full_share=1e-12, quick_simulations=9)
    first, second = (play(connect4, [3], slots=1, search=each)[3] for each in (quick, calm))
    assert (first.moves, first.values) == (second.moves, second.values)


def test_decided_games_are_played_to_the_end_quickly(connect4):
    """All but a share of them, and nothing is learnt from there on."""
    search = msgspec.structs.replace(
        SEARCH, decided_value=0.3, played_out_share=0.25, quick_simulations=5, opening_share=0.3
    )
    games = play(connect4, range(200), slots=32, search=search)
    shortened = []
    for game in games.values():
        check_game_record(game, connect4, has_short_searches=True)
        values = np.abs(game.values)
        decided = next((ply for ply in range(game.opening, len(game.moves)) if values[ply] > 0.3), len(game.moves))
        assert all(game.policies[game.opening : decided + 1])
        after = game.policies[decided + 1 :]
        assert all(after) or not any(after)
        if after:
            shortened.append(not any(after))
            assert all(after) or max(game.simulations[decided + 1 :]) <= 5
    assert len(shortened) > 100
    assert abs(np.mean(shortened) - 0.75) < 4 * np.sqrt(0.25 * 0.75 / len(shortened))
    for number in (0, 7, 150):
        assert play(connect4, range(number, number + 1), slots=1, cache=0, search=search)[number] == games[number]


@pytest.mark.parametrize("reuse", [True, False])
def test_early_moves_are_searched_for_longer(connect4, reuse):
    """And the later ones as ever: visits that the tree keeps of an early search may be more than they need."""
    search = msgspec.structs.replace(
        SEARCH, early_simulations=50, early_plies=4, solver=False, opening_share=0.5, reuse_tree=reuse
    )
    games = play(connect4, range(20), slots=6, search=search)
    assert {game.opening for game in games.values()} > {0, 1, 2, 3, 5}
    for number, game in games.items():
        visits = [sum(policy[1::2]) for policy in game.policies[game.opening :]]
        early = max(0, 4 - game.opening)
        assert visits[:early] == [50] * early
        assert all(50 >= count >= 20 if reuse else count == 20 for count in visits[early:])
        assert play(connect4, range(number, number + 1), slots=1, search=search)[number] == game


def test_early_moves_are_searched_no_longer_before_a_certain_round(connect4):
    late = msgspec.structs.replace(SEARCH, early_simulations=50, early_plies=4, early_round=ROUND + 1)
    now = msgspec.structs.replace(late, early_round=ROUND)
    always = msgspec.structs.replace(late, early_round=1)
    games = [play(connect4, range(4), slots=4, search=search) for search in (SEARCH, late, now, always)]
    assert games[0] == games[1]
    assert games[2] == games[3]
    assert games[1] != games[2]


def test_games_of_a_round_differ(connect4):
    games = play(connect4, range(20), slots=20).values()
    assert len({tuple(game.moves) for game in games}) == 20


def test_a_game_that_never_ends_is_reported(tmp_path):
    text = (Path(__file__).parents[1] / "toys.py").read_text()
    path = tmp_path / "endless.py"
    path.write_text(text.replace('"again", (1, PILE), 2, 2, PILE', '"endless", (1, PILE), 2, 2, 2'))
    with pytest.raises(
        GameError, match="not over after 2 plies, but the game declares max_plies = 2; run `selfplay check"
    ):
        play(load_rules(f"{path}:AgainGame"), range(5), slots=5)


@pytest.fixture(scope="module")
def model(tictactoe, tmp_path_factory):
    from selfplay.settings import NetworkSettings, Settings

    settings = Settings(network=NetworkSettings(blocks=1, channels=8))
    path = tmp_path_factory.mktemp("model") / "model.pt"
    save_checkpoint(untrained(tictactoe.info, settings), path)
    return path


def worker(out, device="cpu", game="tictactoe"):
    return Worker(WorkerSetup(game=game, out=str(out), seed=4, device=device, search=SEARCH, worker=WorkerSettings()))


def task(path, **changes):
    fields = {
        "model": str(path.with_suffix(".onnx")),
        "fingerprint": "",
        "round": 1,
        "first_game": 0,
        "num_games": 15,
    }
    return WorkerTask(**{**fields, **changes})


def test_a_worker_writes_its_games_and_reports(model, tmp_path):
    messages = [message for message in worker(tmp_path / "w").play(task(model)) if message]
    assert [message["event"] for message in messages if message["event"] != "progress"] == [
        "batch",
        "batch",
        "done",
    ]
    done = messages[-1]
    assert done["games"] == 15
    assert done["simulations"] > 15 * 5
    assert 0 < done["hits"] < done["lookups"]
    numbers = [g.number for path in sorted((tmp_path / "w").iterdir()) for g in read_batch(path).games]
    assert numbers == list(range(15))


def test_a_game_replayed_alone_from_its_seed_equals_the_one_in_the_file(model, tmp_path):
    """Move by move and count by count, in another worker, alone instead of in a batch of fifteen."""
    list(worker(tmp_path / "all").play(task(model)))
    list(worker(tmp_path / "one").play(task(model, first_game=13, num_games=1)))
    alone = read_batch(tmp_path / "one" / "batch_r0001_g000013.json").games[0]
    inside = read_batch(tmp_path / "all" / "batch_r0001_g000010.json").games[3]
    assert inside == alone


def test_wrong_models_are_refused(model, tmp_path):
    with pytest.raises(ModelError, match="no such inference model"):
        list(worker(tmp_path).play(task(model, model=str(tmp_path / "no.onnx"))))
    with pytest.raises(ModelError, match="expected 123"):
        list(worker(tmp_path).play(task(model, fingerprint="123")))
    with pytest.raises(ModelError, match="is a model of tictactoe, but the game is connect4"):
        list(worker(tmp_path, game="connect4").play(task(model)))
    model_file = tmp_path / "torn.onnx"
    model_file.write_bytes(model.with_suffix(".onnx").read_bytes()[:500])
    with pytest.raises(ModelError, match=r"torn\.onnx"):
        list(worker(tmp_path).play(task(model, model=str(model_file))))


def by_hand(model, out, *options, **pipes):
    command = [Path(sys.executable).with_name("selfplay"), "worker", "--model", model, "--out", out, *options]
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, **pipes)


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_a_worker_by_hand_writes_the_same_bytes_each_time(model, tmp_path):
    for out in ("a", "b"):
        with by_hand(model, tmp_path / out, "--games", 12, "--seed", 4, stdin=subprocess.DEVNULL) as process:
            output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert json.loads(output.splitlines()[-1])["event"] == "done"
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert sorted(digests(tmp_path / "a")) == ["batch_r0001_g000000.json", "batch_r0001_g000010.json"]


@pytest.mark.parametrize("how", ["stdin closes", "SIGTERM"])
def test_a_worker_ends_when_told_to_and_leaves_whole_files(model, tmp_path, how):
    with by_hand(model, tmp_path / "w", "--games", 100_000, stdin=subprocess.PIPE) as process:
        assert process.stdout.readline()  # it plays
        began = time.monotonic()
        if how == "SIGTERM":
            process.send_signal(signal.SIGTERM)
        else:
            process.stdin.close()
        process.stdout.read()
        assert process.wait(timeout=20) == 0
        assert time.monotonic() - began < 10
        assert process.stderr.read() == b""
    counts = [len(read_batch(path).games) for path in sorted((tmp_path / "w").glob("batch_*.json"))]
    if how == "SIGTERM":  # what is in hand is brought to an end
        assert sum(counts) >= 64
    else:
        assert set(counts) <= {10}
    assert not list((tmp_path / "w").glob("*.tmp"))
