"""`selfplay report`: a run as a page, or as pictures."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report", context_settings={"show_default": True})
@click.argument("data", type=click.Path(path_type=Path, file_okay=False), default="data")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="The page.  [report.html]")
@click.option("--png", type=click.Path(path_type=Path, file_okay=False), help="A folder for the plots, for papers.")
@click.option("--tensorboard", type=click.Path(path_type=Path, file_okay=False), help="A folder for scalars.")
def command(data: Path, output: Path | None, png: Path | None, tensorboard: Path | None) -> None:
    """Write what the run in DATA did as one HTML file that needs nothing else, as plots in PNG, or for TensorBoard.

    \b
    Example:
      selfplay report data -o report.html
      selfplay report data --png figures
      selfplay report data --tensorboard runs/data
    """
    from selfplay.files import ensure_directory, write_atomically
    from selfplay.monitor.figures import as_bytes, draw
    from selfplay.monitor.report import page
    from selfplay.monitor.scalars import write_scalars
    from selfplay.monitor.snapshot import Reader

    snapshot = Reader(data).look()
    if png is not None:
        ensure_directory(png)
        for name, figure in draw(snapshot).items():
            write_atomically(png / f"{name}.png", as_bytes(figure, "png"))
            click.echo(png / f"{name}.png")
    if tensorboard is not None:
        click.echo(f"{tensorboard}: {write_scalars(snapshot, tensorboard)} scalars")
    if output is not None or (png is None and tensorboard is None):
        path = output or Path("report.html")
        write_atomically(path, page(snapshot).encode())
        click.echo(path)
