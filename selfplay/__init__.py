"""AlphaZero-style self-play training for two-player board games. The parts, lowest first: see README.md."""

__version__ = "0.1.0"
