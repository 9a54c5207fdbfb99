"""The process that computes for all workers, on the CPU here; on a GPU where there is one."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from models import model_of

from selfplay.errors import ModelError
from selfplay.evaluation import gpu_client
from selfplay.evaluation.gpu_client import GpuEvaluator
from selfplay.evaluation.gpu_messages import ROWS, Ask, Reply, receive_frame, send_frame
from selfplay.evaluation.torch_evaluator import TorchEvaluator
from selfplay.settings import NetworkSettings, Settings


@contextlib.contextmanager
def folder_of_sockets():
    """A short path for sockets; processes that were started for it are gone afterwards."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", folder)
        patch.setattr(gpu_client, "_started", started := [])
        yield Path(folder)
        for process in started:
            process.kill()
            process.wait()


@pytest.fixture
def temporary():
    """A folder and a process of this test's own."""
    with folder_of_sockets() as folder:
        yield folder


@pytest.fixture(scope="module")
def shared():
    """The same for several tests: starting the process takes seconds."""
    with folder_of_sockets() as folder:
        yield folder


SETTINGS = Settings(network=NetworkSettings(blocks=1, channels=8))


def planes_of(connect4, count, seed=0):
    card = connect4.info
    return np.random.default_rng(seed).random((count, card.num_planes, *card.board_shape), np.float32)


def test_many_at_once_are_told_what_each_alone_would_find_out(connect4, tmp_path, shared):
    models = [model_of(connect4, SETTINGS, tmp_path / f"{seed}.pt", seed) for seed in (1, 2)]
    wrong, asked = [], 4

    def ask(number):
        model, planes = models[number % 2], planes_of(connect4, 1 + 61 * number % ROWS, number)
        expected = [output.copy() for output in TorchEvaluator(model, device="cpu").run(planes)]
        evaluator = GpuEvaluator(model, device="cpu")
        for _ in range(asked):
            for found, known in zip(evaluator.run(planes), expected, strict=True):
                if not np.array_equal(found, known):
                    wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(gpu_client._started) == 1, "all are served by one process"


def test_the_process_ends_when_nobody_is_left(connect4, tmp_path, temporary):
    code = (
        "import sys, pathlib; from selfplay.evaluation.gpu_client import GpuEvaluator, _started;"
        "GpuEvaluator(pathlib.Path(sys.argv[1]), device='cpu'); print(_started[0].pid)"
    )
    model = model_of(connect4, SETTINGS, tmp_path / "model.pt")
    environment = {**os.environ, "TMPDIR": str(temporary)}
    said = subprocess.run(
        [sys.executable, "-c", code, str(model)], env=environment, capture_output=True, text=True, check=True
    ).stdout
    deadline = time.monotonic() + 60.0
    while Path(f"/proc/{int(said)}").exists():
        assert time.monotonic() < deadline, "it waits for somebody for ever"
        time.sleep(0.1)
    assert not list(temporary.glob("*/*.socket"))


def test_a_killed_process_is_noticed_and_started_anew(connect4, tmp_path, temporary):
    model, planes = model_of(connect4, SETTINGS, tmp_path / "model.pt"), planes_of(connect4, 3)
    evaluator = GpuEvaluator(model, device="cpu")
    before = evaluator.run(planes)[0].copy()
    os.kill(gpu_client._started[0].pid, signal.SIGKILL)
    gpu_client._started[0].wait()
    with pytest.raises(ConnectionError):
        evaluator.run(planes)
    np.testing.assert_array_equal(GpuEvaluator(model, device="cpu").run(planes)[0], before)


def test_a_model_that_cannot_be_used_is_refused_and_others_are_served_on(connect4, tmp_path, shared):
    model = model_of(connect4, SETTINGS, tmp_path / "model.pt")
    served = GpuEvaluator(model, device="cpu")
    with pytest.raises(ModelError, match=r"missing\.pt"):
        GpuEvaluator(tmp_path / "missing.pt", device="cpu")
    (tmp_path / "torn.pt").write_bytes(model.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"torn\.pt"):
        GpuEvaluator(tmp_path / "torn.pt", device="cpu")
    assert served.run(planes_of(connect4, 2))[0].shape == (2, 7)


def test_who_says_something_else_is_shown_out(connect4, tmp_path, shared):
    model = model_of(connect4, SETTINGS, tmp_path / "model.pt")
    served = GpuEvaluator(model, device="cpu")
    for frame in (b"\xff\xff\xff\xff", b"\x02\0\0\0{}", b"\x05\0\0\0hello"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:
            stranger.connect(str(next(shared.glob("*/*.socket"))))
            stranger.sendall(frame)
            assert stranger.recv(1) == b""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:  # memory that is too small
        stranger.connect(str(next(shared.glob("*/*.socket"))))
        send_frame(stranger, Ask(model=str(model)))
        assert receive_frame(stranger, Reply).card == served.card
        with tempfile.TemporaryFile() as file:
            file.write(b"abc")
            file.flush()
            socket.send_fds(stranger, [b"\1"], [file.fileno()])
        assert stranger.recv(1) == b""
    assert served.run(planes_of(connect4, 2))[0].shape == (2, 7)


def test_a_folder_that_is_open_to_others_is_not_used(connect4, tmp_path, temporary):
    (temporary / f"selfplay-{os.getuid()}").mkdir()
    (temporary / f"selfplay-{os.getuid()}").chmod(0o777)
    with pytest.raises(ModelError, match="open to others"):
        GpuEvaluator(model_of(connect4, SETTINGS, tmp_path / "model.pt"), device="cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is missing where there is no GPU")
def test_without_a_gpu_the_model_error_says_so(connect4, tmp_path, temporary, monkeypatch):
    model = model_of(connect4, SETTINGS, tmp_path / "model.pt")
    with pytest.raises(ModelError, match="torch finds none here"):
        GpuEvaluator(model)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(ModelError, match="CUDA_VISIBLE_DEVICES names none"):
        GpuEvaluator(model)
