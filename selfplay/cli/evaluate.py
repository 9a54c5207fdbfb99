"""`selfplay evaluate`: a model against perfect play."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from selfplay.cli.options import MODEL_PATH, as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selfplay.arena.mistakes import Mistakes, Verdict
    from selfplay.arena.positions import PositionSet
    from selfplay.games.game import Rules


class Simulations(click.ParamType[tuple[int, ...]]):
    """Numbers of simulations per move."""

    name = "N,N,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        words = [word.strip() for word in str(value).split(",")]
        if not all(word.isdecimal() and int(word) <= 1_000_000 for word in words):
            self.fail(f"expected whole numbers up to 1,000,000 with commas between; found {value!r}", param, ctx)
        return tuple(int(word) for word in words)


@click.command("evaluate", context_settings={"show_default": True})
@click.argument("model", type=MODEL_PATH, default="model.pt")
@click.option(
    "--positions", "files", type=click.Path(path_type=Path, dir_okay=False), multiple=True,
    help="File with a position per line: moves, and its score if known. May be given again.",
)  # fmt: skip
@click.option("--oracle", is_flag=True, help="Positions drawn from random and from near-perfect play.")
@click.option("--count", type=click.IntRange(1, 100_000), default=500, help="Positions of each kind that are drawn.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of the draws.")
@click.option("--simulations", type=Simulations(), default="0,64", help="Per move; 0 = the policy alone.")
@click.option("--game", help="Where the game's file lies now, if it was moved: path/to/file.py:Class.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Picture to write: .svg or .png.")
@as_json
def command(
    model: Path,
    files: tuple[Path, ...],
    oracle: bool,
    count: int,
    seed: int,
    simulations: tuple[int, ...],
    game: str | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """How often MODEL throws a win or a draw away, measured against perfect play.

    Connect Four on its usual board is solved by bitbully (pip install 'selfplay[oracle]'); a game as small as
    tic-tac-toe is enumerated. Also: the error of the values, and whether a value of 0.5 wins as often as it says; in
    JSON and the plot, after how many plies the mistakes are made.

    \b
    Example:
      selfplay evaluate model.pt --oracle --simulations 0,64,600
      selfplay evaluate model.pt --positions Test_L2_R1 --positions Test_L2_R2 --plot mistakes.svg
    """
    import msgspec
    from rich.console import Console

    from selfplay.arena.mistakes import measure
    from selfplay.arena.picture import draw
    from selfplay.arena.player import open_model
    from selfplay.errors import UsageError
    from selfplay.games.registry import load_rules
    from selfplay.network.card import read_onnx_card
    from selfplay.rundir.layout import inference_twin

    if not files and not oracle:
        raise UsageError("against which positions? --oracle draws some, --positions FILE reads them")
    card = read_onnx_card(inference_twin(model))
    rules = load_rules(game or card.spec)
    player = open_model(model, rules, simulations=None)
    verdicts: dict[str, Verdict] = {}
    with Console(stderr=True).status("solving") as status:
        for positions in _sets(rules, files, oracle, count, seed, status.update):
            verdicts[positions.name] = measure(
                player, rules, positions, simulations=simulations, on_progress=status.update
            )
    if plot is not None:
        draw(verdicts, plot, title=player.name)
    if as_json:
        click.echo(msgspec.json.encode({name: _table(verdict) for name, verdict in verdicts.items()}).decode())
    else:
        _show(player.name, verdicts)


def _sets(
    rules: Rules, files: tuple[Path, ...], drawn: bool, count: int, seed: int, say: Callable[[str], None]
) -> Iterator[PositionSet]:
    from selfplay.arena.oracle import open_oracle
    from selfplay.arena.positions import KINDS, drawn_set, position_set

    perfect = open_oracle(rules)
    for path in files:
        yield position_set(path, rules, perfect, on_progress=lambda done, p=path: say(f"solving {p.name}: {done}"))  # type: ignore[misc]  # mypy has no type for a lambda's default
    for kind in KINDS if drawn else ():
        yield drawn_set(
            kind, rules, perfect, count=count, seed=seed,
            on_progress=lambda done, k=kind: say(f"positions of {k} play: {done}/{count}"),  # type: ignore[misc]  # as above
        )  # fmt: skip


def _table(verdict: Verdict) -> dict[str, list[dict[str, Any]]]:
    return {
        "mistakes": [row._asdict() for row in verdict.mistakes],
        "calibration": [each._asdict() for each in verdict.calibration],
        "by_ply": [at._asdict() for at in verdict.by_ply],
    }


def _show(name: str, verdicts: dict[str, Verdict]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, width=max(Console().width, 110))
    table = Table(title=f"{name} against perfect play", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    columns = ("set", "stage", "positions", "can err", "simulations", "mistakes", "95 %", "value error")
    for column in columns:
        table.add_column(column, justify="left" if column in ("set", "stage") else "right", no_wrap=True)
    for verdict in verdicts.values():
        for row in verdict.mistakes:
            table.add_row(*_cells(row))
    console.print(table)
    for title, verdict in verdicts.items():
        line = "  ".join(f"{each.value:+.1f}: {each.outcome:+.2f}" for each in verdict.calibration)
        console.print(f"\n{title}, value of the network: mean true outcome\n{line}")


def _cells(row: Mistakes) -> tuple[str, ...]:
    return (
        row.name,
        row.stage,
        f"{row.positions:,}",
        f"{row.can_err:.0%}",
        str(row.simulations),
        f"{row.share:.1%}",
        f"{row.low:.1%} to {row.high:.1%}",
        f"{row.value_error:.3f}",
    )
