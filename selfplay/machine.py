"""What this machine gives us: cores this process may use, memory it holds, whether a GPU is there.

Knows nothing of games, networks or runs. Nothing in here may influence what is computed, only how fast.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


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


def resident_megabytes() -> float:
    """Memory this process holds in RAM now (Linux) or held at its peak (elsewhere), in MB of 10^6 bytes."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, IndexError, ValueError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


def has_nvidia_gpu() -> bool:
    """Whether an NVIDIA device node is there; cheap, so that CPU-only workers need not load torch to ask."""
    return Path("/dev/nvidia0").exists() or Path("/dev/dxg").exists()
