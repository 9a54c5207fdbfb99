import numpy as np
import pytest
from toys import again_value, minimax

from selfplay.errors import GameError
from selfplay.games.compiled import hash_bytes
from selfplay.games.registry import load_rules
from selfplay.kernels import kernel


def test_rows_of_a_batch_do_not_touch_each_other(connect4):
    rng = np.random.default_rng(3)
    alone = [connect4.replay(rng.permutation(7).tolist()[:5]) for _ in range(20)]
    states = np.concatenate([states[-1:] for states, _ in alone])
    known = connect4.describe(states)
    for row, (_, single) in enumerate(alone):
        for batched, one in zip(known, single, strict=True):
            np.testing.assert_array_equal(batched[row], one[-1])


def test_keys_tell_positions_apart_and_equal_positions_alike(connect4):
    keys = connect4.replay([3, 2, 4, 1, 0])[1].keys
    assert len(np.unique(keys, axis=0)) == 6
    first, second = connect4.replay([0, 1, 2])[1].keys[-1], connect4.replay([2, 1, 0])[1].keys[-1]
    np.testing.assert_array_equal(first, second)
    assert (connect4.replay([0, 1])[1].keys[-1] != connect4.replay([1, 0])[1].keys[-1]).any()


def test_hash_lanes_have_no_collisions_on_near_inputs():
    raw = np.zeros((20_000, 50), np.uint8)
    for row in range(len(raw)):
        raw[row, :4] = np.frombuffer(np.uint32(row).tobytes(), np.uint8)
    keys = np.zeros((len(raw), 2), np.uint64)
    compiled = kernel(hash_bytes)
    for row in range(len(raw)):
        compiled(raw[row], keys[row])
    for lane in range(2):
        assert len(np.unique(keys[:, lane])) == len(raw)
        bits = (keys[:, lane, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
        assert np.abs(bits.mean(axis=0) - 0.5).max() < 0.02  # every bit is about even


def test_random_playouts_are_fair_and_repeatable(tictactoe):
    states = tictactoe.start(20_000)
    seeds = np.arange(20_000, dtype=np.uint64)
    values = tictactoe.playouts(states, seeds)
    # The first player of random tic-tac-toe wins 58.5 %, loses 28.8 %, draws 12.7 %; three standard errors is 1.9 %.
    assert values.mean() == pytest.approx(0.585 - 0.288, abs=0.019)
    assert (values == 0).mean() == pytest.approx(0.127, abs=0.0075)
    np.testing.assert_array_equal(values[7:9], tictactoe.playouts(states[7:9], seeds[7:9]))
    np.testing.assert_array_equal(states, tictactoe.start(20_000))


def test_playout_values_are_seen_by_the_player_to_move_also_when_moving_twice(again):
    # From 3 stones after "again", only taking two is legal: one stone is left, taking it wins for the opponent or
    # is its only move: the value is -1 for certain.
    states = again.replay([1, 1, 1, 0])[0][-1:]  # 9 - 6 - 1 = 2 left, player 1 moves again and takes both
    assert again.draw(states[0]) == "oo player 1 again"
    assert again.playouts(states, np.arange(1, dtype=np.uint64)) == [1.0]


def test_the_odd_game_has_the_values_worked_out_by_hand(again):
    for moves in ((), (0,), (1,), (1, 1), (0, 1), (1, 0)):
        state = again.replay(list(moves))[0][-1]
        assert minimax(again, moves) == again_value(int(state["left"]), int(state["again"]))


BROKEN = """
import numpy as np
from selfplay.games.game import Game, WIN

class Broken(Game):
    name, board_shape, num_actions, num_planes, max_plies = "broken", (1, 1), 1, 1, 1
    State = np.dtype([("to_move", np.int8)])
    def start(state): pass
    def legal(state, mask): mask[0] = True
    def play(state, action):
        return state.missing_field
    def encode(state, planes): pass
"""


def test_rules_that_do_not_compile_are_named_with_their_line(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text(BROKEN)
    with pytest.raises(GameError, match=r"the rules of .* fail: .*broken.py, line 11: .*missing_field"):
        load_rules(f"{path}:Broken")


def test_rules_that_only_numba_cannot_take_are_named_with_their_line(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text(BROKEN.replace("return state.missing_field", "return len({str(action): 1, 2: 3}) - 1"))
    with pytest.raises(GameError, match=r"do not compile: .*broken.py, line 10, in play: "):
        load_rules(f"{path}:Broken")


def test_two_games_of_equal_name_do_not_run_each_others_code(tmp_path):
    values = []
    for amount in (1, 0):
        path = tmp_path / f"{amount}" / "same.py"
        path.parent.mkdir()
        path.write_text(BROKEN.replace("return state.missing_field", f"return WIN - {1 - amount}"))
        rules = load_rules(f"{path}:Broken")
        values.append(int(rules.advance(rules.start(1), np.zeros(1, np.int32)).outcomes[0]))
    assert values == [1, 0]
