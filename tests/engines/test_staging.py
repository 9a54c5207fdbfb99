import os
import subprocess
import sys
from pathlib import Path

import pytest

from selfplay.engines.staging import Staging, travels
from selfplay.errors import RunError


@pytest.fixture
def staging(tmp_path):
    found = Staging(tmp_path)
    yield found
    found.close()


def test_only_services_with_a_folder_of_their_own_travel():
    assert travels({"out": "/run/worker_0"})
    assert not travels({"data": "/run"})


def test_paths_are_replaced_wherever_they_stand_and_files_are_there(staging):
    settings = {"game": "/home/me/mine.py:Mine:size=3", "out": "/run/worker_0", "reads": ["/home/me/mine.py"], "n": 1}
    here = staging.settings(settings, {"/home/me/mine.py": b"rules"})
    path, _, rest = here["game"].partition(".py")
    assert rest == ":Mine:size=3"
    assert Path(f"{path}.py").read_bytes() == b"rules"
    assert here["reads"] == [f"{path}.py"]
    assert here["n"] == 1
    assert here["out"] != settings["out"]


def test_models_of_older_messages_go_and_failures_name_the_home_path(staging):
    first = staging.message({"model": "/run/a.onnx"}, {"/run/a.onnx": b"a"})["model"]
    second = staging.message({"model": "/run/b.onnx"}, {"/run/b.onnx": b"b"})["model"]
    assert not os.path.exists(first)
    assert os.path.exists(second)
    assert staging.failure({"reason": f"{second}: torn"}) == {"reason": "/run/b.onnx: torn"}


def test_what_a_service_wrote_is_brought_back_once(staging):
    out = staging.settings({"out": "/run/worker_0"}, {})["out"]
    os.makedirs(out)
    with open(f"{out}/batch.json", "wb") as file:
        file.write(b"games")
    assert staging.bring_back({"event": "batch", "file": "batch.json"}) == b"games"
    assert os.listdir(out) == []
    assert staging.bring_back({"event": "progress"}) is None


def test_folders_of_dead_processes_are_swept_and_rules_kept(tmp_path):
    code = (
        "import os, pathlib\nfrom selfplay.engines.staging import Staging\n"
        f"staging = Staging(pathlib.Path({str(tmp_path)!r}))\n"
        "staging.settings({'out': 'x', 'reads': ['mine.py']}, {'mine.py': b'rules'})\n"
        "staging.message({}, {'a.onnx': b'a'})\nos._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    (base,) = tmp_path.iterdir()
    assert len([path for path in base.iterdir() if path.name != "files"]) == 1
    Staging(tmp_path).close()
    assert [path.name for path in base.iterdir()] == ["files"]


def test_a_folder_that_others_may_write_to_is_refused(tmp_path):
    (tmp_path / f"selfplay-{os.getuid()}").mkdir(mode=0o777)
    os.chmod(tmp_path / f"selfplay-{os.getuid()}", 0o777)
    with pytest.raises(RunError, match="is not this user's alone"):
        Staging(tmp_path)
