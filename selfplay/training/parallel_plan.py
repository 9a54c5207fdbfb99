"""How a round's training is spread over a machine: one object that holds and checks all degrees of parallelism.

A step of training is a sum over **groups** of `micro_batch` positions. Positions of a group share their batch
statistics; nothing else ties them together. Who works through which group is the plan:

    serial      one process, group after group
    data        every rank holds the whole network and takes its share of the groups; gradients are averaged
    pipeline    every rank holds some layers of the network; the groups flow through the ranks

So all plans compute the same step, up to the rounding of float sums. Knows nothing of torch: a plan can be chosen,
checked and refused before anything heavy is loaded. Letters: n positions, g groups.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from selfplay.errors import UsageError
from selfplay.games.game import GameInfo
from selfplay.machine import free_memory, has_nvidia_gpu, multiplies_bfloat16, usable_cores
from selfplay.settings import NetworkSettings, TrainingSettings

BYTES = 4  # of a float32
COPIES = 5  # of every parameter: weight, gradient, AdamW's two moments, moving average
MAPS_PER_BLOCK = 6  # feature maps that a residual block keeps for its backward pass
BACKWARD = 2  # a backward pass costs twice its forward pass
CPU_FLOPS = 1.1e11  # per second and core in training, measured with 5 x 64: `selfplay bench training`
SERIAL_SHARE = 0.14  # of a step that more threads of one process do not shorten, measured likewise
RANK_SECONDS = 0.015  # that a step takes longer with ranks: agreeing, exchanging, each moving its own weights
WORTH_RANKS = 0.95  # of the time with threads alone, or less: then ranks are worth starting
SHORTEST_ROUND_SECONDS = 2.0  # a round that trains for less on one core is not worth starting ranks for
SHORTEST_STEP_SECONDS = 0.005  # a step that takes less on one core is not worth a second thread
SMALLEST_SHARE = 64  # positions of a batch that a rank should have, by `auto`
SMALL_GPU_MEMORY = 8e9  # bytes, of a GPU on another machine, which nobody has asked
MEMORY_SHARE = 0.8  # of a device's memory that training may plan with


@dataclass(frozen=True)
class Machine:
    """What there is to train on."""

    cores: int  # that this process may use
    memory: float  # bytes of RAM that are free for use
    gpus: int = 0
    gpu_memory: float = 0.0  # bytes of the smallest GPU
    has_bfloat16: bool = False  # whether the cores multiply such numbers by themselves


@dataclass(frozen=True)
class Work:
    """What a run's training asks for."""

    parameters: int
    flops: float  # of one position's forward pass
    maps: float  # bytes that one position's forward pass leaves for the backward pass
    blocks: int  # at the start of the run
    batch_size: int
    round_positions: float  # trained on in a round, about

    @classmethod
    def of(cls, info: GameInfo, network: NetworkSettings, training: TrainingSettings, games_per_round: int) -> Work:
        """The figures of a network for a game; a game is taken to last half of its longest."""
        cells = info.board_shape[0] * info.board_shape[1]
        tower = network.blocks * network.block_weights
        heads = network.channels * (network.policy_channels + network.value_channels)
        convolutions = 9 * info.num_planes * network.channels + tower + heads
        dense = cells * (network.policy_channels * info.num_actions + network.value_channels * network.value_hidden)
        return cls(
            parameters=convolutions + dense,
            flops=2.0 * (convolutions * cells + dense),
            maps=BYTES * cells * network.channels * (MAPS_PER_BLOCK * network.blocks + 4.0),
            blocks=network.blocks_at(0),
            batch_size=training.batch_size,
            round_positions=training.passes * games_per_round * info.typical_plies / 2,
        )

    @property
    def step_seconds(self) -> float:
        """A step on one core, about."""
        return self.batch_size * self.flops * (1 + BACKWARD) / CPU_FLOPS

    def memory(self, micro_batch: int) -> float:
        """Bytes that one whole replica needs, about."""
        return COPIES * BYTES * self.parameters + micro_batch * self.maps


