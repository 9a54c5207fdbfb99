"""Makes the README's pictures from a real run: ten rounds of Connect Four, as the first command trains them.

    python docs/pictures.py

monitor.svg     the monitor's screen while a later round is played
analysis.svg    what the model of round 10 thinks of a position
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from selfplay.monitor.snapshot import Reader, Snapshot
from selfplay.monitor.terminal import screen

HERE = Path(__file__).parent
SELFPLAY = Path(sys.executable).with_name("selfplay")
WIDTH = 96
FIRST_SHOWN_ROUND = 6
MOVES = "4,4,4,4,3"


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


def write(console: Console, name: str, title: str) -> None:
    """What the console recorded, as a picture that asks no other host for a font."""
    picture = console.export_svg(title=title, unique_id=name)
    own = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    (HERE / f"{name}.svg").write_text(own.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace"))


def recorder() -> Console:
    """A console that draws nothing but remembers."""
    return Console(width=WIDTH, record=True, file=open("/dev/null", "w"), force_terminal=True, color_system="truecolor")


def main() -> None:
    """Train, look, and write the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        command = ["train", "connect4", "--model", "model.pt", "--data", "data", "--workers", "2", "--rounds", "10"]
        with subprocess.Popen([SELFPLAY, *command], cwd=folder, stdout=subprocess.DEVNULL) as process:
            snapshot = awaited(data, process)
            process.wait()
        console = recorder()
        console.print(screen(snapshot, width=WIDTH))
        write(console, "monitor", "selfplay monitor")
        analyse = [SELFPLAY, "analyse", "model.pt", "--moves", MOVES]
        answer = subprocess.run(analyse, cwd=folder, capture_output=True, text=True, check=True).stdout
        console = recorder()
        console.print(Text(answer))
        write(console, "analysis", f"selfplay analyse model.pt --moves {MOVES}")


if __name__ == "__main__":
    main()
