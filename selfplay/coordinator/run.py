"""Opens a run: settles its settings, new or existing, and refuses what would mix two runs. Starts nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from selfplay.arena.oracle import open_oracle
from selfplay.arena.player import BASELINES, is_baseline, open_player
from selfplay.config import (
    Tree,
    differences,
    from_tree,
    merged,
    parse_assignments,
    preset,
    read_toml,
    settings_of_run,
    to_toml,
    to_tree,
)
from selfplay.coordinator.suggested import settings_for
from selfplay.errors import ModelError, RunError, UsageError
from selfplay.files import ensure_directory, same_content, write_atomically
from selfplay.games.conformance import check_game as check_game_rules
from selfplay.games.game import GameInfo, Rules
from selfplay.games.registry import BUILT_IN, load_rules, resolve_spec
from selfplay.machine import has_nvidia_gpu
from selfplay.network.card import ModelCard, check_game
from selfplay.rundir.facts import ModelsOnDisk
from selfplay.rundir.layout import RunLayout
from selfplay.settings import EvaluationSettings, SelfPlaySettings, Settings
from selfplay.training.parallel_plan import Work, check, choose, cluster, this_machine

DEFAULT_GAME = "connect4"
FAST_PRECISION = {"cpu": "int8", "cuda": "bfloat16"}  # of networks that play, by device
CHECKED_GAMES = 20  # random games under every law, before a new run is made


@dataclass(frozen=True)
class RunRequest:
    """What the user asked for; empty or None = not said."""

    data: Path
    model: Path
    game: str | None = None
    preset: str | None = None
    config: Path | None = None
    assignments: Tree | None = None  # from --set and the other options, as nested dictionaries
    cluster: str = ""  # address of the Ray cluster whose nodes train; empty = this machine trains


@dataclass(frozen=True)
class OpenRun:
    """A run that may be worked on."""

    layout: RunLayout
    settings: Settings
    model: Path  # where the newest round is published
    initial_model: Path | None  # a model of the user's that a new run starts from
    is_new: bool
    training: tuple[str, ...]  # how training is spread over the machine and why, and warnings
    cluster: str = ""  # whose nodes train


def open_run(request: RunRequest) -> OpenRun:
    """The run in the folder, made if it is not there.

    Raises `LawBroken` for a new run of a game whose rules break a law, `UsageError` for unknown or impossible
    settings, `RunError` where the folder or the model path belong to something else, `ModelError` where the model
    cannot be used.
    """
    if request.model.suffix != ".pt":
        raise UsageError(f"the model's path must end in .pt, found {request.model}; its .onnx twin lies beside it")
    layout = RunLayout(request.data)
    is_new = not layout.settings.exists()
    settings, initial = _new_settings(request) if is_new else (_existing_settings(request, layout), None)
    rules = load_rules(settings.game.name)
    settings, training = _resolved(settings, rules.info, request.cluster)
    _check_evaluation(settings.evaluation, rules)
    for folder in (request.model.absolute().parent, request.data, layout.models, layout.logs):
        ensure_directory(folder)
    if is_new:
        _refuse_leftovers(layout)
        heading = f"Settings of this selfplay run of {rules.info.name}. All but [worker] stay as they are."
        write_atomically(layout.settings, to_toml(settings, heading=heading).encode())
    else:
        _check_published(request.model, layout)
    return OpenRun(layout, settings, request.model, initial, is_new, training, request.cluster)


def settings_as_run(game: str, preset_name: str | None, config: Path | None, assignments: Sequence[str]) -> Settings:
    """The settings that a new run of a game would have on this machine; nothing is made.

    Raises `UsageError` for unknown or impossible settings.
    """
    spec = resolve_spec(game)
    base = preset(preset_name) if preset_name else settings_for(spec)
    overlays = [read_toml(config) if config else {}, parse_assignments(tuple(assignments))]
    settings = from_tree(merged(base, *overlays, {"game": {"name": spec}}), where="settings")
    return _resolved(settings, load_rules(spec).info)[0]


def _new_settings(request: RunRequest) -> tuple[Settings, Path | None]:
    """Settings of a new run: preset, then what the given model needs, then the file, then options."""
    card, network = _model_there(request.model)
    game = resolve_spec(request.game or (card.spec if card else DEFAULT_GAME))
    if game.partition(":")[0] not in BUILT_IN:  # those that come along are tested at length
        check_game_rules(game, games=CHECKED_GAMES)  # before anything is made: broken rules teach nothing
    base = preset(request.preset) if request.preset else settings_for(game)
    overlays = [_read_config(request), request.assignments or {}]
    settings = from_tree(merged(base, {"network": network}, *overlays, {"game": {"name": game}}), where="settings")
    if card is not None:
        check_game(card, load_rules(game).info, request.model)
    return settings, request.model if card else None


def _existing_settings(request: RunRequest, layout: RunLayout) -> Settings:
    """The run's own settings; whatever else was asked for must agree, but for the speed-only ones."""
    stored = settings_of_run(layout.settings)
    overlays: list[Tree] = [preset(request.preset) if request.preset else {}, _read_config(request)]
    overlays.append(request.assignments or {})
    if request.game is not None:
        overlays.append({"game": {"name": resolve_spec(request.game)}})
    wanted = from_tree(merged(to_tree(stored), *overlays), where="settings")
    changes = differences(stored, wanted)
    if changes:
        raise RunError(
            f"{layout.root} holds a run with other settings; they stay for its life:\n  "
            + "\n  ".join(changes)
            + "\nGo on without these options, or start a new run in another folder with another model path."
        )
    return wanted


