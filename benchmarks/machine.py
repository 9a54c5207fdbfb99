"""What every result says of the machine it was measured on, so that two results can be told apart."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "numpy", "numba", "onnxruntime", "msgspec")


def facts() -> dict[str, object]:
    """Processor, cores, memory, versions and the commit that was measured."""
    return {
        "processor": _processor(),
        "instructions": sorted(_flags() & {"avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8"}),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "gpu": _said_by("nvidia-smi", "--query-gpu=name", "--format=csv,noheader"),
        "memory_gigabytes": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "commit": commit(),
    }


def commit() -> str:
    """The commit of the working tree, with a + where it was changed since; empty outside a repository."""
    return _said_by("git", "describe", "--always", "--dirty=+")


def _said_by(*command: str) -> str:
    """What a program prints; nothing where it is not there or fails."""
    try:
        return subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def stolen_seconds() -> float:
    """Seconds since it started that this machine's cores wanted to work and its host gave them to others, per core.

    0 on a machine of its own, and where nothing says so (the field `steal` of Linux's /proc/stat).
    """
    try:
        first, *lines = Path("/proc/stat").read_text().splitlines()
    except OSError:
        return 0.0
    cores = sum(line.startswith("cpu") for line in lines)
    return int(first.split()[8]) / os.sysconf("SC_CLK_TCK") / cores


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _flags() -> set[str]:
    try:
        return set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return set()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "-"
