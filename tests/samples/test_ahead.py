import threading

import pytest

from selfplay.samples.ahead import ahead


def test_all_items_come_in_order():
    assert list(ahead(iter(range(1, 8)))) == list(range(1, 8))
    assert list(ahead(iter(()))) == []


def test_the_next_item_is_made_while_one_is_used():
    made, second = [], threading.Event()

    def items():
        for number in (1, 2, 3):
            made.append(number)
            if number == 2:
                second.set()
            yield number

    given = ahead(items())
    assert next(given) == 1
    assert second.wait(10), "nobody asked for it, and yet it is there"
    assert list(given) == [2, 3]


def test_what_goes_wrong_comes_where_the_item_would_have():
    def items():
        yield 1
        raise ValueError("broken")

    given = ahead(items())
    assert next(given) == 1
    with pytest.raises(ValueError, match="broken"):
        next(given)


def test_leaving_early_ends_the_thread():
    before = threading.active_count()
    given = ahead(iter(range(1, 100)))
    assert next(given) == 1
    given.close()
    assert threading.active_count() == before
