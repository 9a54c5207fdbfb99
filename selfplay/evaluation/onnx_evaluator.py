"""Networks judged by ONNX Runtime on one CPU thread: what workers use. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from selfplay.errors import ModelError
from selfplay.evaluation.evaluator import Evaluation, Positions, masked_softmax
from selfplay.files import read_file
from selfplay.games.game import GameInfo

FORMAT = "selfplay-onnx"
VERSION = 1


@dataclass(frozen=True)
class ModelCard:
    """What an inference file says of itself."""

    game: str
    spec: str  # how the game was loaded when the model was made
    rules_hash: str
    encoding_hash: str
    round: int
    fingerprint: str
    parent: str
    simulations: int  # the search setting the model was trained with
    blocks: int
    channels: int


class OnnxEvaluator:
    """The network in `path`, on one thread.

    Raises `ModelError` where the file is missing, is no model of ours, or needs another game.
    """

    def __init__(self, path: Path, info: GameInfo | None = None) -> None:
        content = read_file(path, what="inference model (.onnx)", error=ModelError)
        self._session = _open_session(content, path)
        self.card = _read_card(self._session.get_modelmeta().custom_metadata_map, path)
        if info is not None:
            check_game(self.card, info, path)

    def evaluate(self, positions: Positions) -> Evaluation:
        planes = positions.rules.encode(positions.states)
        logits, outcomes = self._session.run(["policy_logits", "outcome"], {"planes": planes})
        return Evaluation(masked_softmax(logits, positions.legal), outcomes[:, 0] - outcomes[:, 2])


def read_card(path: Path) -> ModelCard:
    """What the inference file at `path` says of itself."""
    return OnnxEvaluator(path).card


def check_game(card: ModelCard, info: GameInfo, path: Path) -> None:
    """Refuse a model of another game, of other rules, or of another encoding."""
    if card.game != info.name:
        raise ModelError(f"{path} is a model of {card.game}, but the game is {info.name}; use another model path")
    if card.rules_hash != info.rules_hash or card.encoding_hash != info.encoding_hash:
        what = "rules" if card.rules_hash != info.rules_hash else "input planes"
        raise ModelError(
            f"{path} was trained with other {what} of {info.name} than those loaded now "
            f"({card.rules_hash}/{card.encoding_hash}, now {info.rules_hash}/{info.encoding_hash}); "
            "restore them or start a new model"
        )


def _open_session(content: bytes, path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # One thread per worker: many processes fill the cores, and the bits of a row stay the same in every batch.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises a dozen unrelated types for one thing: not a usable model
        raise ModelError(f"{path}: ONNX Runtime cannot read it ({str(error).splitlines()[0][:200]})") from error


def _read_card(metadata: dict[str, str], path: Path) -> ModelCard:
    if metadata.get("format") != FORMAT:
        raise ModelError(f"{path}: an ONNX file, but not one that selfplay wrote (no format {FORMAT!r})")
    if metadata.get("version") != str(VERSION):
        raise ModelError(
            f"{path}: format version {metadata.get('version')}, this program reads {VERSION}; update selfplay"
        )
    try:
        return ModelCard(
            **{
                field: (int if kind == "int" else str)(metadata[field])
                for field, kind in ModelCard.__annotations__.items()
            }
        )
    except (KeyError, ValueError) as error:
        raise ModelError(f"{path}: incomplete metadata ({error})") from None
