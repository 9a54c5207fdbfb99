from selfplay.coordinator.cpu import CpuTime


def test_a_lap_counts_what_was_used_within_it():
    cpu = CpuTime()
    cpu.note("worker_0", 5.0)
    cpu.begin(100.0)
    cpu.note("worker_0", 8.0)
    cpu.note("worker_1", 1.0)
    assert cpu.lap(104.0) == {"cpu_seconds": 4.0, "span_seconds": 4.0}
    cpu.note("worker_0", 8.5)
    assert cpu.lap(105.0) == {"cpu_seconds": 0.5, "span_seconds": 1.0}


def test_a_process_that_died_and_its_successor_both_count():
    cpu = CpuTime()
    cpu.begin(0.0)
    cpu.note("worker_0", 3.0)
    cpu.note("worker_0", 1.0)  # started anew, and nobody said so
    cpu.forget("worker_0")
    cpu.note("worker_0", 0.5)
    cpu.forget("worker_9")
    assert cpu.lap(10.0) == {"cpu_seconds": 4.5, "span_seconds": 10.0}
