"""Fixtures that many tests share."""

from __future__ import annotations

import os
from pathlib import Path

import browser
import pytest
import runs
from filelock import FileLock

from selfplay.engines.inline import InlineEngine
from selfplay.games.registry import load_rules
from selfplay.settings import NetworkSettings, SearchSettings, SelfPlaySettings, Settings, TrainingSettings

TOYS = Path(__file__).parent / "toys.py"


def pytest_terminal_summary(terminalreporter):
    if browser.path() is None:
        terminalreporter.write_line(browser.MISSING, red=True, bold=True)


@pytest.fixture(scope="session")
def tictactoe():
    return load_rules("tictactoe")


@pytest.fixture(scope="session")
def connect4():
    return load_rules("connect4")


@pytest.fixture(scope="session")
def again():
    """The odd game: a player may move twice running."""
    return load_rules(f"{TOYS}:AgainGame")


@pytest.fixture(scope="session")
def objects():
    """Tic-tac-toe over Python objects."""
    return load_rules(f"{TOYS}:TicTacToeObjects")


@pytest.fixture(scope="session")
def hexapawn():
    """A game whose pieces move from one cell to another."""
    return load_rules(f"{TOYS}:Hexapawn")


@pytest.fixture
def small_settings():
    """Settings of a run that trains in a second."""
    return Settings(
        network=NetworkSettings(blocks=1, channels=8, policy_channels=2, value_channels=2, value_hidden=8),
        search=SearchSettings(simulations=8),
        selfplay=SelfPlaySettings(games_per_round=12, seed=5, device="cpu"),
        training=TrainingSettings(batch_size=32, passes=2.0, threads=1),
    )


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """The folder of a run of TICTACTOE with one worker, which nothing happened to. Look, do not touch: all tests that
    run side by side share it, and the first one that asks makes it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "finished_run"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            runs.train([*runs.TICTACTOE, "--workers", "1"], Path(f"{folder}.begun"))
            Path(f"{folder}.begun").rename(folder)
    return folder


@pytest.fixture(scope="session")
def undisturbed(finished_run):
    """Its fingerprint and games."""
    return runs.info(finished_run)["fingerprint"], runs.games_of(finished_run)


@pytest.fixture(scope="session")
def calm(tmp_path_factory):
    """The fingerprint of a run inside this process that nothing happened to."""
    return runs.run(tmp_path_factory.mktemp("calm"), InlineEngine())[0].fingerprint
