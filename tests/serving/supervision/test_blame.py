"""Which functions are refused because processes died of them."""

from __future__ import annotations

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
    assert [blame.died([KILLER], own_fault=False) for _ in range(3)] == [[], [], [KILLER]]
    clock.now = 50.0
    assert blame.quarantined == {KILLER: 10.0}
    clock.now = 60.0
    assert blame.quarantined == {}
    assert blame.died([KILLER], own_fault=False) == []


def test_who_kills_processes_harms_no_function() -> None:
    """A function that processes are killed at, again and again, is not refused as long as its passes end in between."""
    blame = _blame()
    for _ in range(20):
        assert blame.died([BYSTANDER], own_fault=False) == []
        assert blame.passed(BYSTANDER, 1)
    assert blame.quarantined == {}


def test_a_bystander_is_not_refused_for_what_another_does() -> None:
    """A function that runs beside one that kills stays, as its passes end elsewhere."""
    blame = _blame()
    for _ in range(2):
        assert blame.died([KILLER, BYSTANDER], own_fault=True) == []
        blame.passed(BYSTANDER, 5)
    assert blame.died([KILLER, BYSTANDER], own_fault=True) == [KILLER]
    assert blame.suspects == [BYSTANDER]


def test_a_function_that_kills_now_and_then_is_found() -> None:
    """One that was alone when a process crashed is not cleared by a few passes that end well, but by a hundred."""
    blame = _blame()
    for _ in range(2):
        blame.died([KILLER], own_fault=True)
        assert not blame.passed(KILLER, 99)
    assert blame.died([KILLER], own_fault=True) == [KILLER]
    blame.died([BYSTANDER], own_fault=True)
    assert not blame.passed(BYSTANDER, 99)
    assert blame.passed(BYSTANDER, 1)


def test_memory_of_suspects_is_bounded() -> None:
    """However many functions are at work when processes die, only the latest thousand are remembered."""
    blame = _blame()
    digests = [number.to_bytes(32, "big") for number in range(3_000)]
    blame.died(digests, own_fault=False)
    assert len(blame.suspects) == 1_024
    for _ in range(3):
        for digest in digests[:1_500]:
            blame.died([digest], own_fault=False)
            blame.died([digest], own_fault=False)
            blame.died([digest], own_fault=False)
    assert len(blame.quarantined) == 1_024
