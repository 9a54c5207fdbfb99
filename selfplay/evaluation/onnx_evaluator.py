"""Networks judged by ONNX Runtime on one CPU thread: what workers use. Loads no torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from selfplay.errors import ModelDamaged, ModelError
from selfplay.evaluation.evaluator import NetworkEvaluator
from selfplay.files import read_file
from selfplay.games.game import GameInfo
from selfplay.network.card import MOST_BYTES, card_from_metadata, check_game

# Rows of one run. What a layer of a small network hands to the next then stays in a core's own cache: 4 blocks x 32
# channels on 6 x 7 is 6 % faster at 32 rows than at 64; 5 x 64 does not mind. Runs as short as this cost nothing more.
ROWS = 32


class OnnxEvaluator(NetworkEvaluator):
    """The network in `path`, on one thread.

    Raises `ModelError` where the file is missing, is no model of ours, or needs another game. A file from a stranger
    goes through `network.card.read_onnx_card` first, which looks at every node.
    """

    rows = ROWS

    def __init__(self, path: Path, info: GameInfo | None = None) -> None:
        content = read_file(path, what="inference model (.onnx)", error=ModelError, most_bytes=MOST_BYTES)
        self._session = _open_session(content, path)
        self.card = card_from_metadata(self._session.get_modelmeta().custom_metadata_map, path, content)
        if info is not None:
            check_game(self.card, info, path)
        self._try(path)

    def run(self, planes: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        logits, outcomes = self._session.run(["policy_logits", "outcome"], {"planes": planes})
        return logits, outcomes

    def _try(self, path: Path) -> None:
        """Kernels read the outputs without looking at their shapes: a first run shows them."""
        card = self.card
        try:
            logits, outcomes = self.run(np.zeros((2, card.planes, card.rows, card.columns), np.float32))
        except Exception as error:  # as in `_open_session`
            reason = str(error).splitlines()[0]
            raise ModelDamaged(path, f"{path}: ONNX Runtime cannot run it ({reason})") from error
        if logits.shape != (2, card.actions) or outcomes.shape != (2, 3) or logits.dtype != outcomes.dtype:
            raise ModelDamaged(
                path,
                f"{path}: two positions give logits {logits.shape} and outcomes {outcomes.shape}, expected "
                f"(2, {card.actions}) and (2, 3)",
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
        raise ModelDamaged(path, f"{path}: ONNX Runtime cannot read it ({str(error).splitlines()[0][:200]})") from error
