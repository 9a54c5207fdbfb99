"""Processes on the nodes of a Ray cluster that are no services: ranks of a training, which speak with each other.

Each is started and watched by an actor that asks for no core, since workers have them all and wait while a round is
trained; for a GPU's process, for half a GPU. Ray spreads them over the nodes. A node that is lost is a process that
was killed.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
import sys
import time
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError

from selfplay.engines.ray_cluster import connect

GPU_SHARE = 0.5  # of a GPU, for a process that computes there while no worker does
KILLED = -9
_ADDRESS_OF_INTERFACE = 0x8915  # SIOCGIFADDR of Linux's sockios.h
_ASKING_SECONDS = 1.0  # for a guard to answer
_LOOK_SECONDS = 0.1


class _Guard:
    """Starts one process, and knows how it ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, module: str, arguments: list[str], environment: dict[str, str]) -> int:
        """Run a module of this package's Python; the process's number."""
        here = {"GLOO_SOCKET_IFNAME": interface_of(ray.util.get_node_ip_address())}
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            env={**os.environ, **{name: value for name, value in here.items() if value}, **environment},
        )
        return self._process.pid

    def code(self) -> int | None:
        """How it ended; None = it runs."""
        assert self._process is not None
        return self._process.poll()


_GUARD: Any = ray.remote(max_restarts=0, max_task_retries=0)(_Guard)


class ClusterProcess:
    """A process somewhere in the cluster that this one is connected to.

    Args:
        module: that is run.
        arguments: of its command line.
        environment: beside that of the node.
        on_gpu: whether it computes on a GPU; the node shows it that one only.
    """

    def __init__(self, module: str, arguments: list[str], environment: dict[str, str], *, on_gpu: bool) -> None:
        self._guard = _GUARD.options(
            num_cpus=0, num_gpus=GPU_SHARE if on_gpu else 0, scheduling_strategy="SPREAD"
        ).remote()
        self._started = self._guard.start.remote(module, arguments, environment)

    @property
    def pid(self) -> int:
        """Its number on its node, once it is started; 0 where it could not be."""
        try:
            return int(ray.get(self._started))
        except RayError:
            return 0

    def kill(self) -> None:
        """End it, now: it ends with its guard."""
        ray.kill(self._guard)

    def wait(self, seconds: float) -> int | None:
        """How it ended, after so long at most; None = it runs."""
        until = time.monotonic() + seconds
        while (code := self._code()) is None and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
        return code

    def _code(self) -> int | None:
        try:
            code: int | None = ray.get(self._guard.code.remote(), timeout=_ASKING_SECONDS)
        except GetTimeoutError:  # there is no room for its guard yet
            return None
        except RayError:
            return KILLED
        return code


def meet(address: str) -> str:
    """Connect this process to a cluster; the address at which others in it reach this machine."""
    connect(address)
    return str(ray.util.get_node_ip_address())


def resources(address: str) -> tuple[int, int]:
    """Cores and GPUs of a cluster."""
    connect(address)
    found = ray.cluster_resources()
    return int(found.get("CPU", 0)), int(found.get("GPU", 0))


def address_of_cluster() -> str:
    """Of the cluster that this process is connected to: for its children."""
    return str(ray.get_runtime_context().gcs_address)


def interface_of(address: str) -> str:
    """The network interface that has an IPv4 address; empty where none is found."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asking, _ADDRESS_OF_INTERFACE, struct.pack("256s", name.encode()[:15]))
            except OSError:  # it has no such address
                continue
            if socket.inet_ntoa(answer[20:24]) == address:
                return name
    return ""
