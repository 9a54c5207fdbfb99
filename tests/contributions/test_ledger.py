from selfplay.contributions.ledger import Ledger


def ledger(*ids):
    found = Ledger(patience_seconds=10.0)
    for place, id in enumerate(ids):
        found.join(id, id.upper(), number=place, now=0.0)
    return found


def test_games_are_given_from_the_back_half_of_a_share_at_a_time():
    games = ledger("a", "b")
    missing = list(range(100))
    assert games.lease("a", 1, missing, wish=64, now=0.0) == range(50, 100)
    assert games.lease("b", 1, missing, wish=64, now=0.0) == range(37, 50)
    assert games.lease("a", 1, missing, wish=5, now=0.0) == range(32, 37)


def test_a_gap_ends_a_run_of_games():
    assert ledger("a").lease("a", 1, [0, 1, 2, 7, 8], wish=64, now=0.0) == range(7, 9)


def test_games_of_the_silent_are_free_again():
    games = ledger("a", "b")
    assert games.lease("a", 1, [0, 1, 2], wish=64, now=0.0) == range(3)
    games.hear("b", 11.0)
    assert [each.id for each in games.forget_silent(11.0)] == ["a"]
    assert games.forget_silent(11.0) == []
    assert games.lease("b", 1, [0, 1, 2], wish=64, now=11.0) == range(3)
    assert not games.has_leased("a", 1, {0})


def test_the_late_are_helped_once_and_never_by_themselves():
    games = ledger("a", "b", "c")
    games.lease("a", 1, [0, 1, 2], wish=64, now=0.0)
    assert games.lease("a", 1, [0, 1, 2], wish=64, now=5.0) is None
    games.settle("a", {0})
    assert games.lease("b", 1, [1, 2], wish=64, now=5.0) == range(1, 3)
    assert games.lease("c", 1, [1, 2], wish=64, now=5.0) is None


def test_only_what_was_given_is_taken_and_an_old_round_is_forgotten():
    games = ledger("a")
    games.lease("a", 1, [4, 5], wish=64, now=0.0)
    assert games.has_leased("a", 1, {4, 5})
    assert not games.has_leased("a", 1, {3, 4})
    assert not games.has_leased("a", 2, {4})
    games.lease("a", 2, [0], wish=64, now=0.0)
    assert not games.has_leased("a", 1, {4})
    assert games.has_leased("a", 2, {0})
