"""Are the pages light and quick, and what does watching cost?

    python benchmarks/pages.py scale         a dashboard of 10,000 batch files, 1,000 rounds and 200 workers
    python benchmarks/pages.py reply         clicks on a Connect Four board until the agent's stone is drawn
    python benchmarks/pages.py watching      CPU of the monitor, as a share of the CPU of the training it watches

All in headless Chromium (or Chrome), which has to be there. `scale`: bytes over the wire in a fresh browser, seconds
until the dashboard can be used (all plots drawn, answers to a click), CPU milliseconds of the server per refresh, its
memory early and late. `reply`: an untrained 4 × 32 network, 200 simulations on one core, positions that no cache knows;
network, search, server and drawing included. `watching`: with one dashboard open, and with the terminal monitor; the
browser's own work is not counted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pty
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
from monitor_scale import events_of_round, make_run
from playwright.sync_api import Browser, Page, sync_playwright

from selfplay.games.registry import load_rules
from selfplay.machine import usable_cores
from selfplay.network.checkpoint import save_checkpoint, untrained
from selfplay.samples.writer import batch_name
from selfplay.settings import NetworkSettings, Settings

SELFPLAY = Path(sys.executable).with_name("selfplay")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
ALL_PLOTS = "document.querySelectorAll('.plot canvas').length >= 7"


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        sys.exit(f"no browser was found; install one of {', '.join(BROWSERS)}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield browser
        browser.close()


@contextlib.contextmanager
def serving(*arguments: object) -> Iterator[tuple[psutil.Process, str]]:
    """`selfplay …` that serves pages; its process and address."""
    command = [SELFPLAY, *arguments, "--web", "--port", 0]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"open (\S+)", process.stdout.readline())
            assert found is not None
            yield psutil.Process(process.pid), found.group(1).partition("?")[0]
        finally:
            process.terminate()


def cpu_seconds(process: psutil.Process) -> float:
    """Of all its threads so far."""
    return process.cpu_times().user + process.cpu_times().system


def opened(browser: Browser, address: str) -> tuple[float, int]:
    """Seconds until the dashboard can be used, and bytes over the wire, in a browser that never saw it."""
    context = browser.new_context()
    page = context.new_page()
    sizes: list[int] = []
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    wire.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    began = time.monotonic()
    page.goto(address)
    page.wait_for_function(ALL_PLOTS)
    page.get_by_text("Settings").click()
    page.wait_for_function("document.body.innerText.includes('games_per_round')")
    seconds = time.monotonic() - began
    page.wait_for_load_state("networkidle")
    context.close()
    return seconds, round(sum(sizes))


def scale(browser: Browser, arguments: argparse.Namespace) -> dict[str, float]:
    """The dashboard of a large run."""
    arguments.files, arguments.rounds, arguments.workers = 10_000, 1000, 200
    with tempfile.TemporaryDirectory() as folder:
        layout = make_run(Path(folder), arguments)
        with serving("monitor", folder, "--interval", arguments.interval) as (server, address):
            looks = [opened(browser, address) for _ in range(arguments.turns)]
            page = browser.new_page()
            page.goto(address)
            page.wait_for_function(ALL_PLOTS)
            took, memory = [], []
            for turn in range(arguments.refreshes):
                with open(layout.events, "ab") as file:
                    event = events_of_round(arguments.rounds, arguments)[turn % 5]
                    file.write(msgspec.json.encode(event) + b"\n")
                (layout.worker(turn % arguments.workers) / batch_name(arguments.rounds + 1, turn)).write_bytes(b"x")
                before = cpu_seconds(server)
                time.sleep(arguments.interval)
                took.append(1e3 * (cpu_seconds(server) - before))
                memory.append(server.memory_info().rss / 1e6)
    tenth = max(1, len(memory) // 10)
    return {
        "kilobytes": round(statistics.median(size for _, size in looks) / 1e3),
        "usable_s": round(statistics.median(seconds for seconds, _ in looks), 2),
        "usable_s_worst": round(max(seconds for seconds, _ in looks), 2),
        "refresh_cpu_ms": round(statistics.median(took), 1),
        "memory_early_mb": round(statistics.median(memory[tenth : 2 * tenth]), 1),
        "memory_late_mb": round(statistics.median(memory[-tenth:]), 1),
    }


def reply(browser: Browser, arguments: argparse.Namespace) -> dict[str, float]:
    """Milliseconds from a click to the agent's stone."""
    settings = Settings(network=NetworkSettings(blocks=4, channels=32))
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.pt"
        save_checkpoint(untrained(load_rules("connect4").info, settings), model)
        with serving("play", model) as (server, address):
            if hasattr(server, "cpu_affinity"):  # not on macOS
                server.cpu_affinity([0])
            page = browser.new_page()
            took = [milliseconds for turn in range(arguments.turns) for milliseconds in replies(page, address, turn)]
    low, middle, high = statistics.quantiles(took, n=4)
    return {"replies": len(took), "reply_ms": round(middle), "quartiles_ms": [round(low), round(high)]}  # type: ignore[dict-item]  # two figures


