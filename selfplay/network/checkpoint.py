"""`model.pt`: everything that training needs to go on, as one file of tensors and plain values.

Format `selfplay-model`, version 3, written by torch.save and always read with `weights_only=True`, so that a file
from a stranger cannot run code. A table with

    format, version    "selfplay-model", 3
    card               what the model says of itself (`network/card.py`)
    settings           the run's settings as nested tables
    weights            name -> tensor: the network as trained
    average            name -> tensor: the moving average of the weights, which plays
    optimizer          name of a parameter -> what AdamW or Muon keeps of it; empty before the first step
    steps              optimizer steps since round 0
    trained            how the last round was trained: the parallel plan, and whether it was the one asked for
    checksum           SHA-256 over all of these, see `checksum`

Version 1 had the optimizer's own table, by number of the parameter, and no `trained`; version 2 had no checksum. Both
are still read.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from selfplay.config import from_stored, to_tree
from selfplay.errors import ModelDamaged, ModelError, UsageError
from selfplay.files import read_file, write_atomically
from selfplay.games.game import GameInfo
from selfplay.games.random_play import random_positions
from selfplay.games.registry import load_rules
from selfplay.network.card import Count, ModelCard, sealed
from selfplay.network.checkpoint_check import MOST_BYTES, check_optimizer, check_plain, check_tensors
from selfplay.network.onnx_export import to_onnx
from selfplay.network.quantization import Observations, observed
from selfplay.network.resnet import NetworkShape, ResNet, count_blocks, new_network, of_playing
from selfplay.settings import NetworkSettings, Settings

FORMAT = "selfplay-model"
VERSION = 3
OBSERVED_POSITIONS = 256  # from which an 8-bit twin knows what its values are like: more change nothing

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """A model with all that training needs to go on."""

    card: ModelCard
    settings: Settings
    weights: Tensors
    average: Tensors
    optimizer: dict[str, Any]
    steps: int
    trained: dict[str, Any]

    @property
    def network(self) -> NetworkSettings:
        """The network as it is: one that grows need not have all blocks yet."""
        return self.settings.network.of_size(self.card.blocks)

    @property
    def shape(self) -> NetworkShape:
        """What decides its tensors."""
        card = self.card
        return NetworkShape(card.planes, (card.rows, card.columns), card.actions, self.network)


def fingerprint(weights: Mapping[str, Tensor], average: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of all tensors, in order of name, as hexadecimal digits."""
    tensors = {f"weights/{name}": tensor for name, tensor in weights.items()}
    return _digest(tensors | {f"average/{name}": tensor for name, tensor in average.items()})


