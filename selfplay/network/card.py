"""What a model file says of itself, readable without torch from the inference twin's metadata.

Format `selfplay-onnx`, version 2: an ONNX file whose metadata hold `format`, `version`, the fields of `ModelCard`, and
as the very last entry `checksum`, the SHA-256 of all bytes before that entry. Version 1 had no checksum; it is still
read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from selfplay.errors import ModelDamaged, ModelError
from selfplay.files import read_file
from selfplay.games.game import GameInfo

ONNX_FORMAT = "selfplay-onnx"
ONNX_VERSION = 2
# An entry of ONNX's metadata_props as protobuf writes it, up to its value of 64 characters. What is written behind a
# message counts as part of it, so that the seal is an entry like the others to everybody else.
_SEAL = b"\x72\x4c\x0a\x08checksum\x12\x40"
_SEAL_SIZE = len(_SEAL) + 64


@dataclass(frozen=True)
class ModelCard:
    """Name, origin and needs of a model."""

    game: str
    spec: str  # how the game is loaded: a known name, or path/to/file.py:Class
    rules_hash: str
    encoding_hash: str
    round: int  # 0 = before any training
    fingerprint: str  # SHA-256 over the tensors; names the model
    parent: str  # fingerprint of the model it was trained from; empty for a fresh one
    simulations: int  # visits per move it was trained with
    planes: int
    rows: int
    columns: int
    actions: int
    blocks: int
    channels: int
    parameters: int

    def to_metadata(self) -> dict[str, str]:
        """The card as an ONNX file's metadata."""
        fields = {key: str(value) for key, value in asdict(self).items()}
        return {"format": ONNX_FORMAT, "version": str(ONNX_VERSION), **fields}


def sealed(content: bytes) -> bytes:
    """An ONNX file with its checksum: runtimes load one with a flipped bit without a word."""
    return content + _SEAL + hashlib.sha256(content).hexdigest().encode()


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
        fields = {
            field: int(metadata[field]) if kind == "int" else metadata[field]
            for field, kind in ModelCard.__annotations__.items()
        }
    except (KeyError, ValueError) as error:
        raise ModelError(f"{path}: incomplete metadata: {error}") from None
    return ModelCard(**fields)  # type: ignore[arg-type]  # the kinds are those of the annotations


def read_onnx_card(path: Path) -> ModelCard:
    """The card of an inference file."""
    import onnx

    content = read_file(path, what="inference model (.onnx)", error=ModelError)
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf raises types of its own, by implementation
        raise ModelDamaged(path, f"{path}: not an ONNX file: it was cut short or is something else") from error
    return card_from_metadata({entry.key: entry.value for entry in model.metadata_props}, path, content)


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
