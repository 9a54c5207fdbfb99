"""`selfplay show`: games of a batch file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from selfplay.cli.options import as_json

if TYPE_CHECKING:
    from selfplay.samples.batch_file import Batch, GameRecord


@click.command("show")
@click.argument("batch", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--game", "number", type=click.IntRange(min=0), help="Number of the game; without it, the list.")
@click.option("--rules", "spec", help="path/to/file.py:Class, where the game is your own.")
@click.option("--format", "form", type=click.Choice(["moves", "sgf", "pgn"]), help="Write them as records instead.")
@as_json
def command(batch: Path, number: int | None, spec: str | None, form: str | None, as_json: bool) -> None:
    """List the games of BATCH, or show one of them move by move: position, what the search thought, the move.

    With --format all games, or the one, are written as records: lists of moves, SGF (Go, Gomoku) or PGN (chess).

    \b
    Example:
      selfplay show data/worker_0/batch_r0001_g000000.json --game 3
      selfplay show data/worker_0/batch_r0001_g000000.json --format pgn > games.pgn
    """
    import msgspec

    from selfplay.errors import BatchError
    from selfplay.samples.batch_file import read_batch

    content = read_batch(batch)
    games = {game.number: game for game in content.games}
    if number is not None and number not in games:
        raise BatchError(f"{batch} holds games {min(games)} to {max(games)}, not {number}")
    if as_json:
        click.echo(msgspec.json.encode(content if number is None else games[number]).decode())
    elif form is not None:
        _write(content, [games[number]] if number is not None else content.games, spec or content.game, form)
    elif number is None:
        _list(content)
    else:
        _show(content, games[number], spec or content.game)


def _list(batch: Batch) -> None:
    from selfplay.samples.batch_file import RESULTS

    click.echo(f"{batch.game}, round {batch.round}, played by model {batch.model[:12]}")
    for game in batch.games:
        click.echo(f"game {game.number}: {len(game.moves)} plies, {RESULTS[game.outcome]}")


def _write(batch: Batch, games: list[GameRecord], spec: str, form: str) -> None:
    """The games as records."""
    from selfplay.games.records import Played, write_record
    from selfplay.games.registry import load_rules

    rules = load_rules(spec)
    players = (f"selfplay {batch.model[:12]}",) * 2
    for game in games:
        event = f"self-play, round {batch.round}, game {game.number}"
        click.echo(write_record(rules, Played(game.moves, game.outcome, players, event), form), nl=False)


def _show(batch: Batch, game: GameRecord, spec: str) -> None:
    """Replays the game with the rules that are loaded now."""
    from selfplay.games.registry import load_rules
    from selfplay.samples.batch_file import RESULTS, check_game_record

    rules = load_rules(spec)
    states, known = check_game_record(game, rules, has_short_searches=True)
    for ply, move in enumerate(game.moves):
        pairs = list(zip(game.policies[ply][::2], game.policies[ply][1::2], strict=True))
        total = sum(weight for _, weight in pairs)
        best = sorted(pairs, key=lambda pair: -pair[1])[:5]
        shares = ", ".join(f"{rules.action_name(action)} {weight / total:.0%}" for action, weight in best)
        found = f"value {game.values[ply]:+.2f}, " + (f"visits {shares}" if total else "a quick search")
        found = "a random opening" if ply < game.opening else found
        click.echo(f"\n{rules.draw(states[ply])}")
        click.echo(f"ply {ply + 1}, player {known.to_move[ply] + 1}: {found}; plays {rules.action_name(move)}")
    final = rules.replay(game.moves)[0][-1]
    click.echo(f"\n{rules.draw(final)}\n{RESULTS[game.outcome]}")
