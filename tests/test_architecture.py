"""The floors and fences of the house: imports go down only, and heavy packages stay where they belong."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "selfplay"
FLOORS = {
    "errors": 0,
    "settings": 1, "config": 1, "files": 1, "kernels": 1, "machine": 1,
    "games": 2, "network": 2,
    "evaluation": 3, "samples": 3, "rundir": 3, "engines": 3,
    "search": 4,
    "arena": 5, "training": 5,
    "worker": 6, "web": 6,
    "coordinator": 7, "monitor": 7, "play": 7, "contributions": 7,
    "cli": 8,
}  # fmt: skip
# Within a floor a part may not import another; these pairs are floors of their own inside one: left rests on right.
INSIDE_A_FLOOR = {("config", "files"), ("config", "machine"), ("config", "settings"), ("network", "games")}
FENCES = {
    "torch": ("network/", "training/", "evaluation/torch_evaluator.py"),
    "ray": ("engines/ray_",),
    "watchdog": ("samples/", "monitor/"),
    "click": ("cli/",),
    "onnxruntime": ("evaluation/onnx_evaluator.py",),
    "numba": ("kernels.py",),
    "bitbully": ("arena/oracle.py",),
    "pyspiel": ("games/openspiel.py",),
    "chess": (),  # only by name, in games/records.py
    "sgfmill": (),
    "matplotlib": ("arena/picture.py", "monitor/figures.py"),
    "jinja2": ("monitor/report.py",),
    "tensorboardX": ("monitor/scalars.py",),
    "nicegui": ("web/", "monitor/web", "play/web"),
    "fastapi": ("web/", "monitor/web", "contributions/server.py"),
    "httpx": ("contributions/client.py",),
    "tenacity": ("contributions/client.py",),
    "limits": ("contributions/server.py",),
    "uvicorn": ("web/server.py",),
    "prometheus_client": ("monitor/metrics.py", "monitor/web", "web/server.py"),
}


def imports():
    """Every import in the package as (file, imported module)."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((name, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name}: relative imports hide the floor they go to"
                yield name, node.module


def part(path):
    return path.split("/")[0].removesuffix(".py")


def test_imports_go_down_only():
    wrong = []
    for file, module in imports():
        if module.startswith("selfplay.") and file != "__init__.py":
            here, there = part(file), module.split(".")[1]
            if here != there and FLOORS[there] >= FLOORS[here] and (here, there) not in INSIDE_A_FLOOR:
                wrong.append(f"{file} imports {module}")
    assert not wrong


def test_every_part_has_a_floor():
    parts = {part(path.relative_to(PACKAGE).as_posix()) for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert parts == set(FLOORS)


@pytest.mark.parametrize("package", FENCES)
def test_heavy_packages_stay_behind_their_fence(package):
    wrong = [
        file for file, module in imports() if module.split(".")[0] == package and not file.startswith(FENCES[package])
    ]
    assert not wrong


def test_a_worker_never_loads_torch_nor_scipy():
    code = "import sys, selfplay.worker.process, selfplay.engines.child, selfplay.games.registry as games; "
    code += "games.load_rules('tictactoe'); print({'torch', 'scipy'} & set(sys.modules) or 'neither')"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "neither\n"
    )


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from selfplay.cli.main import cli; cli.main(['--help'], standalone_mode=False);"
        "print({'numpy', 'numba', 'torch', 'onnxruntime', 'rich', 'msgspec'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "set()"
    assert "train" in done.stdout
