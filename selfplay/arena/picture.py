"""A picture of how a model plays against perfect play: mistakes by simulations and by ply, and how its values are
calibrated."""

from __future__ import annotations

from pathlib import Path

from selfplay.arena.mistakes import Verdict
from selfplay.errors import UsageError

KINDS = (".svg", ".png")


def draw(verdicts: dict[str, Verdict], path: Path, *, title: str) -> None:
    """Write the picture; raises `UsageError` where matplotlib is not installed or the file is of another kind."""
    if path.suffix not in KINDS:
        raise UsageError(f"{path}: a picture ends in {' or '.join(KINDS)}")
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError("pictures need matplotlib: pip install 'selfplay[report]'") from None
    figure = Figure(figsize=(12.8, 3.6), layout="constrained")
    mistakes, by_ply, calibration = figure.subplots(1, 3)
    for name, verdict in verdicts.items():
        rows = [row for row in verdict.mistakes if row.stage == "all"]
        shares = [100 * row.share for row in rows]
        errors = [[100 * (row.share - row.low) for row in rows], [100 * (row.high - row.share) for row in rows]]
        places = range(len(rows))
        mistakes.errorbar(places, shares, yerr=errors, marker="o", capsize=2, label=name)
        mistakes.set_xticks(list(places), [str(row.simulations) for row in rows])
        plies = verdict.by_ply
        by_ply.plot([at.ply for at in plies], [100 * at.mistakes / at.positions for at in plies], marker=".")
        bins = verdict.calibration
        calibration.plot([each.value for each in bins], [each.outcome for each in bins], marker="o", label=name)
    mistakes.set(xlabel="simulations per move (0 = the bare policy)", ylabel="mistakes, % of positions")
    mistakes.set_ylim(bottom=0)
    mistakes.legend()
    most = max((row.simulations for verdict in verdicts.values() for row in verdict.mistakes), default=0)
    by_ply.set(xlabel=f"plies played ({most} simulations per move)", ylabel="mistakes, % of positions")
    by_ply.set_ylim(bottom=0)
    calibration.plot([-1, 1], [-1, 1], color="grey", linestyle=":")
    calibration.set(xlabel="value that the network sees", ylabel="true outcome, mean")
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    with rc_context({"svg.hashsalt": "selfplay", "svg.fonttype": "none"}):
        figure.savefig(path, dpi=200, metadata={"Date": None} if path.suffix == ".svg" else {"Software": None})