def _read_config(request: RunRequest) -> Tree:
    return read_toml(request.config) if request.config else {}


def _model_there(path: Path) -> tuple[ModelCard | None, Tree]:
    """Card and network settings of the model that a new run starts from, if there is one."""
    if not path.exists():
        return None, {}
    from selfplay.network.checkpoint import (
        load_checkpoint,
    )  # brings torch: only where there is something to read

    checkpoint = load_checkpoint(path)
    return checkpoint.card, to_tree(checkpoint.settings)["network"]


def _resolved(settings: Settings, info: GameInfo, trained_on: str = "") -> tuple[Settings, tuple[str, ...]]:
    """The settings with every `auto` made a fact of this machine, or of the cluster that trains, once; and how training
    is spread, and warnings."""
    settings = msgspec.structs.replace(settings, selfplay=_resolved_selfplay(settings.selfplay))
    work = Work.of(info, settings.network, settings.training, settings.selfplay.games_per_round)
    machine = cluster(trained_on) if trained_on else this_machine()
    plan, why = choose(settings.training, work, machine)
    training = msgspec.structs.replace(settings.training, **plan.as_settings())
    warnings = check(plan, work, machine)
    return msgspec.structs.replace(settings, training=training), (f"training: {plan} ({why})", *warnings)


def _resolved_selfplay(selfplay: SelfPlaySettings) -> SelfPlaySettings:
    """Device and precision of the networks that play."""
    device = _device() if selfplay.device == "auto" else selfplay.device
    fast, slow = FAST_PRECISION[device], "float32"
    precision = fast if selfplay.precision == "auto" else selfplay.precision
    if precision not in (fast, slow):
        raise UsageError(
            f'selfplay.precision = "{precision}" does not go with selfplay.device = "{device}", which computes in '
            f"{fast} or {slow}"
        )
    return msgspec.structs.replace(selfplay, device=device, precision=precision)


def _check_evaluation(settings: EvaluationSettings, rules: Rules) -> None:
    """Raises `UsageError` where models could not be evaluated as the settings say."""
    for spec in settings.opponents:
        if not is_baseline(spec):
            raise UsageError(f'evaluation.opponents: "{spec}" is a model; expected baselines: {", ".join(BASELINES)}')
        open_player(spec, rules, simulations=None)
    if settings.positions:
        open_oracle(rules)


def _device() -> str:
    """Where networks are evaluated, for `auto`: the GPU if torch can use one."""
    if not has_nvidia_gpu():
        return "cpu"
    from selfplay.evaluation.torch_evaluator import cuda_is_usable

    return "cuda" if cuda_is_usable() else "cpu"


def _refuse_leftovers(layout: RunLayout) -> None:
    if layout.batch_files() or layout.rounds_with_models():
        raise RunError(
            f"{layout.root} has games or models of a run but no {layout.settings.name}; "
            "put that file back, or choose another folder"
        )


def _check_published(model: Path, layout: RunLayout) -> None:
    """Never write over a model that is not a round of this run."""
    rounds = reversed(layout.rounds_with_models())  # the newest is the likeliest
    if not model.exists() or any(same_content(model, layout.model(number)) for number in rounds):
        return
    from selfplay.network.checkpoint import load_checkpoint

    try:
        card = load_checkpoint(model).card
        name = f"model {card.fingerprint[:12]}"
        if card.round > 0 and ModelsOnDisk(layout).fingerprint(card.round - 1) == card.parent:
            return  # this run's round, whose file among the models is gone or damaged
    except ModelError as error:
        name = f"not usable ({error})"
    raise RunError(
        f"{model} is not a round of the run in {layout.root} and would be overwritten: {name}; move it away "
        f"(the run's own models are in {layout.models}) or give another model path"
    )
