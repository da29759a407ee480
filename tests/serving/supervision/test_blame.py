"""Which functions are refused because processes died of them."""

from __future__ import annotations

from gradmill_server.serving.guard import Work
from gradmill_server.serving.supervision.blame import Blame

KILLER, BYSTANDER = b"k" * 32, b"b" * 32


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _blame(clock: _Clock | None = None) -> Blame:
    return Blame(3, 60.0, clock or _Clock())


def test_three_deaths_put_a_function_in_quarantine_for_a_time() -> None:
    """A function that processes die of is refused from the third death on, and let in again when the time is over."""
    clock = _Clock()
    blame = _blame(clock)
    assert [blame.died({KILLER: Work.PASS}, own_fault=False) for _ in range(3)] == [[], [], [KILLER]]
    clock.now = 50.0
    assert blame.quarantined == {KILLER: 10.0}
    clock.now = 60.0
    assert blame.quarantined == {}
    assert blame.died({KILLER: Work.PASS}, own_fault=False) == []


def test_who_kills_processes_harms_no_function() -> None:
    """A function that processes are killed at, again and again, is not refused as long as its passes end in between."""
    blame = _blame()
    for _ in range(20):
        assert blame.died({BYSTANDER: Work.PASS}, own_fault=False) == []
        assert blame.ended(BYSTANDER, 1)
    assert blame.quarantined == {}


def test_a_bystander_is_not_refused_for_what_another_does() -> None:
    """A function that runs beside one that kills stays, as its passes end elsewhere."""
    blame = _blame()
    for _ in range(2):
        assert blame.died({KILLER: Work.PASS, BYSTANDER: Work.PASS}, own_fault=True) == []
        blame.ended(BYSTANDER, 5)
    assert blame.died({KILLER: Work.PASS, BYSTANDER: Work.PASS}, own_fault=True) == [KILLER]
    assert blame.suspects == {BYSTANDER: Work.PASS}


def test_a_function_that_kills_now_and_then_is_found() -> None:
    """One that was alone when a process crashed is not cleared by a few passes that end well, but by a hundred."""
    blame = _blame()
    for _ in range(2):
        blame.died({KILLER: Work.PASS}, own_fault=True)
        assert not blame.ended(KILLER, 99)
    assert blame.died({KILLER: Work.PASS}, own_fault=True) == [KILLER]
    blame.died({BYSTANDER: Work.PASS}, own_fault=True)
    assert not blame.ended(BYSTANDER, 99)
    assert blame.ended(BYSTANDER, 1)


def test_what_was_made_is_heard_of_only_where_processes_died_making() -> None:
    """Making a program again speaks for a function that processes died making, not for one that they died running."""
    blame = _blame()
    blame.died({KILLER: Work.PASS, BYSTANDER: Work.COMPILE}, own_fault=False)
    blame.died({KILLER: Work.COMPILE}, own_fault=False)
    assert blame.suspects == {KILLER: Work.PASS, BYSTANDER: Work.COMPILE}
    assert blame.ended(BYSTANDER, 1)
    assert blame.suspects == {KILLER: Work.PASS}


def test_suspicion_ends_with_time() -> None:
    """A function found at deaths that lie further apart than a quarantine takes is never refused."""
    clock = _Clock()
    blame = _blame(clock)
    blame.died({BYSTANDER: Work.COMPILE}, own_fault=True)
    clock.now = 59.0
    blame.died({BYSTANDER: Work.COMPILE, KILLER: Work.PASS}, own_fault=True)
    clock.now = 118.0
    assert blame.suspects == {BYSTANDER: Work.COMPILE, KILLER: Work.PASS}
    clock.now = 119.0
    assert blame.suspects == {}
    assert not blame.ended(BYSTANDER, 100)
    assert blame.died({BYSTANDER: Work.COMPILE}, own_fault=True) == []


def test_memory_of_suspects_is_bounded() -> None:
    """However many functions are at work when processes die, only the latest thousand are remembered."""
    blame = _blame()
    digests = [number.to_bytes(32, "big") for number in range(3_000)]
    blame.died(dict.fromkeys(digests, Work.PASS), own_fault=False)
    assert len(blame.suspects) == 1_024
    for _ in range(3):
        for digest in digests[:1_500]:
            blame.died({digest: Work.PASS}, own_fault=False)
            blame.died({digest: Work.PASS}, own_fault=False)
            blame.died({digest: Work.PASS}, own_fault=False)
    assert len(blame.quarantined) == 1_024
