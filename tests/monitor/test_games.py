"""Recorded games, looked at one by one."""

import msgspec
import pytest

from selfplay.config import to_toml
from selfplay.errors import BatchError
from selfplay.monitor.games import GameShelf
from selfplay.rundir.layout import RunLayout
from selfplay.samples.batch_file import BatchHeader, GameRecord, encode_batch
from selfplay.samples.writer import batch_name
from selfplay.settings import GameSettings, Settings

# Three in the upper row. By the agent's own eyes the third and the fourth move are blunders.
MOVES = [0, 4, 1, 3, 2]
VALUES = [0.1, 0.0, 0.2, 0.8, 0.95]  # by the player to move
RECORD = GameRecord(
    number=10, seed=1, outcome=1, moves=MOVES, policies=[[0, 3, 4, 1], [4, 4], [1, 1, 2, 3], [3, 4], [2, 1]],
    values=VALUES, simulations=[4, 4, 4, 4, 1],
)  # fmt: skip


@pytest.fixture
def shelf(tmp_path, tictactoe):
    layout = RunLayout(tmp_path)
    layout.settings.write_text(to_toml(Settings(game=GameSettings(name="tictactoe")), heading="test"))
    for worker, round_number, first, rules in ((0, 1, 0, "r" * 64), (1, 2, 10, tictactoe.info.rules_hash)):
        folder = layout.worker(worker)
        folder.mkdir()
        header = BatchHeader(game="tictactoe", rules=rules, model="f" * 64, round=round_number, search={})
        content = encode_batch(header, [RECORD])
        (folder / batch_name(round_number, first)).write_bytes(content)
        (folder / f"{batch_name(round_number, first)}.tmp").write_bytes(b"half")
    return GameShelf(tmp_path)


def test_what_there_is(shelf):
    opened = shelf.open()
    assert opened.rounds == (1, 2)
    assert (opened.files, opened.first) == ((10,), 10)
    assert [game.number for game in opened.games] == [10]
    assert (opened.game.round, opened.game.number) == (2, 10), "the newest round, its first game"


def test_a_game_that_was_finished_out_of_turn_is_found(shelf, tmp_path, tictactoe):
    """A stopped worker writes what is finished: games 20 and 23 stand in one file, 21 and 22 in a later one."""
    header = BatchHeader(game="tictactoe", rules=tictactoe.info.rules_hash, model="f" * 64, round=3, search={})
    for first, numbers in ((20, (20, 23)), (21, (21, 22))):
        records = [msgspec.structs.replace(RECORD, number=number) for number in numbers]
        (tmp_path / "worker_0" / batch_name(3, first)).write_bytes(encode_batch(header, records))
    assert [shelf.open(3, number).first for number in (20, 21, 22, 23)] == [20, 21, 21, 20]


def test_a_game_ply_by_ply(shelf):
    game = shelf.open(2, 10).game
    assert (game.round, game.number, game.outcome, game.worker) == (2, 10, 1, "worker_1")
    assert [ply.move for ply in game.plies] == ["1", "5", "2", "4", "3", ""]
    assert [ply.to_move for ply in game.plies] == [0, 1, 0, 1, 0, 1]
    assert [ply.value for ply in game.plies] == pytest.approx([0.1, 0.0, 0.2, -0.8, 0.95, 1.0]), "for the first player"
    assert game.plies[0].visits == {0: 0.75, 4: 0.25}
    assert game.plies[0].heat == {(0, 0): 0.75, (1, 1): 0.25}
    assert game.plies[5].board.rows == ("XXX", "OO.", "...")
    assert game.plies[5].visits == game.plies[5].heat == {}


def test_blunders_are_moves_that_throw_away_half_a_point_or_more(shelf):
    game = shelf.open(2, 10).game
    assert [ply.loss for ply in game.plies] == pytest.approx([0.1, 0.2, 1.0, 1.75, 0.0, 0.0])
    assert game.blunders == [2, 3], "the first player's third move, and the second's answer to it"


@pytest.mark.parametrize(
    ("round_number", "number", "message"),
    [
        (2, 11, "has no game 11; its last file begins with game 10"),
        (3, 0, "there are rounds 1 to 2"),
        (1, 10, "played by other rules"),
        (2, 9, "has no game 9"),
    ],
)
def test_games_that_cannot_be_shown_say_why(shelf, round_number, number, message):
    with pytest.raises(BatchError, match=message):
        shelf.open(round_number, number)
