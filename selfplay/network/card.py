"""What a model file says of itself, readable without torch from the inference twin's metadata.

Format `selfplay-onnx`, version 2: an ONNX file whose metadata hold `format`, `version`, the fields of `ModelCard`, and
as the very last entry `checksum`, the SHA-256 of all bytes before that entry. Version 1 had no checksum; it is still
read.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from selfplay.errors import ModelDamaged, ModelError
from selfplay.files import read_file
from selfplay.games.game import GameInfo

ONNX_FORMAT = "selfplay-onnx"
ONNX_VERSION = 2
MOST_BYTES = (2 << 30) - 1  # of an inference file, as of every protobuf
Text = Annotated[str, Meta(max_length=4096)]
Hash = Annotated[str, Meta(pattern="^[0-9a-f]{0,64}$")]
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Size = Annotated[int, Meta(ge=1, le=1_000_000)]
# An entry of ONNX's metadata_props as protobuf writes it, up to its value of 64 characters. What is written behind a
# message counts as part of it, so that the seal is an entry like the others to everybody else.
_SEAL = b"\x72\x4c\x0a\x08checksum\x12\x40"
_SEAL_SIZE = len(_SEAL) + 64


@dataclass(frozen=True)
class ModelCard:
    """Name, origin and needs of a model."""

    game: Text
    spec: Text  # how the game is loaded: a known name, or path/to/file.py:Class
    rules_hash: Hash
    encoding_hash: Hash
    round: Count  # 0 = before any training
    fingerprint: Hash  # SHA-256 over the tensors; names the model
    parent: Hash  # fingerprint of the model it was trained from; empty for a fresh one
    simulations: Size  # visits per move it was trained with
    planes: Size
    rows: Size
    columns: Size
    actions: Size
    blocks: Size
    channels: Size
    parameters: Count
    precision: Text = "float32"  # of the inference twin: float32, or int8
    block: Text = "basic"  # kind of the residual blocks

    @property
    def network(self) -> str:
        """The network's size as people say it: 5x64, or 6x64 bottleneck."""
        return f"{self.blocks}x{self.channels}" + (f" {self.block}" if self.block != "basic" else "")

    def to_metadata(self) -> dict[str, str]:
        """The card as an ONNX file's metadata."""
        fields = {key: str(value) for key, value in asdict(self).items()}
        return {"format": ONNX_FORMAT, "version": str(ONNX_VERSION), **fields}

    @classmethod
    def from_table(cls, table: Mapping[str, Any], *, strict: bool = True) -> ModelCard:
        """A card whose every field was looked at; texts stand for numbers where not `strict`.

        Raises `msgspec.ValidationError`, which is a ValueError.
        """
        return msgspec.convert(dict(table), cls, strict=strict)


def sealed(content: bytes) -> bytes:
    """An ONNX file with its checksum: runtimes load one with a flipped bit without a word."""
    return content + _SEAL + hashlib.sha256(content).hexdigest().encode()


def check_checkpoint_bytes(content: bytes, path: Path) -> None:
    """Refuse a checkpoint that was cut short or changed, without torch: it is an archive whose parts have checksums.

    Raises `ModelDamaged`.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
        raise ModelDamaged(path, f"{path}: not a whole selfplay model ({len(content):,} bytes): {error}") from error
    if damaged is not None:
        raise ModelDamaged(path, f"{path}: its part {damaged} does not match its checksum: it was changed")


def card_from_metadata(metadata: Mapping[str, str], path: Path, content: bytes) -> ModelCard:
    """The card in an ONNX file's metadata; raises `ModelError` where the file is not one of ours, or not whole."""
    if metadata.get("format") != ONNX_FORMAT:
        raise ModelError(f"{path}: an ONNX file, but not one that selfplay wrote; expected format {ONNX_FORMAT!r}")
    if metadata.get("version") not in ("1", str(ONNX_VERSION)):
        raise ModelError(
            f"{path}: format version {metadata.get('version')}, this program reads 1 to {ONNX_VERSION}; update selfplay"
        )
    if (metadata["version"] != "1" or "checksum" in metadata) and content != sealed(content[:-_SEAL_SIZE]):
        raise ModelDamaged(
            path,
            f"{path}: it does not match its checksum: it was damaged or changed after it was written; "
            "take it from a copy, or an earlier round with its .pt",
        )
    try:
        return ModelCard.from_table(metadata, strict=False)
    except ValueError as error:
        raise ModelError(f"{path}: metadata that are no model's: {error}") from None


def read_onnx_card(path: Path) -> ModelCard:
    """The card of an inference file, and every node of it looked at: it may come from a stranger.

    Raises `ModelError` where it is not one of ours, `ModelDamaged` where it was changed or holds what no model of ours
    does.
    """
    import onnx

    from selfplay.network.onnx_check import check_graph

    content = read_file(path, what="inference model (.onnx)", error=ModelError, most_bytes=MOST_BYTES)
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf raises types of its own, by implementation
        raise ModelDamaged(path, f"{path}: not an ONNX file: it was cut short or is something else") from error
    card = card_from_metadata({entry.key: entry.value for entry in model.metadata_props}, path, content)
    check_graph(model, card, path)
    return card


def check_game(card: ModelCard, info: GameInfo, path: Path) -> None:
    """Refuse a model of another game, of other rules, or with other input planes."""
    if card.game != info.name:
        raise ModelError(f"{path} is a model of {card.game}, but the game is {info.name}; use another model path")
    if card.rules_hash != info.rules_hash or card.encoding_hash != info.encoding_hash:
        what = "rules" if card.rules_hash != info.rules_hash else "input planes"
        raise ModelError(
            f"{path} was trained with other {what} of {info.name} than those loaded now; "
            "restore them, or start a new model at another path"
        )
