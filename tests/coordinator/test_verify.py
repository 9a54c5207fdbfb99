"""A run that is what it says it is, and runs that were damaged or forged in every way that is looked for."""

import re
import shutil

import msgspec
import pytest

from selfplay.coordinator.coordinator import Coordinator, Options
from selfplay.coordinator.run import RunRequest, open_run
from selfplay.coordinator.verify import Report, verify
from selfplay.engines.inline import InlineEngine
from selfplay.errors import RunError
from selfplay.rundir.layout import RunLayout
from selfplay.samples.batch_file import encode_batch, read_batch

SMALL = {
    "search": {"simulations": 4},
    "network": {"blocks": 1, "channels": 8},
    "selfplay": {"games_per_round": 12, "device": "cpu"},
    "training": {"threads": 1, "passes": 2.0},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    opened = open_run(RunRequest(folder / "data", folder / "model.pt", game="tictactoe", assignments=SMALL))
    options = Options(workers=2, rounds=2)
    Coordinator(opened, options, InlineEngine(), show=lambda status: None, say=lambda line: None).work()
    return folder / "data"


@pytest.fixture
def run(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "data")
    return RunLayout(tmp_path / "data")


def report_of(run, replay=0.0):
    *progress, report = verify(run, replay=replay, seed=0)
    assert isinstance(report, Report)
    assert all(isinstance(line, str) for line in progress)
    return report


def forge(path):
    """Change a value of a game, and seal the file anew."""
    batch = read_batch(path)
    first, *rest = batch.games
    forged = msgspec.structs.replace(first, values=[0.5, *first.values[1:]])
    path.write_bytes(encode_batch(batch.header, [forged, *rest]))


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def copy_over(source, target):
    return shutil.copy(source, target)


def test_a_run_left_alone_is_as_it_should_be(run):
    report = report_of(run, replay=1.0)
    assert report.problems == []
    assert (report.rounds, report.games, report.replayed) == (3, 24, 24)


def test_equal_copies_of_games_are_counted_and_nothing_is_wrong_with_them(run):
    """A worker who was slow wrote what another had played meanwhile."""
    games = len(read_batch(run.batch_files()[0]).games)
    copy_over(run.batch_files()[0], run.worker(1) / "batch_r0001_g000777.json")
    report = report_of(run)
    assert (report.problems, report.games, report.copied) == ([], 24, games)


def test_a_share_of_the_games_is_replayed(run):
    assert report_of(run, replay=0.3).replayed == 8  # of 24, rounded up


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: flip(run.batch_files()[0]), "does not match its checksum|not whole JSON|not as the format says"),
        (
            lambda run: run.batch_files()[0].unlink(),
            "round 1 was trained, but 6 of its games are not there, first game 0",
        ),
        (
            lambda run: forge(copy_over(run.batch_files()[0], run.worker(1) / "batch_r0001_g000777.json")),
            "game 0 of round 1 differs from the same game in another file",
        ),
        (lambda run: copy_over(run.model(0), run.model(1)), "does not belong to round_0001.pt"),
        (
            lambda run: [
                copy_over(run.model(0).with_suffix(end), run.model(2).with_suffix(end)) for end in (".pt", ".onnx")
            ],
            "it says it is round 0",
        ),
        (lambda run: flip(run.model(1)), "round_0001.pt: "),
        (
            lambda run: flip(run.model(1).with_suffix(".onnx")),
            "round_0001.onnx: it does not match its checksum|not an ONNX",
        ),
        (lambda run: run.model(0).unlink(), "the model of round 0 that it was trained from is not there"),
    ],
)
def test_damage_is_found_and_named(run, damage, message):
    damage(run)
    problems = report_of(run).problems
    assert problems
    assert any(re.search(message, problem) for problem in problems), problems
    assert len(problems) == len(set(problems)), "each is told once"


def test_a_forged_game_is_found_by_its_replay(run):
    forge(run.batch_files()[0])
    assert report_of(run).problems == []
    (problem,) = report_of(run, replay=1.0).problems
    assert "differs from its replay at ply 0: value 0.5 on file" in problem


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="holds no run"):
        list(verify(RunLayout(tmp_path), replay=0.0, seed=0))
