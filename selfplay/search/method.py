"""The search method that settings ask for."""

from __future__ import annotations

import msgspec

from selfplay.games.game import GameInfo
from selfplay.search.gumbel import Gumbel
from selfplay.search.puct import Puct
from selfplay.search.search import SearchMethod
from selfplay.settings import SearchSettings


def self_play_method(settings: SearchSettings, info: GameInfo) -> SearchMethod:
    """The method with all its exploration."""
    return Gumbel(settings, actions=info.num_actions) if settings.method == "gumbel" else Puct(settings)


def playing_method(settings: SearchSettings, info: GameInfo) -> SearchMethod:
    """The same method for matches and play: no noise, the best move."""
    calm = msgspec.structs.replace(settings, noise_fraction=0.0, temperature=0.0, late_temperature=0.0)
    return self_play_method(calm, info)
