"""What this machine gives us: cores this process may use, memory it holds, whether a GPU is there.

Knows nothing of games, networks or runs. Nothing in here may influence what is computed, only how fast.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # numbers of glibc's malloc.h
_PR_SET_PDEATHSIG = 1  # of Linux's prctl.h
_CPUINFO = Path("/proc/cpuinfo")
_NODES = Path("/sys/devices/system/node")


def usable_cores(cgroup: Path = _CGROUP) -> int:
    """The number of cores this process may keep busy, at least 1.

    The smaller of the scheduling affinity and the CPU quota of the control group (version 2, then 1), rounded
    down: a container limited to 2.5 cores answers 2. Where the platform knows neither, the number of cores.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    quota = _cgroup_quota(cgroup)
    return max(1, cores if quota is None else min(cores, int(quota)))


def _cgroup_quota(cgroup: Path) -> float | None:
    """Cores' worth of CPU time that the control group allows, None without a limit."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()[:2]
    except (OSError, ValueError):
        try:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    try:
        limit, per = int(quota), int(period)
    except ValueError:  # "max": no limit
        return None
    return limit / per if limit > 0 and per > 0 else None


def die_with_parent() -> None:
    """Have the system kill this process as soon as the thread that started it is gone (Linux; nothing elsewhere).

    For children that shall not outlive their parent even where Python does not get to run, because a library holds
    its lock while it loads or computes.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def resident_megabytes() -> float:
    """Memory this process holds in RAM now (Linux) or held at its peak (elsewhere), in MB of 10^6 bytes."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, IndexError, ValueError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


def keep_memory() -> None:
    """Let this process keep the memory of arrays that it frees, for those that follow.

    glibc otherwise hands large blocks back to the system and asks for them anew, page by page, in every step of a
    training, which took up to 8 % of it. Other C libraries are left as they are.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_TRIM_THRESHOLD, 1 << 30)
        mallopt(_MMAP_THRESHOLD, 1 << 25)  # the most that glibc takes


def free_memory() -> float:
    """Bytes of RAM that this process could still take: what is free, within the control group's limit."""
    free = _free_ram()
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        free = min(free, limit - int((_CGROUP / "memory.current").read_text()))
    except (OSError, ValueError):  # no control group, or "max": no limit
        pass
    return max(0.0, free)


def _free_ram() -> float:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        fields = {name: float(rest.split()[0]) * 1024 for name, rest in (line.split(":") for line in lines)}
        return fields["MemAvailable"]
    except (OSError, KeyError, ValueError):  # macOS: half of all there is
        return 0.5 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def out_of_memory_kills() -> int:
    """How many processes this system has killed for lack of memory since it started; 0 where it does not tell."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def cores_of_nodes(processes: int, nodes: Path = _NODES) -> list[tuple[int, ...]]:
    """The cores that each of so many processes should keep to, so that it works near its memory (NUMA).

    Empty where there is nothing to gain: one node, a platform that does not tell, or fewer processes than nodes.
    """
    anywhere: list[tuple[int, ...]] = [()] * processes
    if not hasattr(os, "sched_getaffinity"):
        return anywhere
    usable = os.sched_getaffinity(0)
    try:
        lists = [path.read_text() for path in sorted(nodes.glob("node[0-9]*/cpulist"))]
    except OSError:
        return anywhere
    cores = [own for own in (tuple(sorted(_parse_cores(text) & usable)) for text in lists) if own]
    if len(cores) < 2 or processes < len(cores):
        return anywhere
    return [cores[process * len(cores) // processes] for process in range(processes)]


def _parse_cores(text: str) -> set[int]:
    """`0-3,8` as {0, 1, 2, 3, 8}."""
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first:
            found |= set(range(int(first), int(last or first) + 1))
    return found


def multiplies_bfloat16(cpuinfo: Path = _CPUINFO) -> bool:
    """Whether the processor multiplies bfloat16 numbers by itself (Linux tells; False elsewhere)."""
    try:
        flags = cpuinfo.read_text(errors="replace").split()
    except OSError:
        return False
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags)


def nvidia_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; found without asking a driver."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    return sorted((path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*")), key=int) or ["0"]


def has_nvidia_gpu() -> bool:
    """Whether an NVIDIA device node is there; cheap, so that CPU-only workers need not load torch to ask."""
    return Path("/dev/nvidia0").exists() or Path("/dev/dxg").exists()
