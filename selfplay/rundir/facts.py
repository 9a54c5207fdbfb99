"""Which models a run has, and their fingerprints, read from the inference twins without torch."""

from __future__ import annotations

from selfplay.network.card import read_onnx_card
from selfplay.rundir.layout import RunLayout, inference_twin


class ModelsOnDisk:
    """Fingerprints of a run's rounds; each file is read once, since a round's model never changes."""

    def __init__(self, layout: RunLayout) -> None:
        self._layout = layout
        self._fingerprints: dict[int, str] = {}

    def fingerprint(self, round_number: int) -> str | None:
        """The fingerprint of a round's model, None where the round has no model (yet)."""
        if round_number not in self._fingerprints:
            model = self._layout.model(round_number)
            if not (model.exists() and inference_twin(model).exists()):
                return None
            self._fingerprints[round_number] = read_onnx_card(inference_twin(model)).fingerprint
        return self._fingerprints[round_number]
