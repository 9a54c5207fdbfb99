import os

import pytest

from selfplay.machine import cores_of_nodes, free_memory, multiplies_bfloat16, resident_megabytes, usable_cores


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "50000 100000"}, 1),  # half a core is still one worker
        ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({"cpu.max": "nonsense"}, None),
        ({}, None),
    ],
)
def test_cores_respect_the_control_group(tmp_path, files, cores):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    unlimited = usable_cores(tmp_path / "nowhere")
    assert usable_cores(tmp_path) == (unlimited if cores is None else cores)


@pytest.mark.parametrize(
    ("flags", "found"),
    [("fpu avx512_bf16 sse", True), ("fpu amx_bf16", True), ("fpu avx512f bf16", False), ("", False)],
)
def test_bfloat16_is_used_where_the_processor_has_it(tmp_path, flags, found):
    (tmp_path / "cpuinfo").write_text(f"model name: x\nflags\t\t: {flags}\n")
    assert multiplies_bfloat16(tmp_path / "cpuinfo") == found
    assert not multiplies_bfloat16(tmp_path / "nowhere")


def test_memory_is_a_plausible_number_of_megabytes():
    assert 10 < resident_megabytes() < 20_000


def test_free_memory_is_a_plausible_number_of_bytes():
    assert 1e7 < free_memory() < 1e14


def test_processes_keep_to_the_cores_near_their_memory(tmp_path, monkeypatch):
    for node, cores in enumerate(("0-3,8", "4-7")):
        (tmp_path / f"node{node}").mkdir()
        (tmp_path / f"node{node}" / "cpulist").write_text(cores + "\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 5, 6, 8}, raising=False)
    assert cores_of_nodes(4, tmp_path) == [(0, 1, 2, 8)] * 2 + [(5, 6)] * 2
    assert cores_of_nodes(1, tmp_path) == [()]  # one process may use all of them
    assert cores_of_nodes(2, tmp_path / "nowhere") == [(), ()]
