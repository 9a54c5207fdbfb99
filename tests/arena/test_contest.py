import msgspec
import pytest

from selfplay.arena.contest import Contest, Entrant, Measured, Pairing, Table
from selfplay.arena.match import count_results, play_match
from selfplay.arena.player import open_player
from selfplay.coordinator.tournament import play_contest
from selfplay.engines.inline import InlineEngine
from selfplay.engines.local import LocalEngine
from selfplay.errors import UsageError
from selfplay.network.checkpoint import save_checkpoint, untrained


def entrant(spec):
    return Entrant(name=spec, spec=spec)


def contest_of(*pairs, games=20, **more):
    pairings = tuple(Pairing(a=entrant(a), b=entrant(b)) for a, b in pairs)
    return Contest(**{"pairings": pairings, "games": games, "simulations": 0, "seed": 3, **more})


CONTEST = contest_of(("alphabeta:2", "random"), ("rollout:9", "alphabeta:3"), games=90)


def worked_through(table, contest, items):
    found = {}
    for some in table.work_through(contest, items):
        assert not found.keys() & some.keys(), "nothing comes twice"
        found.update(some)
    return found


def test_an_item_is_the_same_whatever_is_played_beside_it(tictactoe):
    whole = worked_through(Table(tictactoe), CONTEST, range(CONTEST.items))
    assert sorted(whole) == list(range(180))
    for items in (range(85, 95), range(3, 4), range(179, 180), range(180)):
        assert worked_through(Table(tictactoe), CONTEST, items) == {item: whole[item] for item in items}


def test_a_contest_scores_as_its_matches_do(tictactoe):
    results = worked_through(Table(tictactoe), CONTEST, range(CONTEST.items))
    for place, pairing in enumerate(CONTEST.pairings):
        players = [open_player(each.spec, tictactoe, simulations=None, seed=3) for each in (pairing.a, pairing.b)]
        alone = play_match(tictactoe, *players, games=90, seed=3)
        assert count_results(alone.a, alone.b, CONTEST.results_of(place, results)) == alone


def test_mistakes_are_items_too(tictactoe, small_settings, tmp_path):
    save_checkpoint(untrained(tictactoe.info, small_settings), tmp_path / "model.pt")
    judged = Entrant(name="round 1", spec=str(tmp_path / "model.onnx"))
    contest = contest_of(judged=judged, positions=40, simulations=200)
    assert contest.items == 2
    results = worked_through(Table(tictactoe), contest, range(2))
    assert [results[item].positions for item in range(2)] == ["random play", "near-perfect play"]
    assert all(found.count == 40 and found.low <= found.share <= found.high for found in results.values())
    few = worked_through(Table(tictactoe), msgspec.structs.replace(contest, simulations=1), [0])
    assert few[0].share > results[0].share, "an untrained network with one simulation plays anything"


def test_results_survive_being_sent():
    results = {0: 1, 5: Measured(positions="x", count=3, share=0.5, low=0.1, high=0.9)}
    sent = msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(list(results.items()))))
    assert dict(msgspec.convert(sent, list[tuple[int, int | Measured]])) == results


def last_of(contested):
    return list(contested)[-1]


def test_workers_share_a_contest_and_one_that_dies_is_replaced(tictactoe, tmp_path):
    expected = worked_through(Table(tictactoe), CONTEST, range(CONTEST.items))

    def log_of(name):
        return tmp_path / f"{name}.log"

    alone = play_contest(CONTEST, InlineEngine(), game="tictactoe", workers=1, log_of=log_of)
    assert last_of(alone) == expected
    engine = LocalEngine(tmp_path)
    contested = play_contest(CONTEST, engine, game="tictactoe", workers=2, log_of=log_of)
    next(contested)
    engine._children["referee_0"].process.kill()
    assert last_of(contested) == expected
    assert engine._children == {}


def test_players_that_cannot_be_opened_are_named(tictactoe):
    with pytest.raises(UsageError, match="neither a model file nor a baseline"):
        worked_through(Table(tictactoe), contest_of(("random", "nobody")), range(2))
