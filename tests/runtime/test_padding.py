"""Batches as arrays, in buffers that are used again."""

import threading

import pytest

from pointsman.runtime import machine
from pointsman.runtime.padding import Padder


def test_rows_are_padded_and_masked():
    ids, mask = Padder(9)([[1, 2, 3], [4]])
    assert ids.tolist() == [[1, 2, 3], [4, 9, 9]] and mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert ids.dtype == mask.dtype == "int64" and ids.flags.c_contiguous and mask.flags.c_contiguous


def test_lengths_are_rounded_up():
    pad = Padder(0, multiple=16)
    assert pad([[1] * 17])[0].shape == (1, 32) and pad([[1] * 16])[0].shape == (1, 16)
    assert Padder(0, multiple=16, most=40)([[1] * 35])[0].shape == (1, 40)
    assert Padder(0, multiple=16, most=40)([[1] * 50])[0].shape == (1, 50)


def test_buffers_are_used_again_and_nothing_is_left_in_them():
    pad = Padder(0)
    first, _ = pad([[7] * 50] * 4)
    second, mask = pad([[1, 2], [3]])
    assert first.base is second.base or first.base.base is second.base.base
    assert second.tolist() == [[1, 2], [3, 0]] and mask.tolist() == [[1, 1], [1, 0]]
    grown, _ = pad([[5] * 3000])
    assert grown.tolist() == [[5] * 3000]


def test_threads_have_buffers_of_their_own():
    pad, found = Padder(0), []
    ids, _ = pad([[1, 2, 3]])
    thread = threading.Thread(target=lambda: found.append(pad([[4, 5, 6]])[0].tolist()))
    thread.start()
    thread.join()
    assert ids.tolist() == [[1, 2, 3]] and found == [[[4, 5, 6]]]


CPUINFO = """processor : 0
physical id : 0
core id : 0
flags : fpu {flags}

processor : 1
physical id : 0
core id : 0
flags : fpu {flags}

processor : 2
physical id : 0
core id : 1
flags : fpu {flags}
"""


@pytest.fixture
def cpu(tmp_path, monkeypatch):
    def install(flags, allowed=(0, 1, 2)):
        (tmp_path / "cpuinfo").write_text(CPUINFO.format(flags=flags))
        monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
        monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: set(allowed))
        machine._cpuinfo.cache_clear()

    yield install
    machine._cpuinfo.cache_clear()


def test_threads_are_the_physical_cores_that_are_allowed(cpu, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cpu("sse")
    assert machine.count_threads() == 2
    cpu("sse", allowed=(0, 1))
    assert machine.count_threads() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "5,2")
    assert machine.count_threads() == 5 and machine.count_threads(3) == 3


@pytest.mark.parametrize(
    ("flags", "wide"), [("avx2", False), ("avx2 avx512f", True), ("amx_tile", True)]
)
def test_wide_vectors(cpu, flags, wide):
    cpu(flags)
    assert machine.has_wide_vectors() is wide


def test_a_machine_that_says_nothing_of_itself(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "none")
    machine._cpuinfo.cache_clear()
    assert machine.has_wide_vectors() is False and machine.physical_cores() >= 1
    machine._cpuinfo.cache_clear()
