"""The trainer as a service, without the processes around it."""

import shutil

import pytest
from runs import run

from selfplay.config import settings_of_run
from selfplay.engines.inline import InlineEngine
from selfplay.network.checkpoint import load_checkpoint
from selfplay.rundir.layout import RunLayout
from selfplay.training import process
from selfplay.training.process import TrainerService, TrainerSetup


@pytest.fixture
def layout(tmp_path):
    """A run of two rounds."""
    run(tmp_path, InlineEngine())
    return RunLayout(tmp_path / "data")


def train(service, number):
    """The fingerprint of the round, trained again."""
    answers = list(service.handle({"do": "train", "round": number}))
    return answers[-1]["fingerprint"]


def service_of(layout):
    return TrainerService(TrainerSetup(data=str(layout.root), settings=settings_of_run(layout.settings)))


def test_a_round_that_was_just_saved_is_gone_on_from_without_reading_it(layout, monkeypatch):
    before = [load_checkpoint(layout.model(number)).card.fingerprint for number in (1, 2)]
    service = service_of(layout)
    assert train(service, 1) == before[0]
    monkeypatch.setattr(process, "load_checkpoint", lambda path: pytest.fail(f"{path} was read"))
    assert train(service, 2) == before[1]


def test_what_the_file_of_a_round_holds_counts(layout):
    before = load_checkpoint(layout.model(2)).card.fingerprint
    service = service_of(layout)
    train(service, 1)
    shutil.copy(layout.model(0), layout.model(1))
    assert train(service, 2) != before
    train(service, 1)
    assert train(service, 2) == before
