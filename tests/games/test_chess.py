"""Our chess against python-chess on random games, and against published counts of its move tree."""

import functools

import chess
import numpy as np
import pytest

from selfplay.games.chess import state_from_fen
from selfplay.games.game import DRAW, ONGOING, WIN
from selfplay.games.registry import load_rules

POSITIONS = 10_000


@pytest.fixture(scope="module")
def rules():
    return load_rules("chess")


@functools.cache
def name_of(action):
    return load_rules("chess").action_name(action)


def legal_names(known, row):
    return {name_of(action) for action in np.flatnonzero(known.legal[row]).tolist()}


def expected_outcome(board):
    """Of the player who moved last."""
    if board.is_checkmate():
        return WIN
    over = board.is_stalemate() or board.is_insufficient_material() or board.halfmove_clock >= 100
    return DRAW if over or board.is_repetition(3) else ONGOING


def random_game(rng):
    """Moves in UCI, the legal moves before each, and the outcome after each, by python-chess."""
    board, moves, legal, outcomes = chess.Board(), [], [], []
    while not outcomes or outcomes[-1] == ONGOING:
        names = sorted(move.uci() for move in board.legal_moves)
        legal.append(set(names))
        moves.append(names[rng.integers(len(names))])
        board.push_uci(moves[-1])
        outcomes.append(expected_outcome(board))
    return moves, legal, outcomes


def test_random_games_agree_with_python_chess(rules):
    rng, positions, ends = np.random.default_rng(5), 0, set()
    while positions < POSITIONS:
        moves, legal, outcomes = random_game(rng)
        known = rules.replay([rules.find_action(move) for move in moves])[1]
        assert known.outcomes[1:].tolist() == outcomes, " ".join(moves)
        for ply, names in enumerate(legal):
            assert legal_names(known, ply) == names, " ".join(moves[:ply])
            assert known.to_move[ply] == ply % 2
        positions += len(moves)
        ends.add(outcomes[-1])
    assert ends == {WIN, DRAW}


# https://www.chessprogramming.org/Perft_Results
PERFT = [
    (chess.STARTING_FEN, [20, 400, 8902, 197281]),
    ("r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R w KQkq - 0 1", [48, 2039, 97862]),
    ("8/2p5/3p4/KP5r/1R3p1k/8/4P1P1/8 w - - 0 1", [14, 191, 2812, 43238]),
    ("r3k2r/Pppp1ppp/1b3nbN/nP6/BBP1P3/q4N2/Pp1P2PP/R2Q1RK1 w kq - 0 1", [6, 264, 9467]),
    ("rnbq1k1r/pp1Pbppp/2p5/8/2B5/8/PPP1NnPP/RNBQK2R w KQ - 1 8", [44, 1486, 62379]),
]


def perft(rules, states, depth):
    """How many ways there are to make so many plies."""
    known = rules.describe(states.copy())
    for _ in range(depth - 1):
        rows, actions = known.legal.nonzero()
        states = states[rows]
        known = rules.advance(states, actions.astype(np.int32))
        ongoing = known.outcomes == ONGOING
        states, known = states[ongoing], type(known)(*(field[ongoing] for field in known))
    return int(known.legal.sum())


@pytest.mark.parametrize(("fen", "counts"), PERFT, ids=["start", "kiwipete", "endgame", "promotions", "castling"])
def test_the_move_tree_has_its_published_size(rules, fen, counts):
    state = state_from_fen(fen)
    assert [perft(rules, state, depth) for depth in range(1, len(counts) + 1)] == counts


@pytest.mark.parametrize(
    ("moves", "outcome"),
    [
        ("f2f3 e7e5 g2g4 d8h4", WIN),
        ("e2e4 e7e5 d1h5 b8c6 f1c4 g8f6 h5f7", WIN),
        ("g1f3 g8f6 f3g1 f6g8 g1f3 g8f6 f3g1 f6g8", DRAW),  # the start for the third time
        ("g1f3 g8f6 f3g1 f6g8 g1f3 g8f6 f3g1", ONGOING),
        # Sam Loyd's shortest stalemate
        ("e2e3 a7a5 d1h5 a8a6 h5a5 h7h5 h2h4 a6h6 a5c7 f7f6 c7d7 e8f7 d7b7 d8d3 b7b8 d3h7 b8c8 f7g6 c8e6", DRAW),
    ],
)
def test_how_games_end(rules, moves, outcome):
    assert rules.replay([rules.find_action(move) for move in moves.split()])[1].outcomes[-1] == outcome


def test_a_draw_by_bare_kings(rules):
    states = state_from_fen("8/8/8/4k3/8/3nK3/8/8 w - - 0 1")
    assert rules.advance(states, np.array([rules.find_action("e3d3")], np.int32)).outcomes[0] == DRAW


def test_a_pawn_is_taken_in_passing_only_at_once(rules):
    moves = "e2e4 a7a6 e4e5 d7d5".split()
    states, known = rules.replay([rules.find_action(move) for move in moves])
    assert "e5d6" in legal_names(known, -1)
    assert rules.encode(states)[-1][16].sum() == 1
    known = rules.replay([rules.find_action(move) for move in [*moves, "h2h3", "h7h6"]])[1]
    assert "e5d6" not in legal_names(known, -1)
