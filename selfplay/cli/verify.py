"""`selfplay verify`: is a run what it says it is?"""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from selfplay.cli.options import as_json


@click.command("verify", context_settings={"show_default": True})
@click.argument("data", type=click.Path(path_type=Path), default="data")
@click.option("--replay", type=click.FloatRange(0, 1), default=0.0, metavar="SHARE", help="Play so many games again.")
@click.option("--seed", type=click.IntRange(min=0), help="Which games are replayed.  [default: others each time]")
@as_json
def command(data: Path, replay: float, seed: int | None, as_json: bool) -> None:
    """Check every file of the run in DATA: formats, checksums, the chain of models, whether each game is there.

    With --replay, that share of the games is played again from their seeds with the stored models, and compared move
    by move and count by count. That needs the kind of processor and the versions that the run was made with. Nothing
    is written. Exit code 1 where something is wrong.

    \b
    Example:
      selfplay verify data --replay 0.05
    """
    import secrets

    from rich.console import Console

    from selfplay.coordinator.verify import Report, verify
    from selfplay.rundir.layout import RunLayout

    seed = secrets.randbits(32) if seed is None else seed
    report = Report()
    with Console(stderr=True).status("verifying") as status:
        for found in verify(RunLayout(data), replay=replay, seed=seed):
            if isinstance(found, Report):
                report = found
            else:
                status.update(found)
    if as_json:
        click.echo(msgspec.json.encode({**msgspec.to_builtins(report), "seed": seed}).decode())
    else:
        for problem in report.problems:
            click.echo(problem)
        click.echo(
            f"{data}: {report.rounds} models, {report.games} games and {report.copied} copies in {report.files} "
            f"files, {report.replayed} replayed (seed {seed}), {report.quarantined} files in quarantine: "
            + (f"{len(report.problems)} problems" if report.problems else "all is as it should be")
        )
    if report.problems:
        raise SystemExit(1)
