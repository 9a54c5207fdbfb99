import numpy as np
import pytest

from selfplay.arena.match import MatchResult, play_match
from selfplay.arena.player import RandomPlayer, SearchPlayer, card_of, open_player
from selfplay.errors import ModelError, UsageError
from selfplay.evaluation.uniform import UniformEvaluator
from selfplay.games.game import ONGOING
from selfplay.network.checkpoint import save_checkpoint, untrained


class FirstPlayer:
    """Plays the first legal action, and notes what it was asked."""

    def __init__(self, name, rules):
        self.name, self.rules, self.seats, self.openings = name, rules, [], []

    def choose(self, states, rngs):
        known = self.rules.describe(states.copy())
        assert (known.outcomes == ONGOING).all()
        self.seats += known.to_move.tolist()
        return [int(np.flatnonzero(mask)[0]) for mask in known.legal]


def test_colours_are_balanced_and_openings_paired(connect4):
    a, b = FirstPlayer("a", connect4), FirstPlayer("b", connect4)
    result = play_match(connect4, a, b, games=40, seed=1)
    assert result.games == 40
    assert result.score == 0.5, "equal players on paired openings score exactly a half"
    assert sorted(a.seats) == sorted(b.seats)


@pytest.mark.parametrize("game", ["connect4", "again"])
def test_results_are_counted_for_the_player_who_won(request, game):
    """Search against random: also where players move twice running, the score goes to the right one."""
    rules = request.getfixturevalue(game)
    strong = SearchPlayer("strong", rules, UniformEvaluator(), simulations=200)
    result = play_match(rules, strong, RandomPlayer(rules), games=200, seed=0)
    assert result.score > 0.6  # the start of "again" is lost: against chance, perfect play wins two thirds
    mirrored = play_match(rules, RandomPlayer(rules), strong, games=200, seed=0)
    assert mirrored.score < 0.4


def test_a_match_is_a_function_of_its_seed(tictactoe):
    def play(seed):
        player = SearchPlayer("s", tictactoe, UniformEvaluator(), simulations=5)
        return play_match(tictactoe, player, RandomPlayer(tictactoe), games=100, seed=seed)

    assert play(1) == play(1)
    assert play(1) != play(3)


def test_there_is_no_noise_in_matches(connect4):
    player = SearchPlayer("s", connect4, UniformEvaluator(), simulations=30)
    states = connect4.start(3)
    first, second = (player.think(states)[1] for _ in range(2))
    for a, b in zip([*first, *first], [*second, *second[::-1]], strict=True):
        np.testing.assert_array_equal(a.visits, b.visits)


@pytest.mark.parametrize(
    ("wins", "draws", "losses", "score", "low", "high"),
    [
        (100, 0, 0, 1.0, 0.963, 1.0),
        (0, 0, 10, 0.0, 0.0, 0.278),
        (50, 0, 50, 0.5, 0.404, 0.596),
        (40, 20, 40, 0.5, 0.404, 0.596),
    ],
)
def test_scores_come_with_their_wilson_interval(wins, draws, losses, score, low, high):
    result = MatchResult("a", "b", wins, draws, losses)
    assert result.score == score
    assert result.interval == pytest.approx((low, high), abs=5e-4)
    assert "95 % interval" in str(result)


@pytest.mark.parametrize("games", [0, -2, 3])
def test_odd_and_impossible_numbers_of_games_are_refused(connect4, games):
    with pytest.raises(UsageError, match="even number of games"):
        play_match(connect4, RandomPlayer(connect4), RandomPlayer(connect4), games=games, seed=0)


def test_players_are_opened_by_name(connect4, tictactoe, small_settings, tmp_path):
    assert open_player("random", connect4, simulations=None).name == "random"
    assert open_player("rollout:20", connect4, simulations=None).simulations == 20
    save_checkpoint(untrained(tictactoe.info, small_settings), tmp_path / "model.pt")
    player = open_player(str(tmp_path / "model.pt"), tictactoe, simulations=None)
    assert player.simulations == small_settings.search.simulations
    assert open_player(str(tmp_path / "model.onnx"), tictactoe, simulations=3).simulations == 3
    assert card_of(str(tmp_path / "model.pt")).game == "tictactoe"
    assert card_of("rollout:5") is None
    with pytest.raises(ModelError, match="model of tictactoe"):
        open_player(str(tmp_path / "model.pt"), connect4, simulations=None)


@pytest.mark.parametrize(
    ("spec", "message"),
    [("rollout", "rollout:N"), ("rollout:0", "rollout:N"), ("randon", 'did you mean "random"')],
)
def test_unknown_players_are_named(connect4, spec, message):
    with pytest.raises(UsageError, match=message):
        open_player(spec, connect4, simulations=None)
