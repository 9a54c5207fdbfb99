import os
from pathlib import Path

import pytest

from selfplay.errors import ModelError, RunError
from selfplay.files import ensure_directory, read_file, sweep_leftovers, write_atomically


def test_a_written_file_replaces_the_old_one_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_leftovers_of_ones_own_files_are_swept_and_nothing_else(tmp_path):
    stay = ["batch_1.json", ".batch_1.json.tmp", ".sync.batch_1.json.tmp", ".other.json.77.tmp", "batch_1.json.77.tmp"]
    for name in [*stay, ".batch_1.json.77.tmp", ".batch_2.json.8.tmp"]:
        (tmp_path / name).write_text("")
    sweep_leftovers(tmp_path, of="batch_*")
    sweep_leftovers(tmp_path / "nowhere", of="batch_*")
    assert sorted(item.name for item in tmp_path.iterdir()) == sorted(stay)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(RunError, match="cannot write .*nowhere/file"):
        write_atomically(tmp_path / "nowhere" / "file", b"")


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path):
    (tmp_path / "data").write_text("")
    with pytest.raises(RunError, match="cannot make the folder .*data"):
        ensure_directory(tmp_path / "data")


def test_reading_what_is_not_there_raises_the_error_asked_for(tmp_path):
    with pytest.raises(ModelError, match="no such model; check the path"):
        read_file(tmp_path / "model.pt", what="model", error=ModelError, most_bytes=100)
    with pytest.raises(ModelError, match="cannot read this model"):
        read_file(tmp_path, what="model", error=ModelError, most_bytes=100)


def test_files_that_are_too_large_and_pipes_are_not_read(tmp_path):
    (tmp_path / "large").write_bytes(bytes(101))
    with pytest.raises(ModelError, match="101 bytes are too large for a model, 100 at most"):
        read_file(tmp_path / "large", what="model", error=ModelError, most_bytes=100)
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ModelError, match="not a file but a device, a pipe or the like"):
            read_file(path, what="model", error=ModelError, most_bytes=100)
