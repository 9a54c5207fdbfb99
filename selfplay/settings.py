"""Settings of a run: what they are called, mean, and may be.

Every field says its meaning, unit and range; `selfplay settings [GAME]` prints them as a commented TOML file. All
groups but `worker` and `evaluation` are part of a run's identity: they decide the bytes that come out, and a run keeps
them for life. `worker` only decides how fast, `evaluation` what is found out about the models. How settings are read,
checked and written stands in `config.py`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the settings file."""


class GameSettings(Group, frozen=True):
    """What is played."""

    name: Annotated[str, Meta(description="a known game, or path/to/file.py:Class", min_length=1, max_length=4096)] = (
        "connect4"
    )


class NetworkSettings(Group, frozen=True):
    """Size of the network."""

    blocks: Annotated[int, Meta(description="residual blocks", ge=1, le=80)] = 4
    channels: Annotated[int, Meta(description="channels of the tower", ge=4, le=1024)] = 32
    block: Annotated[
        Literal["basic", "bottleneck"],
        Meta(
            description='"basic" = two convolutions of 3 × 3; "bottleneck" = two of half as many channels, with 1 × 1 '
            "before and behind: less than a third of the work"
        ),
    ] = "basic"
    first_blocks: Annotated[
        int,
        Meta(
            description="blocks of an untrained network that grows: small ones play and learn faster while there is "
            "little to know; 0, or not below `blocks` = it does not grow",
            ge=0,
            le=80,
        ),
    ] = 0
    growth_rounds: Annotated[
        int, Meta(description="rounds from one more block to the next, until there are `blocks`", ge=1, le=1_000_000)
    ] = 10
    growth_start: Annotated[
        int,
        Meta(
            description="round that is trained with the first of those blocks; 0 = after as many rounds as the others",
            ge=0,
            le=1_000_000,
        ),
    ] = 0
    policy_channels: Annotated[int, Meta(description="channels of the policy head", ge=1, le=256)] = 16
    value_channels: Annotated[int, Meta(description="channels of the value head", ge=1, le=256)] = 16
    value_hidden: Annotated[int, Meta(description="units of the value head's hidden layer", ge=1, le=4096)] = 64
    future: Annotated[
        bool,
        Meta(
            description="a further head foretells the board at the end of the game, for training alone: it teaches the "
            "tower from every cell, not from the outcome alone; play pays nothing for it"
        ),
    ] = False

    def blocks_at(self, round_number: int) -> int:
        """Blocks that a network is to have which is trained in a round; 0 = untrained."""
        if self.first_blocks == 0:
            return self.blocks
        past = round_number - (self.growth_start or self.growth_rounds)
        return min(self.blocks, self.first_blocks + max(0, past // self.growth_rounds + 1))

    def of_size(self, blocks: int) -> NetworkSettings:
        """The settings of a network of so many blocks that does not grow."""
        return msgspec.structs.replace(self, blocks=blocks, first_blocks=0)

    @property
    def block_weights(self) -> int:
        """Weights of the convolutions of a block: what a cell costs in multiplications."""
        narrow = self.channels // 2
        if self.block == "bottleneck":
            return 2 * self.channels * narrow + 2 * 9 * narrow**2
        return 2 * 9 * self.channels**2


class SearchSettings(Group, frozen=True):
    """How a move is searched and chosen in self-play."""

    method: Annotated[
        Literal["puct", "gumbel"],
        Meta(description='"puct" as in AlphaZero, or "gumbel" as in Gumbel AlphaZero, for few simulations'),
    ] = "puct"
    simulations: Annotated[
        int,
        Meta(description="visits of the root before a move is chosen, reused ones counted", ge=1, le=1_000_000),
    ] = 64
    early_simulations: Annotated[
        int,
        Meta(
            description="puct: visits of the root before a game's first moves, where that is more: much hangs on them, "
            "and they are few",
            ge=0,
            le=1_000_000,
        ),
    ] = 0
    early_plies: Annotated[
        int,
        Meta(
            description="puct: plies from the start of a game, its random ones among them, that are searched so",
            ge=0,
            le=1_000_000,
        ),
    ] = 0
    early_round: Annotated[
        int,
        Meta(
            description="first round with such searches: they are worth less while the network knows little",
            ge=1,
            le=1_000_000,
        ),
    ] = 1
    c_puct: Annotated[
        float,
        Meta(description="weight of prior against value in PUCT: c_init of the AlphaZero paper", gt=0, le=100),
    ] = 1.5
    c_puct_base: Annotated[
        float, Meta(description="visits at which that weight has grown by log 2: c_base there", gt=0, le=1e12)
    ] = 19652.0
    fpu_reduction: Annotated[
        float,
        Meta(
            description="an unvisited action is worth its node's value less this, times the root of the visited "
            "prior mass (values run from -1 to 1)",
            ge=0,
            le=2,
        ),
    ] = 0.2
    noise_fraction: Annotated[
        float,
        Meta(description="share of Dirichlet noise in the root's priors, self-play only", ge=0, le=1),
    ] = 0.25
    noise_alpha: Annotated[
        float,
        Meta(description="Dirichlet concentration; about 10 / typical number of legal actions", gt=0, le=100),
    ] = 1.0
    temperature: Annotated[
        float,
        Meta(description="moves are drawn from visits^(1/temperature); 0 = the most visited", ge=0, le=10),
    ] = 1.0
    temperature_plies: Annotated[
        int, Meta(description="plies from the start of a game played at `temperature`", ge=0, le=1_000_000)
    ] = 12
    late_temperature: Annotated[float, Meta(description="temperature after those plies", ge=0, le=10)] = 0.3
    considered_actions: Annotated[
        int, Meta(description="gumbel: actions of the root that are looked into, the likeliest first", ge=1, le=1024)
    ] = 16
    gumbel_visits: Annotated[
        float, Meta(description="gumbel: weight of values against priors with no visits: c_visit there", ge=0, le=1e6)
    ] = 50.0
    gumbel_scale: Annotated[
        float, Meta(description="gumbel: what a visit more of the most visited action adds: c_scale", gt=0, le=1000)
    ] = 0.1
    opening_share: Annotated[
        float, Meta(description="share of games that begin with random plies, so that play is varied", ge=0, le=1)
    ] = 0.0
    opening_plies: Annotated[
        int,
        Meta(description="most random plies of such a game: one to so many, each number as likely", ge=1, le=10_000),
    ] = 8
    opening_draws: Annotated[
        int,
        Meta(
            description="that number is drawn so often, and the least counts: with two or three, short openings, whose "
            "games are decided last, are likelier than long ones",
            ge=1,
            le=16,
        ),
    ] = 1
    opening_choices: Annotated[
        int,
        Meta(
            description="so many such openings are drawn, and that which the network judges most even is played: most "
            "random positions are decided, and teach little; 1 = any",
            ge=1,
            le=1024,
        ),
    ] = 1
    opening_policy: Annotated[
        float,
        Meta(
            description="share of these openings whose plies the network's policy draws, so that they lead where its "
            "own games go (KataGo); in the others any legal action is as likely",
            ge=0,
            le=1,
        ),
    ] = 0.0
    full_share: Annotated[
        float,
        Meta(
            description="puct: share of moves that are searched in full and learnt from; the others are played "
            "quickly, so that games bring their outcomes sooner (playout cap randomisation); 1 = all",
            gt=0,
            le=1,
        ),
    ] = 1.0
    quick_simulations: Annotated[
        int, Meta(description="visits of the root of moves that are played quickly, without noise", ge=1, le=1_000_000)
    ] = 16
    decided_value: Annotated[
        float,
        Meta(
            description="puct: a game in which a search finds a value farther from 0 counts as decided; its further "
            "moves are played with `quick_simulations` and not learnt from (reduced visits in KataGo); 1 = none does",
            gt=0,
            le=1,
        ),
    ] = 1.0
    played_out_share: Annotated[
        float,
        Meta(
            description="share of decided games that are searched to the end nonetheless: endings too are to be met",
            ge=0,
            le=1,
        ),
    ] = 0.1
    prune_targets: Annotated[
        bool,
        Meta(
            description="puct: leave visits that an action owes to noise, or to a first impression that did not last, "
            "out of choice and policy target (policy target pruning)"
        ),
    ] = False
    reuse_tree: Annotated[bool, Meta(description="puct: keep the chosen action's subtree for the next move")] = True
    win_in_one: Annotated[
        bool,
        Meta(
            description="where the player to move can win at once, the rules judge the position (a win, by those "
            "moves), not the network; worth switching off for games with hundreds of slow moves that never end so"
        ),
    ] = True
    solver: Annotated[
        bool,
        Meta(
            description="proven results are carried up the tree: solved positions are not searched, moves proven to be "
            "mistakes are left out of search, choice and policy target"
        ),
    ] = True

    def __post_init__(self) -> None:
        """Raises `ValueError` for settings that do not go together: Gumbel plans all simulations of every move."""
        if self.method == "gumbel" and self.full_share < 1.0:
            raise ValueError(f"full_share = {self.full_share} does not go with method = gumbel: leave it at 1")
        if self.method == "gumbel" and self.decided_value < 1.0:
            raise ValueError(f"decided_value = {self.decided_value} does not go with method = gumbel: leave it at 1")
        if self.method == "gumbel" and self.early_plies > 0:
            raise ValueError(f"early_plies = {self.early_plies} does not go with method = gumbel: leave it at 0")

    @property
    def has_quick_moves(self) -> bool:
        """Whether moves may be without a policy to learn."""
        return self.full_share < 1.0 or self.decided_value < 1.0


class SelfPlaySettings(Group, frozen=True):
    """What a round is."""

    games_per_round: Annotated[int, Meta(description="games between two trainings", ge=1, le=10_000_000)] = 100
    seed: Annotated[
        int, Meta(description="the run's seed: every random choice derives from it", ge=0, le=2**53 - 1)
    ] = 0
    lag: Annotated[
        int,
        Meta(
            description="1 = a round is played with the model before the newest, so that workers play it while the "
            "round before is trained; 0 = with the newest, and workers wait",
            ge=0,
            le=1,
        ),
    ] = 0
    gate: Annotated[
        float,
        Meta(
            description="score that a new round must reach against the one that plays to play from then on (AlphaGo "
            "Zero: 0.55); 0 = every round plays, without a match",
            ge=0,
            le=1,
        ),
    ] = 0.0
    gate_games: Annotated[int, Meta(description="games of that match", ge=2, le=1_000_000, multiple_of=2)] = 200
    device: Annotated[
        Literal["cpu", "cuda", "auto"], Meta(description='where networks are evaluated: "cpu", "cuda" or "auto"')
    ] = "auto"
    precision: Annotated[
        Literal["auto", "float32", "int8", "bfloat16"],
        Meta(
            description='arithmetic of the networks that play: "int8" (CPU: two to three times as fast, as strong), '
            '"bfloat16" (GPU), "float32", or "auto" = the fast one of the device'
        ),
    ] = "auto"


class TrainingSettings(Group, frozen=True):
    """How a round is trained, and on what."""

    batch_size: Annotated[int, Meta(description="positions per optimizer step", ge=2, le=65_536)] = 256
    passes: Annotated[float, Meta(description="positions trained on per new position of the round", gt=0, le=1000)] = (
        8.0
    )
    learning_rate: Annotated[float, Meta(description="AdamW's step size", gt=0, le=1)] = 0.002
    constant_steps: Annotated[
        int,
        Meta(
            description="optimizer steps at that step size; then it falls with the root of their number: to half at "
            "four times as many (Karras et al. 2024, 2.4); 0 = it never falls",
            ge=0,
            le=2**53,
        ),
    ] = 0
    weight_decay: Annotated[float, Meta(description="AdamW's decoupled weight decay", ge=0, le=1)] = 0.0001
    muon_learning_rate: Annotated[
        float,
        Meta(
            description="step size of Muon (Jordan et al. 2024) for the weights of the residual blocks; 0 = AdamW "
            "moves them too",
            ge=0,
            le=1,
        ),
    ] = 0.0
    muon_weight_decay: Annotated[float, Meta(description="Muon's decoupled weight decay", ge=0, le=10)] = 0.3
    gradient_clip: Annotated[float, Meta(description="largest L2 norm of a step's gradient", gt=0, le=1e12)] = 4.0
    value_lambda: Annotated[
        float,
        Meta(
            description="what a position's value learns: 1 = the game's outcome alone, below it the root values of "
            "this and later plies too, each counting so many times the one before (TD-lambda)",
            ge=0,
            le=1,
        ),
    ] = 1.0
    value_weight: Annotated[
        float, Meta(description="weight of the win/draw/loss loss against the policy loss", ge=0, le=100)
    ] = 1.0
    future_weight: Annotated[
        float, Meta(description="likewise of the board at the end, where the network foretells it", ge=0, le=100)
    ] = 1.0
    average_decay: Annotated[
        float,
        Meta(description="decay per step of the moving average of the weights, which plays", ge=0, lt=1),
    ] = 0.99
    average_share: Annotated[
        float,
        Meta(
            description="share of all steps so far that this average reaches back, where that is further; 0 = as "
            "`average_decay` says",
            ge=0,
            lt=1,
        ),
    ] = 0.0
    window_start: Annotated[
        int, Meta(description="positions in the replay window while the run is small: c in the formula", ge=1, le=2**53)
    ] = 20_000
    window_exponent: Annotated[float, Meta(description="growth of the window: alpha in the formula", gt=0, le=1)] = 0.75
    window_slope: Annotated[
        float, Meta(description="growth of the window at its start: beta in the formula", ge=0, le=1)
    ] = 0.4
    duplicates: Annotated[
        float,
        Meta(
            description="a position that occurs k times in the window counts k to the power of this; below 1 they are "
            "made one, their targets averaged; 1 = off",
            ge=0,
            le=1,
        ),
    ] = 1.0
    balance_games: Annotated[
        float, Meta(description="0 = off, 1 = short and long games count alike, in between partly", ge=0, le=1)
    ] = 0.0
    balance_phases: Annotated[
        float, Meta(description="likewise for plies: the rare late ones count like the first", ge=0, le=1)
    ] = 0.0
    balance_outcomes: Annotated[
        float, Meta(description="likewise for positions that were won, drawn and lost", ge=0, le=1)
    ] = 0.0
    mode: Annotated[
        Literal["auto", "serial", "data", "pipeline"],
        Meta(
            description='how training is spread: "serial", "data" (each rank the whole network, a share of the batch), '
            '"pipeline" (each rank some layers), or "auto" when the run is made'
        ),
    ] = "auto"
    ranks: Annotated[int, Meta(description="processes that train; 0 = auto", ge=0, le=1024)] = 0
    threads: Annotated[int, Meta(description="threads of each rank; 0 = auto", ge=0, le=1024)] = 0
    micro_batch: Annotated[
        int,
        Meta(
            description="positions that share their batch statistics and go through the network together: what a "
            "batch is cut into for ranks and stages; 0 = auto: as large as gives every rank one",
            ge=0,
            le=65_536,
        ),
    ] = 0
    device: Annotated[
        Literal["cpu", "cuda", "auto"], Meta(description='where training computes: "cpu", "cuda" or "auto"')
    ] = "auto"
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        Meta(description='of products: "float32", "bfloat16", or "auto" = bfloat16 where the hardware has it'),
    ] = "auto"
    compile: Annotated[bool, Meta(description="compile the network with torch.compile (needs a C++ compiler)")] = False


Opponent = Annotated[str, Meta(min_length=1, max_length=100)]


class EvaluationSettings(Group, frozen=True):
    """Matches and measurements of the models; no influence on them."""

    every: Annotated[
        int, Meta(description="rounds between two evaluations; 0 = the last round of the run alone", ge=0, le=1_000_000)
    ] = 0
    games: Annotated[
        int,
        Meta(description="games of each match, colours balanced; 0 = no matches", ge=0, le=1_000_000, multiple_of=2),
    ] = 100
    simulations: Annotated[
        int, Meta(description="visits per move of the models; 0 = as in self-play", ge=0, le=1_000_000)
    ] = 0
    opponents: Annotated[
        tuple[Opponent, ...],
        Meta(
            description='baselines that each evaluated round meets: "random", "rollout:N", "alphabeta:N", "perfect"',
            max_length=20,
        ),
    ] = ("random",)
    rivals: Annotated[
        int, Meta(description="earlier rounds that it meets, the newest evaluated ones; round 0 is one", ge=0, le=100)
    ] = 1
    positions: Annotated[
        int,
        Meta(
            description="positions in each of two sets on which mistakes against perfect play are counted; 0 = off",
            ge=0,
            le=100_000,
        ),
    ] = 0


class WorkerSettings(Group, frozen=True):
    """How fast a worker is; no influence on results."""

    games_in_parallel: Annotated[
        int, Meta(description="games a worker plays side by side; 0 = 64 on a CPU, 128 on a GPU", ge=0, le=4096)
    ] = 0
    cache_positions: Annotated[
        int, Meta(description="evaluations a worker remembers, in at most 128 MB; 0 = none", ge=0, le=100_000_000)
    ] = 200_000

    def games_side_by_side(self, device: str) -> int:
        """How many games a worker plays at once where networks are evaluated on `device`, "cpu" or "cuda"."""
        return self.games_in_parallel or (128 if device == "cuda" else 64)


class Settings(Group, frozen=True):
    """All settings of a run; every default written out."""

    game: GameSettings = GameSettings()
    network: NetworkSettings = NetworkSettings()
    search: SearchSettings = SearchSettings()
    selfplay: SelfPlaySettings = SelfPlaySettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    worker: WorkerSettings = WorkerSettings()