@dataclass(frozen=True)
class ParallelPlan:
    """All degrees of parallelism of a training; `check` says whether they go together."""

    mode: str  # "serial", "data" or "pipeline"
    ranks: int  # processes that train; 1 = this one
    threads: int  # of each rank, on the CPU
    micro_batch: int  # positions of a group
    device: str = "cpu"  # or "cuda"
    precision: str = "float32"  # or "bfloat16": of products, sums stay float32
    compile: bool = False  # the network by torch.compile

    def groups(self, positions: int) -> list[int]:
        """Sizes of the groups of a step: all `micro_batch`, but for the last."""
        return group_sizes(positions, self.micro_batch)

    def accumulation(self, positions: int) -> int:
        """Groups that the busiest rank works through before its weights move."""
        return max(self.shares(positions)) if self.mode == "data" else len(self.groups(positions))

    def shares(self, positions: int) -> list[int]:
        """Groups of a step that each rank takes in data-parallel training: as even as can be, the first take more."""
        groups = len(self.groups(positions))
        return [groups // self.ranks + (rank < groups % self.ranks) for rank in range(self.ranks)]

    def as_settings(self) -> dict[str, Any]:
        """The plan as fields of the training settings."""
        return asdict(self)

    def __str__(self) -> str:
        what = {"serial": "serial", "data": f"data-parallel on {self.ranks} ranks"}
        name = what.get(self.mode, f"a pipeline of {self.ranks} stages")
        width = f"{self.threads} thread{'s' if self.threads > 1 else ''}" + (" each" if self.ranks > 1 else "")
        extras = [extra for extra in (self.precision if self.precision != "float32" else "",) if extra]
        return f"{name}, {', '.join([width if self.device == 'cpu' else 'GPU', *extras])}"


def this_machine() -> Machine:
    """What this process has to train on. Loads torch only where a GPU is there to ask for."""
    if not has_nvidia_gpu():
        return Machine(usable_cores(), free_memory(), has_bfloat16=multiplies_bfloat16())
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    memory = min((torch.cuda.get_device_properties(i).total_memory for i in range(gpus)), default=0)
    return Machine(usable_cores(), free_memory(), gpus, float(memory), multiplies_bfloat16())


def cluster(address: str) -> Machine:
    """What a Ray cluster has to train on; its memory and its kind of cores are taken to be those of this machine.

    Raises `UsageError` where it cannot be reached.
    """
    from selfplay.engines.ray_processes import resources

    cores, gpus = resources(address)
    return Machine(cores, free_memory(), gpus, SMALL_GPU_MEMORY if gpus else 0.0, multiplies_bfloat16())


def group_sizes(positions: int, size: int) -> list[int]:
    """`positions` in groups of `size`; a last group of one joins the one before, for it has no variance."""
    whole, rest = divmod(positions, size)
    if rest == 1 and whole:
        return [size] * (whole - 1) + [size + 1]
    return [size] * whole + ([rest] if rest else [])


def recommended_workers(num_batches: int, cores: int) -> int:
    """Ranks for so many groups of work: at most three quarters of the cores and the number of groups, at least 1."""
    return max(1, min(cores * 3 // 4, num_batches))


def check(plan: ParallelPlan, work: Work, machine: Machine) -> list[str]:
    """Warnings about a plan that works but wastes.

    Raises `UsageError` for a plan that cannot work, with the reason.
    """
    if plan.mode == "serial" and plan.ranks != 1:
        raise UsageError(f"training.ranks = {plan.ranks} with training.mode = serial: serial training is one rank")
    if plan.mode != "serial" and plan.ranks < 2:
        raise UsageError(
            f"training.mode = {plan.mode} with one rank: give training.ranks = 2 or more, or mode = serial"
        )
    if plan.device == "cuda" and machine.gpus < plan.ranks:
        found = "no GPU" if machine.gpus == 0 else f"{machine.gpus} GPU{'s' if machine.gpus > 1 else ''}"
        raise UsageError(
            f"training.device = cuda with {plan.ranks} rank{'s' if plan.ranks > 1 else ''}, but this machine has "
            f"{found} that torch can use: one rank needs one GPU"
        )
    groups = len(plan.groups(work.batch_size))
    if plan.mode == "data" and plan.ranks > groups:
        raise UsageError(
            f"training.ranks = {plan.ranks}, but a batch of {work.batch_size} has {groups} groups of "
            f"{plan.micro_batch} to share: raise training.batch_size or lower training.micro_batch or the ranks"
        )
    if plan.mode == "pipeline" and plan.ranks > work.blocks + 2:
        raise UsageError(
            f"training.ranks = {plan.ranks}, but a network of {work.blocks} blocks, as this one begins, has only "
            f"{work.blocks + 2} parts to hand out as stages: stem, blocks, heads"
        )
    return _warnings(plan, groups, machine)


def _warnings(plan: ParallelPlan, groups: int, machine: Machine) -> list[str]:
    warnings = []
    busy = plan.ranks * plan.threads
    if plan.device == "cpu" and busy > machine.cores:
        warnings.append(
            f"training asks for {busy} threads ({plan.ranks} ranks of {plan.threads}), but this process may use "
            f"{machine.cores} core{'s' if machine.cores > 1 else ''}: they will wait for each other"
        )
    if plan.mode == "data" and groups % plan.ranks:
        idle = 1 - groups / (plan.ranks * -(-groups // plan.ranks))
        warnings.append(
            f"{groups} groups do not divide by {plan.ranks} ranks: {idle:.0%} of their time is spent waiting; "
            "training.micro_batch decides the groups"
        )
    if plan.mode == "pipeline" and groups < plan.ranks:
        warnings.append(f"{groups} groups cannot fill a pipeline of {plan.ranks} stages: lower training.micro_batch")
    return warnings


def choose(training: TrainingSettings, work: Work, machine: Machine) -> tuple[ParallelPlan, str]:
    """The plan that settings ask for, every `auto` (and 0) decided, and why in one line. Checked by `check`."""
    device = training.device if training.device != "auto" else "cuda" if machine.gpus else "cpu"
    if device == "cuda" and machine.gpus == 0:
        raise UsageError("training.device = cuda, but this machine has no GPU that torch can use: choose cpu or auto")
    precision = training.precision
    if precision == "auto":
        precision = "bfloat16" if device == "cuda" or machine.has_bfloat16 else "float32"
    mode, ranks, why = (
        _choose_mode(training, work, machine, device)
        if training.mode == "auto"
        else (training.mode, training.ranks, "as asked for")
    )
    if ranks == 0:
        ranks = 1 if mode == "serial" else _ranks(mode, training.micro_batch, work, _places(machine, device))
    threads = training.threads or _threads(work, machine, ranks, device)
    micro_batch = training.micro_batch or _micro_batch(mode, ranks, work.batch_size)
    plan = ParallelPlan(mode, ranks, threads, micro_batch, device, precision, training.compile)
    check(plan, work, machine)
    return plan, why


def _places(machine: Machine, device: str) -> int:
    """Ranks that the machine has room for."""
    return machine.gpus if device == "cuda" else machine.cores


def _choose_mode(training: TrainingSettings, work: Work, machine: Machine, device: str) -> tuple[str, int, str]:
    places = _places(machine, device)
    ranks = training.ranks or _ranks("data", training.micro_batch, work, places)
    need = work.memory(training.micro_batch or _micro_batch("data", ranks, work.batch_size))
    room = MEMORY_SHARE * (machine.gpu_memory if device == "cuda" else machine.memory / max(1, ranks))
    if need > room and min(places, work.blocks + 2) > 1:
        stages = training.ranks or _ranks("pipeline", training.micro_batch, work, places)
        return "pipeline", stages, f"a replica needs {need / 1e9:.1f} GB and a rank has {room / 1e9:.1f} GB"
    if places == 1:
        return "serial", 1, f"there is one {'GPU' if device == 'cuda' else 'core'}"
    if ranks == 1:
        return (
            "serial",
            1,
            f"a batch of {work.batch_size} is one group of {training.micro_batch}, or one rank was asked",
        )
    if device == "cuda":
        return "data", ranks, "the network fits on every GPU"
    seconds = work.round_positions / work.batch_size * work.step_seconds
    if seconds < SHORTEST_ROUND_SECONDS:
        return "serial", 1, f"small data: a round trains for about {seconds:.1f} s on one core"
    alone = _with_threads(work.step_seconds, machine.cores)
    shared = _with_threads(work.step_seconds / ranks, max(1, machine.cores // ranks)) + RANK_SECONDS
    figures = f"a step should take {1e3 * shared:.0f} ms on {ranks} ranks and {1e3 * alone:.0f} ms with threads alone"
    if shared > WORTH_RANKS * alone:
        return "serial", 1, f"a small network: {figures}"
    return "data", ranks, figures


def _with_threads(seconds: float, threads: int) -> float:
    """What takes so many seconds on one thread, on several (Amdahl's law)."""
    return seconds * (SERIAL_SHARE + (1 - SERIAL_SHARE) / threads)


def _ranks(mode: str, micro_batch: int, work: Work, places: int) -> int:
    """As many ranks as places, groups or parts allow; for data, a number that divides the groups."""
    if mode == "pipeline":
        return max(2, min(places, work.blocks + 2))
    if micro_batch == 0:
        groups = max(1, work.batch_size // SMALLEST_SHARE)
        return 1 << (min(places, groups).bit_length() - 1)  # a power of two divides most batch sizes
    groups = len(group_sizes(work.batch_size, micro_batch))
    return max((ranks for ranks in range(1, min(places, groups) + 1) if groups % ranks == 0), default=1)


def _micro_batch(mode: str, ranks: int, batch_size: int) -> int:
    """As large as leaves a group for every rank; for a pipeline four times as many, so that it is mostly full."""
    pieces = ranks if mode == "data" else 4 * ranks if mode == "pipeline" else 1
    return max(2, -(-batch_size // pieces))


def _threads(work: Work, machine: Machine, ranks: int, device: str) -> int:
    """Threads of a rank: its share of the cores, or one where a step is too short to be cut up."""
    if device == "cuda" or work.step_seconds < SHORTEST_STEP_SECONDS:
        return 1
    return max(1, machine.cores // ranks)
