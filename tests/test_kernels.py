import subprocess
import sys
import textwrap

import numpy as np
import pytest

from selfplay.errors import GameError
from selfplay.kernels import kernel, source_of

FACTOR = 3


def double(x):
    """Doubles."""
    return 2 * x  # a plain helper, compiled along


def make(helper, offset):
    def combined(x):
        return helper(x) * FACTOR + offset

    return kernel(combined)


def test_a_kernel_calls_plain_helpers_and_closed_over_values():
    assert make(double, 1)(5) == 31


def test_identity_depends_on_helpers_and_constants(monkeypatch):
    def triple(x):
        return 3 * x

    first = make(double, 1).identity
    assert make(double, 1).identity == first
    assert make(triple, 1).identity != first
    assert make(double, 2).identity != first
    monkeypatch.setitem(make.__globals__, "FACTOR", 4)
    assert make(double, 1).identity != first


def test_identity_depends_on_tables():
    def with_table(table):
        def look_up(i):
            return table[i]

        return kernel(look_up)

    assert with_table(np.array([1, 2])).identity != with_table(np.array([1, 3])).identity


def test_comments_and_docstrings_do_not_count():
    def plain(x):
        return x + 1

    def noted(x):
        """Adds one."""
        # like this
        return x + 1

    assert source_of(plain).replace("plain", "f") == source_of(noted).replace("noted", "f")


def test_functions_without_source_are_refused():
    namespace = {}
    exec("def hidden(x):\n    return x", namespace)
    with pytest.raises(GameError, match="source of hidden cannot be read"):
        _ = kernel(namespace["hidden"]).identity


RULE = """
from selfplay.kernels import kernel

def helper(x):
    return x + {amount}

def rule(x):
    return helper(x)

def closing_over(f):
    def run(x):
        return f(x)
    return kernel(run)

run = closing_over(rule)
print(run(1), run.compiled.stats.cache_misses.__len__())
"""


def run_rule(path, amount):
    path.write_text(textwrap.dedent(RULE.format(amount=amount)))
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=True)
    result, misses = done.stdout.split()
    return int(result), int(misses)


def test_the_disk_cache_hits_in_a_new_process_and_never_runs_an_edited_rule(tmp_path):
    path = tmp_path / "rules.py"
    assert run_rule(path, 1) == (2, 1)
    assert run_rule(path, 1) == (2, 0), "the second process must find the kernel in the cache"
    stamp = path.stat()
    assert run_rule(path, 5) == (6, 1), "an edited helper must be compiled anew"
    assert path.stat().st_size == stamp.st_size  # not even the file's size tells
    assert run_rule(path, 1)[0] == 2


RECORDS = """
import sys
import numpy as np
from selfplay.kernels import kernel

def last(record):  # long enough not to be copied into its caller
    total = 0
    for i in range(len(record.cells)):
        for j in range(len(record.cells)):
            for k in range(len(record.cells)):
                if record.cells[i] > record.cells[j] and record.cells[k] == record.cells[j]:
                    total += record.cells[i] // (1 + record.cells[k]) - record.cells[j] % 3
    return total + len(record.cells) - len(record.cells) * total

def of_all(records):
    total = 0
    for record in records:
        total += last(record) if len(records) > 1 else 0
        total += last(record)
    return total

run = kernel(of_all)
for size in map(int, sys.argv[1:]):
    records = np.zeros(1, np.dtype([("cells", np.int64, (size,))]))
    records["cells"][0, -1] = 1
    print(run(records) == of_all(records.view(np.recarray)))
"""


def test_one_helper_for_the_records_of_two_games_is_two_in_every_process(tmp_path):
    path = tmp_path / "records.py"
    path.write_text(RECORDS)
    for sizes in (
        ["3"],
        ["9"],
        ["3", "9"],
    ):  # the third process finds both in the cache, each compiled first in its own
        done = subprocess.run([sys.executable, path, *sizes], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["True"] * len(sizes)
