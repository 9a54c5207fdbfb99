from pathlib import Path

import pytest

from selfplay.coordinator.run import RunRequest, open_run
from selfplay.errors import LawBroken, ModelError, RunError, UsageError
from selfplay.files import write_atomically
from selfplay.network.checkpoint import save_checkpoint, untrained
from selfplay.rundir.layout import RunLayout


def request(tmp_path, **changes):
    return RunRequest(**{"data": tmp_path / "data", "model": tmp_path / "model.pt", **changes})


def assigned(**fields):
    return {"search": fields}


def test_a_new_run_writes_every_setting_and_opens_again(tmp_path):
    first = open_run(request(tmp_path, game="tictactoe", assignments=assigned(simulations=9)))
    assert first.is_new
    assert first.settings.search.simulations == 9
    assert first.settings.search.noise_fraction == 0.4  # the game's preset
    assert first.settings.training.threads >= 1
    again = open_run(request(tmp_path))
    assert not again.is_new
    assert again.settings == first.settings


def test_the_game_is_connect4_unless_told_otherwise(tmp_path):
    assert open_run(request(tmp_path)).settings.game.name == "connect4"


def test_changed_settings_are_refused_with_a_list(tmp_path):
    open_run(request(tmp_path, game="tictactoe"))
    with pytest.raises(RunError, match=r"search\.simulations: the run has 64, asked for 65\n.*c_puct: .*asked for 9"):
        open_run(request(tmp_path, assignments=assigned(simulations=65, c_puct=9.0)))
    with pytest.raises(RunError, match="game.name: the run has 'tictactoe', asked for 'connect4'"):
        open_run(request(tmp_path, game="connect4"))


def test_networks_play_in_the_fast_arithmetic_of_their_device(tmp_path, monkeypatch):
    monkeypatch.setattr("selfplay.coordinator.run._device", lambda: "cpu")
    assert open_run(request(tmp_path, game="tictactoe")).settings.selfplay.precision == "int8"
    for device, precision, settled in (("cpu", "float32", "float32"), ("cuda", "auto", "bfloat16")):
        asked = {"selfplay": {"device": device, "precision": precision}}
        run = open_run(request(tmp_path, data=tmp_path / device, model=tmp_path / f"{device}.pt", assignments=asked))
        assert run.settings.selfplay.precision == settled
    asked = {"selfplay": {"device": "cpu", "precision": "bfloat16"}}
    with pytest.raises(UsageError, match='precision = "bfloat16" does not go with selfplay.device = "cpu"'):
        open_run(request(tmp_path, data=tmp_path / "wrong", assignments=asked))
    assert not (tmp_path / "wrong").exists()


def test_a_run_that_is_older_than_a_setting_goes_on_as_it_was(tmp_path):
    run = open_run(request(tmp_path, game="tictactoe"))
    newer = ("win_in_one", 'precision = "int8"')
    lines = run.layout.settings.read_text().splitlines(keepends=True)
    write_atomically(run.layout.settings, "".join(line for line in lines if not line.startswith(newer)).encode())
    again = open_run(request(tmp_path)).settings
    assert (again.search.win_in_one, again.selfplay.precision) == (False, "float32")


def test_settings_that_only_decide_speed_may_change(tmp_path):
    open_run(request(tmp_path, game="tictactoe"))
    run = open_run(request(tmp_path, assignments={"worker": {"games_in_parallel": 3}}))
    assert run.settings.worker.games_in_parallel == 3


def test_a_new_run_starts_from_the_model_that_is_there(tmp_path, tictactoe, small_settings):
    save_checkpoint(untrained(tictactoe.info, small_settings), tmp_path / "model.pt")
    run = open_run(request(tmp_path))
    assert run.settings.game.name == "tictactoe"
    assert run.settings.network == small_settings.network
    assert run.initial_model == tmp_path / "model.pt"


def test_a_model_of_another_game_is_refused_and_nothing_is_made(tmp_path, tictactoe, small_settings):
    save_checkpoint(untrained(tictactoe.info, small_settings), tmp_path / "model.pt")
    with pytest.raises(ModelError, match="is a model of tictactoe, but the game is connect4"):
        open_run(request(tmp_path, game="connect4"))
    assert not (tmp_path / "data").exists()


def test_a_foreign_or_torn_model_is_never_overwritten(tmp_path, tictactoe, small_settings):
    (tmp_path / "model.pt").write_bytes(b"my thesis")
    with pytest.raises(ModelError, match="not a whole selfplay model"):
        open_run(request(tmp_path))
    (tmp_path / "model.pt").unlink()
    open_run(request(tmp_path, game="tictactoe"))
    (tmp_path / "model.pt").write_bytes(b"my thesis")
    with pytest.raises(RunError, match="is not a round of the run in .* and would be overwritten"):
        open_run(request(tmp_path))
    save_checkpoint(untrained(tictactoe.info, small_settings), tmp_path / "model.pt")
    with pytest.raises(RunError, match="would be overwritten: model"):
        open_run(request(tmp_path))
    assert (tmp_path / "model.pt").exists()


def test_a_folder_with_games_but_no_settings_is_refused(tmp_path):
    layout = RunLayout(tmp_path / "data")
    layout.worker(0).mkdir(parents=True)
    write_atomically(layout.worker(0) / "batch_r0001_g000000.json", b"{}")
    with pytest.raises(RunError, match=r"has games or models of a run but no run\.toml"):
        open_run(request(tmp_path))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"game": "ches"}, UsageError, 'unknown game "ches"'),
        ({"preset": "conect4"}, UsageError, 'did you mean "connect4"'),
        ({"assignments": {"search": {"simulatoins": 3}}}, UsageError, 'did you mean "simulations"'),
    ],
)
def test_unknown_names_are_refused(tmp_path, changes, error, message):
    with pytest.raises(error, match=message):
        open_run(request(tmp_path, **changes))
    assert not (tmp_path / "data").exists()


def test_model_paths_must_end_in_pt(tmp_path):
    with pytest.raises(UsageError, match=r"must end in \.pt"):
        open_run(request(tmp_path, model=tmp_path / "model.onnx"))


def test_a_new_run_of_broken_rules_is_refused_before_anything_is_made(tmp_path):
    path = tmp_path / "broken.py"
    text = (Path(__file__).parents[2] / "selfplay" / "games" / "tictactoe.py").read_text()
    path.write_text(text.replace('"tictactoe", (3, 3), 9, 2, 9', '"tictactoe", (3, 3), 9, 2, 6'))
    with pytest.raises(LawBroken, match='law "end" is broken'):
        open_run(request(tmp_path, game=f"{path}:TicTacToe"))
    assert not (tmp_path / "data").exists()
