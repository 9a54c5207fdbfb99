import os

import pytest

from selfplay.rundir.layout import RunLayout
from selfplay.rundir.listing import SETTLED_SECONDS, NewBatches


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def listing(tmp_path, clock):
    for number in (10, 2):
        RunLayout(tmp_path).worker(number).mkdir()
    return NewBatches(RunLayout(tmp_path), lambda: clock[0])


def put(tmp_path, worker, name):
    (RunLayout(tmp_path).worker(worker) / name).write_text("x")


def names(found):
    return [f"{path.parent.name}/{path.name}" for path in found]


def test_files_are_named_once_in_order(listing, tmp_path, clock):
    for worker, name in ((10, "batch_b.json"), (2, "batch_z.json"), (2, "batch_a.json"), (2, ".batch_c.json.tmp")):
        put(tmp_path, worker, name)
    assert names(listing()) == ["worker_2/batch_a.json", "worker_2/batch_z.json", "worker_10/batch_b.json"]
    assert listing() == []
    clock[0] += 100.0
    put(tmp_path, 10, "batch_d.json")
    assert names(listing()) == ["worker_10/batch_d.json"]


def test_folders_that_did_not_change_for_a_while_are_not_listed(listing, tmp_path, clock, monkeypatch):
    put(tmp_path, 2, "batch_a.json")
    listing()
    clock[0] += SETTLED_SECONDS
    listing()
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
    assert listing() == []
    assert listed == []
    put(tmp_path, 10, "batch_b.json")
    assert names(listing()) == ["worker_10/batch_b.json"]
    assert len(listed) == 1


def test_a_file_that_took_the_place_of_another_is_named_again(listing, tmp_path):
    put(tmp_path, 2, "batch_a.json")
    assert names(listing()) == ["worker_2/batch_a.json"]
    put(tmp_path, 2, ".new.tmp")
    folder = RunLayout(tmp_path).worker(2)
    (folder / ".new.tmp").rename(folder / "batch_a.json")
    assert names(listing()) == ["worker_2/batch_a.json"]


def test_a_second_file_in_the_same_tick_of_the_disk_is_found(listing, tmp_path, clock):
    put(tmp_path, 2, "batch_a.json")
    folder = RunLayout(tmp_path).worker(2)
    tick = os.stat(folder).st_mtime_ns
    assert names(listing()) == ["worker_2/batch_a.json"]
    put(tmp_path, 2, "batch_b.json")
    os.utime(folder, ns=(tick, tick))
    clock[0] += SETTLED_SECONDS / 2
    assert names(listing()) == ["worker_2/batch_b.json"]


def test_new_folders_are_found_and_lost_ones_forgotten(listing, tmp_path, clock):
    assert listing() == []
    clock[0] += 10.0
    listing()
    RunLayout(tmp_path).worker(3).mkdir()
    put(tmp_path, 3, "batch_a.json")
    RunLayout(tmp_path).worker(10).rmdir()
    assert names(listing()) == ["worker_3/batch_a.json"]
