"""What each caller may have each second."""

from __future__ import annotations

from pathlib import Path

import pytest
from gradmill_server.serving.security.files import UnusableFile
from gradmill_server.serving.security.quotas import UNLIMITED, Quota, Quotas, watched_quotas
from gradmill_server.serving.security.refusals import PointQuotaExceeded, QuotaExceeded, RequestQuotaExceeded
from gradmill_server.serving.status import status_of

from tests.serving.security.recording import Clock, RecordedAudit
from tests.serving.support import refusal, retry_seconds


def _quotas(clock: Clock, *, requests: float = 0, points: float = 0, burst_seconds: float = 1) -> Quotas:
    return Quotas(Quota(requests, points), RecordedAudit(), burst_seconds=burst_seconds, clock=clock)


def _granted(quotas: Quotas, caller: str, tries: int) -> int:
    granted = 0
    for _ in range(tries):
        try:
            quotas.charge_request(caller)
        except RequestQuotaExceeded:
            continue
        granted += 1
    return granted


def test_requests_up_to_the_quota() -> None:
    """A caller has its requests of a second at once, then as many as time brings, and saves up no more."""
    clock = Clock()
    quotas = _quotas(clock, requests=10)
    assert _granted(quotas, "alice", 50) == 10
    clock.now += 0.35
    assert _granted(quotas, "alice", 50) == 3
    clock.now += 3_600
    assert _granted(quotas, "alice", 50) == 10


def test_one_caller_does_not_spend_the_quota_of_another() -> None:
    """Each caller has a quota of its own, an address without a name as well, whatever port it calls from."""
    quotas = _quotas(Clock(), requests=2)
    assert _granted(quotas, "alice", 5) == 2
    assert _granted(quotas, "bob", 5) == 2
    assert _granted(quotas, "ipv4:10.0.0.1:1001", 1) == 1
    assert _granted(quotas, "ipv4:10.0.0.1:1002", 5) == 1
    assert _granted(quotas, "ipv6:%5B::1%5D:1002", 5) == 2


def test_the_refusal_names_the_quota() -> None:
    """A refusal is RESOURCE_EXHAUSTED with caller, value, limit, knob and the time after which it would succeed."""
    clock = Clock()
    quotas = _quotas(clock, points=1_000)
    quotas.charge_points("al\x1bice", 900)
    with pytest.raises(PointQuotaExceeded) as caught:
        quotas.charge_points("al\x1bice", 300)
    status = status_of(caught.value)
    assert refusal(status) == ("RESOURCE_EXHAUSTED", "POINT_QUOTA_EXCEEDED")
    assert retry_seconds(status) == pytest.approx(0.2)
    assert "points of caller 'al\\x1bice': 1200 lately, limit 1000 each second" in status.message
    assert "caller_points_per_second" in status.message
    clock.now += caught.value.retry_seconds
    quotas.charge_points("al\x1bice", 300)


def test_a_batch_above_the_quota_is_paid_for_afterwards() -> None:
    """A batch larger than a caller may save up is let through when all is saved up, and then the rate still holds."""
    clock = Clock()
    quotas = _quotas(clock, points=1_000, burst_seconds=2)
    quotas.charge_points("alice", 10_000)
    with pytest.raises(PointQuotaExceeded) as caught:
        quotas.charge_points("alice", 1)
    assert caught.value.retry_seconds == pytest.approx(8.001)
    clock.now += 8.01
    quotas.charge_points("alice", 1)


def test_a_quota_of_zero_is_none() -> None:
    """Without quotas nobody is refused or remembered."""
    for _ in range(1_000):
        UNLIMITED.charge_request("alice")
        UNLIMITED.charge_points("alice", 10**9)
    quotas = _quotas(Clock(), requests=1)
    for _ in range(1_000):
        quotas.charge_points("alice", 10**9)


def test_a_quota_below_one_request_a_second() -> None:
    """A quota of a tenth of a request each second is one request every ten seconds."""
    clock = Clock()
    quotas = _quotas(clock, requests=0.1)
    assert _granted(quotas, "alice", 5) == 1
    clock.now += 10
    assert _granted(quotas, "alice", 5) == 1


def test_callers_remembered_are_bounded() -> None:
    """A flood of callers is forgotten but for the last ten thousand, so that it fills no memory."""
    quotas = _quotas(Clock(), requests=1)
    for number in range(20_000):
        quotas.charge_request(f"caller {number}")
    assert quotas.remembered == 10_000
    with pytest.raises(QuotaExceeded):
        quotas.charge_request("caller 19999")


def test_a_caller_with_a_quota_of_its_own(tmp_path: Path) -> None:
    """A file gives callers quotas of their own, which hold anew when it changes."""
    path, audit = tmp_path / "quotas", RecordedAudit()
    path.write_text("# name requests points\nalice 5 0\nspiffe://mill/big job  0  100.5\n")
    own = watched_quotas(str(path), audit)
    quotas = Quotas(Quota(2, 0), audit, own=own, clock=Clock())
    assert (_granted(quotas, "alice", 9), _granted(quotas, "bob", 9)) == (5, 2)
    assert _granted(quotas, "spiffe://mill/big job", 99) == 99
    assert own.current["spiffe://mill/big job"] == Quota(0, 100.5)
    path.write_text("alice 7 0\n")
    assert own.refresh()
    quotas.forget()
    assert _granted(quotas, "alice", 9) == 7


@pytest.mark.parametrize("line", ["alice", "alice 5", "alice five 5", "alice -1 0", "alice nan 0", "alice inf 0"])
def test_a_wrong_line_of_quotas_is_named(tmp_path: Path, line: str) -> None:
    """A line that is no quota is told by its number."""
    path = tmp_path / "quotas"
    path.write_text(f"bob 1 1\n{line}\n")
    with pytest.raises(UnusableFile, match="line 2: not a name, requests per second and points per second"):
        watched_quotas(str(path), RecordedAudit())


def test_refusals_are_recorded_by_quota() -> None:
    """The audit hears whose quota was exceeded, and which."""
    audit = RecordedAudit()
    quotas = Quotas(Quota(1, 1), audit, clock=Clock())
    quotas.charge_request("alice")
    with pytest.raises(QuotaExceeded):
        quotas.charge_request("alice")
    assert [(event, cause) for event, cause, _ in audit.records] == [("quota_exceeded", "caller_requests_per_second")]
    assert audit.records[0][2]["caller"] == "'alice'"
