"""Makes the README's pictures from a real run: the one that the first command starts.

    python docs/pictures.py

monitor.svg      the terminal monitor while a later round is played
dashboard.png    the dashboard of the finished run, in headless Chromium or Chrome
board.png        the board to play on: a position against the model of the last round, with a hint
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright
from rich.console import Console

from selfplay.monitor.snapshot import Reader, Snapshot
from selfplay.monitor.terminal import screen

HERE = Path(__file__).resolve().parent
TRAIN = HERE.parent / "scripts" / "parallel_train.sh"
SELFPLAY = Path(sys.executable).with_name("selfplay")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTH = 96  # columns
PAGE_WIDTH = 1100  # pixels
FIRST_SHOWN_ROUND = 6
MOVES = "4,4,4,4,4,2"
COLOURS = 64  # of a PNG: a quarter of the bytes, and nobody sees it


def awaited(data: Path, process: subprocess.Popen[bytes]) -> Snapshot:
    """The run in the middle of playing a later round."""
    while not (data / "run.toml").exists():
        time.sleep(0.2)
    reader = Reader(data)
    while process.poll() is None:
        snapshot = reader.look()
        told = snapshot.progress
        if told and told.round >= FIRST_SHOWN_ROUND and told.phase == "playing" and told.share > 0.05:
            return snapshot
        time.sleep(0.1)
    sys.exit("the run ended before its picture was taken: try again")


def draw_terminal(snapshot: Snapshot) -> None:
    """The monitor's screen as SVG that asks no other host for a font."""
    console = Console(width=WIDTH, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(screen(snapshot, width=WIDTH))
    picture = console.export_svg(title="./scripts/monitor_training.sh", unique_id="monitor")
    own = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    (HERE / "monitor.svg").write_text(own.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace"))


@contextlib.contextmanager
def pages() -> Iterator[str]:
    """The address of the run's pages."""
    command = [str(SELFPLAY), "monitor", "data", "--web", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"open (\S+)", process.stdout.readline())
        assert found is not None
        yield found.group(1)
        process.terminate()


def photograph(page: Page, name: str, *, height: int) -> None:
    """The upper part of the page as a small PNG."""
    page.set_viewport_size({"width": PAGE_WIDTH, "height": height})
    page.wait_for_timeout(1000)
    picture = Image.open(io.BytesIO(page.screenshot()))
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(HERE / f"{name}.png", optimize=True)


def draw_pages() -> None:
    """Dashboard and board."""
    browser_path = next(filter(None, map(shutil.which, BROWSERS)), None)
    with pages() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(address)
        page.locator(".plot canvas").nth(7).wait_for()
        photograph(page, "dashboard", height=1040)
        page.goto(f"{address}play?moves={MOVES}")
        page.get_by_role("button", name="Hint").click()
        page.get_by_text("It would play").wait_for()
        photograph(page, "board", height=560)
        browser.close()


def main() -> None:
    """Train, look, and write the pictures."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        with subprocess.Popen([TRAIN], stdout=subprocess.DEVNULL) as process:
            snapshot = awaited(Path("data"), process)
            process.wait()
        draw_terminal(snapshot)
        draw_pages()


if __name__ == "__main__":
    main()
