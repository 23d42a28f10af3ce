"""Reading what the system says of a process, here of the test's own."""

import mmap
import os
import time

import pytest

from loadtest import process


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("00:07\n", 7.0), ("  1:02.50", 62.5), ("01:00:03", 3603.0), ("2-01:00:00", 176_400.0)],
)
def test_the_time_that_ps_prints_is_read(text: str, seconds: float) -> None:
    assert process.parse_ps_time(text) == seconds


def test_cpu_time_of_a_process_is_what_it_counts_itself() -> None:
    before, began = process.cpu_seconds(os.getpid()), time.process_time()
    while time.process_time() - began < 0.05:
        sum(range(1000))
    assert process.cpu_seconds(os.getpid()) - before >= 0.04  # ``ps`` counts in hundredths


def test_resident_memory_of_a_process_grows_with_what_it_holds() -> None:
    size = 64_000_000
    with mmap.mmap(-1, size) as held:  # fresh pages, whatever the suite has left on the heap
        before = process.resident_bytes(os.getpid())
        held.write(b"x" * size)
        assert process.resident_bytes(os.getpid()) - before > size * 0.9
