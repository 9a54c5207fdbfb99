"""Ray for real: nodes of a cluster as processes of this machine."""

import os
import signal
import socket
import subprocess
import time

import psutil
import pytest
from processes import answers, ended, is_running
from ray.cluster_utils import Cluster
from runs import ALONE, TICTACTOE, command, events_of, games_of, info, train, wait_for

from selfplay.engines.engine import Answer
from selfplay.engines.ray_cluster import RayEngine
from selfplay.errors import UsageError
from selfplay.rundir.event_types import Died, Recovering, Trained
from selfplay.rundir.layout import RunLayout
from selfplay.training.launching import _check_those_who_did_not_call, _receive_call
from selfplay.training.rank import KEY_BYTES
from selfplay.training.step import RanksFailed

pytestmark = pytest.mark.slow
SERVICE = "service_for_tests:make"
NODE = {"object_store_memory": 100 << 20, "include_dashboard": False}


@pytest.fixture(scope="module")
def cluster():
    """One node, to which tests add others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.path.dirname(__file__))
        found = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 2})
        yield found
        found.shutdown()


@pytest.fixture
def engine(cluster, tmp_path):
    (tmp_path / "logs").mkdir()
    found = RayEngine(tmp_path / "logs", address=cluster.address, stuck_seconds=3.0)
    yield found
    found.stop_all()


def begin(engine, tmp_path, *names):
    for name in names:
        engine.start(name, SERVICE, {"name": name, "out": str(tmp_path / name)})


def test_actors_answer_as_children_do(engine, tmp_path):
    """In order, asked to finish while they work, after a clear error; one with an unclear one says why in its log."""
    begin(engine, tmp_path, "a", "b")
    for name in ("a", "b"):
        engine.send(name, {"do": "count", "to": 2})
        engine.send(name, {"do": "count", "to": 1})
    found = answers(engine, 6, seconds=60)
    for name in ("a", "b"):
        assert engine.is_ready(name)
        assert [item.message for item in found if item.child == name] == [{"n": n, "name": name} for n in (0, 1, 0)]
    engine.send("a", {"do": "fail"})
    assert answers(engine, 1) == [Answer("a", {"event": "failed", "reason": "as asked", "exit_code": 2})]
    engine.send("a", {"do": "until asked to finish"})
    engine.finish("a")
    assert answers(engine, 1) == [Answer("a", {"finished": True})]
    engine.send("a", {"do": "crash"})
    (gone,) = answers(engine, 1)
    assert (gone.child, gone.code) == ("a", 1)
    assert "RuntimeError: out of the blue" in (tmp_path / "logs" / "a.log").read_text()


def test_files_travel_there_and_back(engine, tmp_path):
    model = tmp_path / "model.onnx"
    model.write_text("weights")
    begin(engine, tmp_path, "a")
    engine.send("a", {"do": "copy", "model": str(model), "reads": [str(model)]})
    (answer,) = answers(engine, 1, seconds=60)
    assert (tmp_path / "a" / "copy").read_text() == "weights"
    assert not answer.message["saw"].startswith(str(tmp_path))
    assert not os.path.exists(f"{answer.message['wrote']}/copy")
    engine.send("a", {"do": "damaged", "model": str(model), "reads": [str(model)]})
    (answer,) = answers(engine, 1)
    assert answer.message["damaged"] == str(model)
    assert answer.message["reason"] == f"{model}: torn"


def test_an_actor_that_is_killed_or_stuck_is_reported_and_others_stay_at_home(engine, tmp_path):
    engine.start("home", SERVICE, {"name": "home"})
    engine.send("home", {"do": "pid"})
    (answer,) = answers(engine, 1)
    assert is_running(answer.message["pid"])
    assert (tmp_path / "logs" / "home.log").exists()
    begin(engine, tmp_path, "a", "b")
    engine.send("a", {"do": "pid"})
    (answer,) = answers(engine, 1, seconds=60)
    os.kill(answer.message["pid"], signal.SIGKILL)
    engine.send("a", {"do": "count", "to": 1})
    (gone,) = answers(engine, 1)
    assert (gone.child, gone.code) == ("a", -9)
    assert gone.reason.startswith("lost: its worker process has died")
    engine.stop("a")
    engine.send("b", {"do": "stuck"})
    (gone,) = answers(engine, 1)
    assert gone.reason.startswith("hung: its work gave no sign for")


def test_an_actor_without_room_waits_for_a_node(cluster, engine, tmp_path):
    begin(engine, tmp_path, "a", "b", "c")
    engine.send("a", {"do": "count", "to": 1})
    engine.send("b", {"do": "count", "to": 1})
    answers(engine, 2, seconds=60)
    assert [engine.is_ready(name) for name in "abc"] == [True, True, False]
    node = cluster.add_node(num_cpus=1, **NODE)
    wait_for(lambda: engine.poll(0.1) == [] and engine.is_ready("c"))
    cluster.remove_node(node)
    engine.send("c", {"do": "count", "to": 1})
    (gone,) = answers(engine, 1, seconds=60)
    assert gone.child == "c"


def test_a_cluster_that_is_not_there_is_a_clear_error(tmp_path):
    with pytest.raises(UsageError, match='no Ray cluster at "127.0.0.1:1"'):
        RayEngine(tmp_path, address="127.0.0.1:1")


def test_a_run_on_one_node_has_the_same_bits(cluster, undisturbed, tmp_path):
    train([*TICTACTOE, "--workers", "2", "--engine", "ray", "--address", cluster.address], tmp_path)
    assert (info(tmp_path)["fingerprint"], games_of(tmp_path)) == undisturbed


def test_so_has_a_run_on_three_nodes_of_which_one_is_lost(cluster, undisturbed, tmp_path):
    nodes = [cluster.add_node(num_cpus=2, **NODE) for _ in range(2)]
    options = ["--workers", "6", "--engine", "ray", "--address", cluster.address]
    arguments = list(map(str, command([*TICTACTOE, *options], tmp_path)))
    with ended(subprocess.Popen(arguments, stdout=subprocess.DEVNULL)) as running:
        wait_for(RunLayout(tmp_path / "data").batch_files, seconds=120)
        cluster.remove_node(nodes[0], allow_graceful=False)
        assert running.wait(200) == 0
    assert (info(tmp_path)["fingerprint"], games_of(tmp_path)) == undisturbed
    assert {died.child[:6] for died in events_of(tmp_path, Died)} == {"worker"}
    cluster.remove_node(nodes[1])


def ranks_that_call():
    """Processes of ranks that were started for a trainer elsewhere, by number of the rank."""
    found = {}
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "selfplay.training.rank" in words and len(words) == 5:
            found[int(words[-1])] = process.pid
    return found


def test_ranks_on_several_nodes_train_to_the_same_bits_and_one_that_is_killed_is_replaced(cluster, tmp_path):
    ranks = ["--set", "training.mode=data", "--set", "training.ranks=2", "--set", "training.threads=1"]
    arguments = [*TICTACTOE, "--rounds", "1", *ranks]
    train([*arguments, *ALONE], tmp_path / "here")
    node = cluster.add_node(num_cpus=2, **NODE)
    spread = ["--workers", "2", "--engine", "ray", "--address", cluster.address, "--spread-training"]
    (tmp_path / "there").mkdir()
    started = list(map(str, command([*arguments, *spread], tmp_path / "there")))
    with ended(subprocess.Popen(started, stdout=subprocess.DEVNULL)) as running:
        wait_for(lambda: len(ranks_that_call()) == 2, seconds=120)
        os.kill(ranks_that_call()[1], signal.SIGKILL)
        assert running.wait(200) == 0
    assert info(tmp_path / "there")["fingerprint"] == info(tmp_path / "here")["fingerprint"]
    assert [trained.ranks for trained in events_of(tmp_path / "there", Trained)] == [2]
    assert [type(event) for event in events_of(tmp_path / "there", Recovering)] == [Recovering]
    wait_for(lambda: not ranks_that_call())
    cluster.remove_node(node)


def test_whoever_calls_a_trainer_without_its_key_is_not_listened_to():
    server = socket.create_server(("127.0.0.1", 0))
    connections: dict = {}
    with server, socket.create_connection(server.getsockname()) as stranger:
        stranger.sendall(bytes(KEY_BYTES) + (0).to_bytes(4, "little"))
        _receive_call(server, b"k" * KEY_BYTES, connections)
        assert stranger.recv(1) == b""
        assert connections == {}
        with socket.create_connection(server.getsockname()) as rank:
            rank.sendall(b"k" * KEY_BYTES + (3).to_bytes(4, "little"))
            _receive_call(server, b"k" * KEY_BYTES, connections)
            assert list(connections) == [3]
            connections[3].close()
        assert not _receive_call(server, b"k" * KEY_BYTES, connections)


class Rank:
    def __init__(self, code):
        self.code = code

    def wait(self, seconds):
        return self.code


def test_ranks_that_are_gone_before_they_call_or_never_call_are_failures():
    _check_those_who_did_not_call([Rank(-9), Rank(None)], {0: None}, time.monotonic() + 60)
    with pytest.raises(RanksFailed, match="rank 1 ended before it called"):
        _check_those_who_did_not_call([Rank(None), Rank(-9)], {0: None}, time.monotonic() + 60)
    with pytest.raises(RanksFailed, match="1 of 2 ranks have called"):
        _check_those_who_did_not_call([Rank(None), Rank(None)], {0: None}, time.monotonic() - 1)


def test_training_is_spread_over_a_cluster_only(tmp_path):
    assert "add --engine ray" in train([*TICTACTOE, "--spread-training"], tmp_path, code=2)
