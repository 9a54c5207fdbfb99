"""The walk of the guide from an empty folder to a trained agent, command by command."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from runs import SELFPLAY

GUIDE = (Path(__file__).parents[2] / "TRAINING_GUIDE.md").read_text()
WALK = GUIDE[GUIDE.index("## Your own game, step by step") :]
STEPS = re.findall(r"^```(\w*)\n(.*?)^```", WALK, re.DOTALL | re.MULTILINE)


def run(command, folder):
    environment = {**os.environ, "PATH": f"{SELFPLAY.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_every_command_of_the_walk_does_what_it_says(tmp_path):
    said, programs = {}, 0
    for language, text in STEPS:
        if language == "python" and "class Pile(Game)" in text:
            (tmp_path / "pile.py").write_text(text)
            programs += 1
            continue
        for command in text.splitlines():
            if command.startswith("selfplay "):
                said[" ".join(command.split()[1:3])] = run(command, tmp_path)
    assert programs == 1
    assert "all laws hold" in said["check pile.py:Pile"]
    assert "random games per second" in said["check pile.py:Pile"]
    assert "round 3 is in pile.pt" in said["train pile.py:Pile"]
    assert "take" in said["play pile.pt"]
    score = float(re.search(r"(\d\.\d+)", said["arena pile.pt"])[1])
    assert score > 0.5, said["arena pile.pt"]
    assert {path.name for path in tmp_path.iterdir()} >= {"pile.py", "test_pile.py", "pile.pt", "pile.onnx", "pile"}
