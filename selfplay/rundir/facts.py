"""Which models a run has, and their fingerprints, read from the inference twins without torch."""

from __future__ import annotations

from selfplay.errors import RunError
from selfplay.network.card import ModelCard, read_onnx_card
from selfplay.rundir.layout import RunLayout, inference_twin


class ModelsOnDisk:
    """Cards of a run's rounds; each file is read once, since a round's model never changes."""

    def __init__(self, layout: RunLayout) -> None:
        self._layout = layout
        self._cards: dict[int, ModelCard] = {}

    def fingerprint(self, round_number: int) -> str | None:
        """The fingerprint of a round's model, None where the round has no model (yet).

        Raises `ModelDamaged` where its file cannot be read, `RunError` where the next round's model was trained from
        another one: games that it played would be called foreign.
        """
        card = self._card(round_number)
        if card is None:
            return None
        if round_number == max(self._cards) or (child := self._card(round_number + 1)) is None:
            return card.fingerprint
        if child.parent != card.fingerprint:
            raise RunError(
                f"{self._layout.model(round_number)} is the model {card.fingerprint[:12]}, but round "
                f"{round_number + 1} was trained from {child.parent[:12]}: one of the two is not of this run. Put it "
                f"back from a copy, or move the models of round {round_number} and later away to train them again"
            )
        return card.fingerprint

    def forget(self, round_number: int) -> None:
        """The round's model was put aside."""
        self._cards.pop(round_number, None)

    def _card(self, round_number: int) -> ModelCard | None:
        if round_number not in self._cards:
            model = self._layout.model(round_number)
            if not (model.exists() and inference_twin(model).exists()):
                return None
            self._cards[round_number] = read_onnx_card(inference_twin(model))
        return self._cards[round_number]
