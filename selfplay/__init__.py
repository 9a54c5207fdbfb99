"""AlphaZero-style self-play training for two-player board games. The parts, lowest first: see README.md.

For programs: `selfplay.load_agent("model.pt")` gives an agent that judges positions (`play/agent.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfplay.play.agent import Agent

__all__ = ["__version__", "load_agent"]
__version__ = "0.1.0"


def load_agent(model: Any, *, game: str | None = None) -> Agent:
    """The agent in a model file: see `selfplay.play.agent.load_agent`."""
    from selfplay.play import agent  # only who asks for an agent loads what it needs

    return agent.load_agent(model, game=game)