def checksum(checkpoint: Checkpoint, card: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """SHA-256 over everything in a checkpoint, weights and average by the card's fingerprint of them: torch reads a
    file with a flipped bit without a word. Card and settings as the file has them, which may lack what is newer."""
    optimizer = {
        f"{name}/{field}": value for name, fields in checkpoint.optimizer.items() for field, value in fields.items()
    }
    plain = [card, settings, checkpoint.steps, checkpoint.trained]
    return hashlib.sha256(msgspec.json.encode([_digest(optimizer), *plain])).hexdigest()


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def network_shape(info: GameInfo, settings: NetworkSettings) -> NetworkShape:
    """The tensors that a game and the network's settings ask for."""
    return NetworkShape(info.num_planes, info.board_shape, info.num_actions, settings)


def make_checkpoint(
    info: GameInfo,
    settings: Settings,
    *,
    weights: Tensors,
    average: Tensors,
    optimizer: dict[str, Any],
    steps: int,
    round_number: int,
    parent: str,
    trained: dict[str, Any] | None = None,
) -> Checkpoint:
    """A checkpoint with its card filled in."""
    card = ModelCard(
        game=info.name,
        spec=info.spec,
        rules_hash=info.rules_hash,
        encoding_hash=info.encoding_hash,
        round=round_number,
        fingerprint=fingerprint(weights, average),
        parent=parent,
        simulations=settings.search.simulations,
        planes=info.num_planes,
        rows=info.board_shape[0],
        columns=info.board_shape[1],
        actions=info.num_actions,
        blocks=count_blocks(weights),
        channels=settings.network.channels,
        parameters=sum(tensor.numel() for tensor in of_playing(average).values() if tensor.is_floating_point()),
        precision="int8" if settings.selfplay.precision in ("int8", "auto") else "float32",
        block=settings.network.block,
    )
    return Checkpoint(card, settings, weights, average, optimizer, steps, trained or {})


def untrained(info: GameInfo, settings: Settings) -> Checkpoint:
    """Round 0: fresh weights that depend on the run's seed alone."""
    network = settings.network.of_size(settings.network.blocks_at(0))
    fresh = new_network(network_shape(info, network), settings.selfplay.seed)
    tensors = {name: tensor.detach().clone() for name, tensor in fresh.state_dict().items()}
    return make_checkpoint(
        info,
        settings,
        weights=tensors,
        average={name: tensor.clone() for name, tensor in tensors.items()},
        optimizer={},
        steps=0,
        round_number=0,
        parent="",
    )


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write the checkpoint and its inference twin (.onnx beside it); raises `RunError` where that fails.

    The twin comes first: a checkpoint that is there always has one.
    """
    twin = inference_file(checkpoint)
    buffer = io.BytesIO()
    content = {
        "format": FORMAT,
        "version": VERSION,
        "card": asdict(checkpoint.card),
        "settings": to_tree(checkpoint.settings),
        "weights": checkpoint.weights,
        "average": checkpoint.average,
        "optimizer": checkpoint.optimizer,
        "steps": checkpoint.steps,
        "trained": checkpoint.trained,
        "checksum": checksum(checkpoint, asdict(checkpoint.card), to_tree(checkpoint.settings)),
    }
    torch.save(content, buffer)
    write_atomically(path.with_suffix(".onnx"), twin)
    write_atomically(path, buffer.getvalue())


def inference_file(checkpoint: Checkpoint) -> bytes:
    """The inference twin: a function of the checkpoint and the game's rules.

    What the values of an 8-bit twin are like is seen on positions of random games: those of self-play give no smaller
    errors, and are not at hand wherever a model is.
    """
    network, seen = playing_network(checkpoint), None
    if checkpoint.card.precision == "int8":
        rules = load_rules(checkpoint.card.spec)
        planes = rules.encode(random_positions(rules, OBSERVED_POSITIONS, seed=0))
        seen = _on_one_thread(lambda: observed(network, torch.from_numpy(planes)))
    return sealed(to_onnx(network, checkpoint.card.to_metadata(), seen))


def _on_one_thread(observe: Callable[[], Observations]) -> Observations:
    """What is seen is part of what the games are a function of: it must not depend on the cores of a machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return observe()
    finally:
        torch.set_num_threads(threads)


def load_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in a file; raises `ModelError` where it is missing, damaged, foreign or of another version."""
    content = read_file(path, what="model", error=ModelError, most_bytes=MOST_BYTES)
    try:
        table = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what zip, pickle and its own reader raise
        raise ModelDamaged(
            path, f"{path}: not a whole selfplay model ({len(content):,} bytes): it was cut short or is something else"
        ) from error
    if not isinstance(table, dict) or table.get("format") != FORMAT:
        raise ModelError(f"{path}: a torch file, but not a model that selfplay wrote; expected format {FORMAT!r}")
    version = table.get("version")
    if type(version) is not int or not 1 <= version <= VERSION:
        found = version if type(version) is int else type(version).__name__
        raise ModelError(f"{path}: format version {found}, this program reads 1 to {VERSION}")
    return _from_table(table, path)


def _checked(table: dict[str, Any], path: Path) -> Checkpoint:
    """The checkpoint in a table, everything looked at; raises what `_from_table` turns into `ModelDamaged`."""
    plain = {"card": table["card"], "steps": table["steps"], "trained": table.get("trained", {})}
    for what, value in {**plain, "settings": table["settings"]}.items():
        check_plain(value, what=what)
    card = ModelCard.from_table(plain["card"])
    settings = from_stored(table["settings"], where=str(path))
    if card.blocks > settings.network.blocks:
        raise ValueError(f"card: {card.blocks} blocks, and the settings ask for {settings.network.blocks}")
    steps = msgspec.convert(plain["steps"], Count)
    trained = msgspec.convert(plain["trained"], dict[str, Any])
    checkpoint = Checkpoint(card, settings, table["weights"], table["average"], table["optimizer"], steps, trained)
    for what in ("weights", "average"):
        check_tensors(table[what], checkpoint.shape, what=what)
    if table["version"] == 1:
        checkpoint = replace(checkpoint, optimizer=_by_name(checkpoint))
    check_optimizer(checkpoint.optimizer, checkpoint.weights)
    return checkpoint


def playing_network(checkpoint: Checkpoint) -> ResNet:
    """The network with the averaged weights, ready to judge positions, without what training alone needs."""
    network = ResNet(checkpoint.shape.playing)
    network.load_state_dict(of_playing(checkpoint.average))
    return network.eval()


def _by_name(checkpoint: Checkpoint) -> dict[str, Any]:
    """The optimizer's state of a version 1 file, where parameters had numbers."""
    names = [name for name, _ in playing_network(checkpoint).named_parameters()]
    return {names[number]: fields for number, fields in checkpoint.optimizer.get("state", {}).items()}


def _from_table(table: dict[str, Any], path: Path) -> Checkpoint:
    try:
        checkpoint = _checked(table, path)
        found = fingerprint(checkpoint.weights, checkpoint.average)
        is_whole = table["version"] < 3 or table["checksum"] == checksum(checkpoint, table["card"], table["settings"])
    except (LookupError, TypeError, AttributeError, ValueError, RuntimeError, UsageError) as error:
        raise ModelDamaged(path, f"{path}: a selfplay model with parts missing or malformed: {error}") from None
    if found != checkpoint.card.fingerprint:
        raise ModelDamaged(
            path,
            f"{path}: its tensors have fingerprint {found[:12]}, but it says {checkpoint.card.fingerprint[:12]}: "
            "the file was changed; take it from a copy or an earlier round",
        )
    if not is_whole:
        raise ModelDamaged(
            path,
            f"{path}: it does not match its checksum: it was damaged or changed after it was written; "
            "take it from a copy or an earlier round",
        )
    return checkpoint
