"""What a worker notes of its work, and what it refuses."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator

import pytest
from gradmill_server.serving.errors import FunctionQuarantined
from gradmill_server.serving.guard import UNGUARDED, Work
from gradmill_server.serving.supervision.journal import Journal, Note, new_journal_file
from gradmill_server.serving.supervision.worker_guard import WorkerGuard

ONE, OTHER = b"1" * 32, b"2" * 32


@pytest.fixture
def sides() -> Iterator[tuple[WorkerGuard, Journal]]:
    """Give a worker's guard of three slots, and the journal as the supervisor sees it."""
    descriptor = new_journal_file(3)
    written, read = Journal(descriptor, 3), Journal(descriptor, 3)
    os.close(descriptor)
    yield WorkerGuard(written, deaths=3, clock=lambda: 100.0), read
    written.close()
    read.close()


def test_the_supervisor_sees_what_is_worked_on(sides: tuple[WorkerGuard, Journal]) -> None:
    """Work stands in the journal from its beginning to its end, with the function and the deadline."""
    guard, journal = sides
    compiling = guard.begin(ONE, Work.COMPILE)
    running = guard.begin(OTHER, Work.PASS, 7.5)
    assert set(journal.notes()) == {Note(Work.COMPILE, math.inf, ONE), Note(Work.PASS, 7.5, OTHER)}
    guard.end(compiling)
    assert list(journal.notes()) == [Note(Work.PASS, 7.5, OTHER)]
    guard.end(running)
    assert not list(journal.notes())


def test_work_beyond_the_slots_goes_on_unnoticed(sides: tuple[WorkerGuard, Journal]) -> None:
    """More work at a time than there are slots is done all the same, and slots are used again."""
    guard, journal = sides
    notes = [guard.begin(ONE, Work.PASS) for _ in range(5)]
    assert len(list(journal.notes())) == 3
    for note in notes:
        guard.end(note)
    assert not list(journal.notes())
    for _ in range(10):
        guard.end(guard.begin(OTHER, Work.PASS))
    guard.begin(OTHER, Work.PASS)
    assert len(list(journal.notes())) == 1


def test_a_function_in_quarantine_is_refused(sides: tuple[WorkerGuard, Journal]) -> None:
    """A function in quarantine is refused with the reason, the number of deaths, the time left and the knobs."""
    guard, _ = sides
    guard.check(ONE)
    guard.refuse({ONE: 59.7, OTHER: -1.0}, {})
    guard.check(OTHER)
    with pytest.raises(FunctionQuarantined) as refused:
        guard.check(ONE)
    error = refused.value
    assert (error.status, error.reason) == ("FAILED_PRECONDITION", "FUNCTION_QUARANTINED")
    assert ONE.hex() in error.message
    assert "for another 60 seconds" in error.message
    assert "died 3 times" in error.message
    assert "quarantine_deaths, quarantine_seconds" in error.message
    guard.refuse({}, {})
    guard.check(ONE)


def test_work_on_suspects_is_counted(sides: tuple[WorkerGuard, Journal]) -> None:
    """Work of the kind that processes died at speaks for a function when it ends, as does later work, told once."""
    guard, _ = sides
    guard.refuse({}, {ONE: Work.COMPILE})
    guard.end(guard.begin(ONE, Work.COMPILE))
    guard.end(guard.begin(ONE, Work.PASS))
    assert guard.ends_of_suspects() == {ONE: 2}
    guard.refuse({}, {ONE: Work.PASS})
    for digest, work in ((ONE, Work.PASS), (ONE, Work.COMPILE), (OTHER, Work.PASS), (ONE, Work.PASS)):
        guard.end(guard.begin(digest, work))
    guard.begin(ONE, Work.PASS)
    assert guard.ends_of_suspects() == {ONE: 2}
    assert guard.ends_of_suspects() == {}


def test_without_a_supervisor_nothing_is_refused() -> None:
    """A server of one process, or inside a program, has a guard that lets everything pass."""
    UNGUARDED.check(ONE)
    UNGUARDED.end(UNGUARDED.begin(ONE, Work.PASS, 1.0))