def replies(page: Page, address: str, turn: int) -> Iterator[float]:
    """A few moves of a game that begins like no other."""
    opening = [str(1 + (turn // 7**place) % 7) for place in range(3)]
    page.goto(f"{address}?moves={','.join([*opening, '4'])}&simulations=200")
    page.get_by_text("Your move.").wait_for()
    for column in (turn % 7, (turn + 3) % 7, (turn + 5) % 7):
        if not page.get_by_text("Your move.").is_visible():
            return
        yield page.evaluate(
            """async (column) => {
                const stones = () => document.querySelectorAll('circle.stone').length;
                const before = stones(), cell = document.querySelector(`g[data-cell="0,${column}"] rect`);
                const began = performance.now();
                cell.dispatchEvent(new MouseEvent('click', {bubbles: true}));
                while (stones() < before + 2 && performance.now() - began < 5000)
                    await new Promise(requestAnimationFrame);
                return performance.now() - began;
            }""",
            column,
        )
        page.wait_for_timeout(100)


def watching(browser: Browser, arguments: argparse.Namespace) -> dict[str, float]:
    """What the monitors take of the CPU time that the training has."""
    with tempfile.TemporaryDirectory() as folder:
        train = [SELFPLAY, "train", "connect4", "--data", f"{folder}/data", "--model", f"{folder}/model.pt"]
        train += ["--workers", usable_cores(), "--rounds", 100]
        with psutil.Popen(list(map(str, train)), stdout=subprocess.DEVNULL) as coordinator:
            while not list(Path(folder).glob("data/worker_*/batch_*")):
                time.sleep(0.5)
            with serving("monitor", f"{folder}/data") as (server, address):
                page = browser.new_page()
                page.goto(address)
                page.locator(".plot canvas").first.wait_for()
                in_browser = share_of(server, coordinator, arguments.seconds)
            with in_terminal(f"{folder}/data") as monitor:
                time.sleep(3)
                in_a_terminal = share_of(monitor, coordinator, arguments.seconds)
            for _ in range(2):  # at once
                coordinator.send_signal(signal.SIGINT)
                time.sleep(0.5)
            coordinator.wait()
    return {"dashboard_share": round(in_browser, 4), "terminal_share": round(in_a_terminal, 4)}


def share_of(watcher: psutil.Process, coordinator: psutil.Process, seconds: float) -> float:
    """Its CPU time for a while, over that of all processes of the training."""
    processes = [coordinator, *coordinator.children(recursive=True)]
    before, own = sum(map(cpu_seconds, processes)), cpu_seconds(watcher)
    time.sleep(seconds)
    return (cpu_seconds(watcher) - own) / (sum(map(cpu_seconds, processes)) - before)


@contextlib.contextmanager
def in_terminal(data: str) -> Iterator[psutil.Process]:
    """The terminal monitor, in a terminal of its own whose screen somebody reads."""
    ours, theirs = pty.openpty()
    with psutil.Popen([str(SELFPLAY), "monitor", data], stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        threading.Thread(target=_drain, args=(ours,), daemon=True).start()
        yield process
        process.terminate()


def _drain(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(descriptor, 65536):
            pass


def main() -> None:
    """Print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["scale", "reply", "watching"])
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--refreshes", type=int, default=60)
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between refreshes, for `scale`")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each kind of watching")
    arguments = parser.parse_args()
    with chromium() as browser:
        measure = {"scale": scale, "reply": reply, "watching": watching}[arguments.what]
        print(json.dumps(measure(browser, arguments)))


if __name__ == "__main__":
    main()
