"""A run that lives on contributions: a real coordinator, a real host over loopback, and honest and other contributors."""

import os
import signal
import subprocess
import threading
import time

import httpx
import msgspec
import pytest
from processes import ended
from runs import SELFPLAY, TICTACTOE, command, games_of, info, wait_for

from selfplay.contributions.client import Contribution, Offer, game_of
from selfplay.contributions.protocol import PROTOCOL, RunCard
from selfplay.errors import RunError, UsageError
from selfplay.rundir.layout import RunLayout
from selfplay.samples.batch_file import decode_batch, encode_batch
from selfplay.settings import SearchSettings


class Forger(Contribution):
    """Sends games that look well and were not played: the values are a little off."""

    def _deliver(self, batch):
        found = decode_batch(batch)
        games = [msgspec.structs.replace(game, values=[value / 2 for value in game.values]) for game in found.games]
        super()._deliver(encode_batch(found.header, games))


class Doubler(Contribution):
    """Sends the first game of each batch twice: one to be checked, one to be learnt from."""

    def _deliver(self, batch):
        found = decode_batch(batch)
        super()._deliver(encode_batch(found.header, [found.games[0], *found.games]))


class Slow(Contribution):
    """Takes games and is not heard of again."""

    def _hear(self, answer):
        raise KeyboardInterrupt


@pytest.fixture
def served(tmp_path):
    """A run without workers of its own, and the address of its host, whose lines are in `lines`."""
    arguments = list(map(str, command([*TICTACTOE, "--workers", "0"], tmp_path)))
    with ended(subprocess.Popen(arguments, stdout=subprocess.DEVNULL)) as coordinator:
        wait_for(lambda: RunLayout(tmp_path / "data").rounds_with_models())
        serve = [SELFPLAY, "serve", tmp_path / "data", "--port", "0", "--patience", "3"]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        with ended(subprocess.Popen(serve, stdout=subprocess.PIPE, text=True, env=environment)) as host:
            url = host.stdout.readline().split("'")[1]
            lines = []
            thread = threading.Thread(target=lambda: lines.extend(host.stdout), daemon=True)
            thread.start()
            yield tmp_path, url, coordinator, lines
            host.send_signal(signal.SIGTERM)
            assert host.wait(20) == 0
            thread.join(20)


def contribute(url, name):
    return subprocess.Popen([SELFPLAY, "contribute", url, "--workers", "1", "--name", name], stdout=subprocess.DEVNULL)


@pytest.mark.slow
def test_the_same_bits_with_contributors_of_whom_one_is_killed_and_one_forges(served, undisturbed):
    folder, url, coordinator, lines = served
    with pytest.raises(RunError, match="nothing more is taken from you: its game .* differs from its replay"):
        Forger(Offer(url, name="forger"), say=lambda line: None).work()
    with pytest.raises(RunError, match="a game is in it twice"):
        Doubler(Offer(url, name="doubler"), say=lambda line: None).work()
    with pytest.raises(KeyboardInterrupt):
        Slow(Offer(url, name="vanished"), say=lambda line: None).work()
    with ended(contribute(url, "killed")) as killed, ended(contribute(url, "honest")):
        wait_for(lambda: any("killed joined" in line for line in lines), seconds=60)
        killed.kill()
        assert coordinator.wait(120) == 0
    assert (info(folder)["fingerprint"], games_of(folder)) == undisturbed
    said = "".join(lines)
    assert "forger (worker_10000) is dropped: its game" in said
    assert "vanished (worker_10002) has fallen silent: its games are given to others" in said
    assert not RunLayout(folder / "data").worker(10_000).exists()
    assert not RunLayout(folder / "data").quarantine.exists()


def test_what_the_host_refuses(served):
    _, url, _, _ = served
    with httpx.Client(base_url=url) as client:
        card = client.get("/v1/run").json()
        assert (card["protocol"], card["game"], card["source"]) == (PROTOCOL, "tictactoe", "")
        newest = client.get("/v1/newest").json()
        joining = {"name": "a", "version": card["version"], "fingerprint": newest["fingerprint"], "digest": "0" * 64}
        while (answer := client.post("/v1/join", json=joining)).status_code == 429:
            time.sleep(float(answer.headers["Retry-After"]))
        assert answer.status_code == 409
        assert "computes other bits" in answer.json()["reason"]
        for path, content, status, reason in (
            ("/v1/join", b"{}", 400, "not as the protocol says"),
            ("/v1/job", b'{"contributor": "nobody", "games": 1}', 403, "nobody of that name"),
            ("/v1/batch?contributor=nobody", b"{}", 403, "nobody of that name"),
            ("/v1/batch?contributor=nobody", bytes(5 << 20), 413, "more than"),
        ):
            answer = client.post(path, content=content)
            assert answer.status_code == status, answer.text
            assert reason in answer.json()["reason"]
        assert client.get("/v1/models/../../run.toml").status_code == 404
        assert client.get("/v1/models/" + "0" * 64).status_code == 409
        assert client.get("/v1/run", headers={"Host": "elsewhere.example"}).status_code == 421


def test_addresses_that_cannot_be_are_clear_errors():
    with pytest.raises(UsageError, match="is no address of a host"):
        Contribution(Offer("example"), say=print)


def test_rules_that_come_with_a_run_are_taken_only_where_they_are_trusted(tmp_path):
    card = RunCard(
        protocol=PROTOCOL, version="", game="mine.py:Mine", rules="", source="x = 1", seed=0, search=SearchSettings()
    )
    with pytest.raises(UsageError, match="Python code of whoever runs the host.*--trust-rules"):
        game_of(card, tmp_path, trusts_rules=False)
    assert game_of(card, tmp_path, trusts_rules=True) == f"{tmp_path}/mine.py:Mine"
    assert (tmp_path / "mine.py").read_text() == "x = 1"
    outside = msgspec.structs.replace(card, game="../../etc/mine.py:Mine")
    assert game_of(outside, tmp_path, trusts_rules=True) == f"{tmp_path}/mine.py:Mine"
