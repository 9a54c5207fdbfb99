"""The search method that settings ask for."""

from __future__ import annotations

import msgspec

from selfplay.errors import UsageError
from selfplay.games.game import GameInfo
from selfplay.search.gumbel import Gumbel
from selfplay.search.puct import Puct
from selfplay.search.search import SearchMethod
from selfplay.settings import SearchSettings


def self_play_method(settings: SearchSettings, info: GameInfo) -> SearchMethod:
    """The method with all its exploration. Raises `UsageError` where settings do not go together."""
    if settings.method == "gumbel" and settings.full_share < 1.0:
        raise UsageError(
            f"search.full_share = {settings.full_share} does not go with search.method = gumbel, whose plan needs all "
            "simulations: leave it at 1"
        )
    if settings.method == "gumbel" and settings.early_plies > 0:
        raise UsageError(
            f"search.early_plies = {settings.early_plies} does not go with search.method = gumbel, which plans every "
            "move alike: leave it at 0"
        )
    return Gumbel(settings, actions=info.num_actions) if settings.method == "gumbel" else Puct(settings)


def playing_method(settings: SearchSettings, info: GameInfo) -> SearchMethod:
    """The same method for matches and play: no noise, the best move."""
    calm = msgspec.structs.replace(settings, noise_fraction=0.0, temperature=0.0, late_temperature=0.0)
    return self_play_method(calm, info)
