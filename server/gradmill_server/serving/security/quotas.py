"""What each caller may have each second: requests and points."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gradmill_server.engine.errors import quote
from gradmill_server.serving.security.audit import Audit, Event
from gradmill_server.serving.security.buckets import Bucket
from gradmill_server.serving.security.files import UnusableFile, Watched
from gradmill_server.serving.security.refusals import PointQuotaExceeded, QuotaExceeded, RequestQuotaExceeded

KNOB = "caller_quota_file"
_MAXIMUM_CALLERS = 10_000
_FIELDS = 3


@dataclass(frozen=True, slots=True)
class Quota:
    """What a caller may have each second over time; 0 for as much as it likes."""

    requests_per_second: float = 0.0
    points_per_second: float = 0.0


class _Account:
    """What one caller may still have."""

    __slots__ = ("points", "quota", "requests")

    def __init__(self, quota: Quota, burst_seconds: float, now: float) -> None:
        self.quota = quota
        self.requests = _bucket(quota.requests_per_second, burst_seconds, now)
        self.points = _bucket(quota.points_per_second, burst_seconds, now)


def _bucket(rate: float, burst_seconds: float, now: float) -> Bucket | None:
    return Bucket(rate=rate, room=max(1.0, rate * burst_seconds), now=now) if rate > 0 else None


class Quotas:
    """Charges callers for what they ask. Used on the event loop only.

    A caller may save up what `burst_seconds` bring, and have that at once. A request with more points than that is let
    through when the caller has all it can save up, and what it is short of is waited for afterwards.

    Attributes:
        is_unlimited: whether nobody is ever refused, so that nobody need be charged.
    """

    def __init__(
        self,
        default: Quota,
        audit: Audit,
        *,
        own: Watched[Mapping[str, Quota]] | None = None,
        burst_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start with nothing charged.

        Args:
            default: what a caller may have.
            audit: where refusals are recorded.
            own: what callers may have who have a quota of their own.
            burst_seconds: how long a caller may save up.
            clock: seconds that never run backwards.
        """
        self._default = default
        self._audit = audit
        self._own = own
        self._burst_seconds = burst_seconds
        self._clock = clock
        self.is_unlimited = own is None and default == Quota()
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    @property
    def remembered(self) -> int:
        """How many callers are remembered."""
        return len(self._accounts)

    def charge_request(self, caller: str) -> None:
        """Charge a caller for a request, or for a message of a stream. Raises RequestQuotaExceeded."""
        if self.is_unlimited:
            return
        account = self._account(caller)
        if account.requests is not None:
            self._charge(account.requests, 1.0, caller, account.quota.requests_per_second, RequestQuotaExceeded)

    def charge_points(self, caller: str, points: int) -> None:
        """Charge a caller for points that are to be computed. Raises PointQuotaExceeded."""
        if self.is_unlimited:
            return
        account = self._account(caller)
        if account.points is not None:
            self._charge(account.points, float(points), caller, account.quota.points_per_second, PointQuotaExceeded)

    def forget(self) -> None:
        """Start anew for all callers, since quotas changed."""
        self._accounts.clear()

    def _charge(self, bucket: Bucket, amount: float, caller: str, quota: float, refusal: type[QuotaExceeded]) -> None:
        wait_seconds = bucket.take(amount, self._clock())
        if not wait_seconds:
            return
        shown = quote(account_name(caller))
        self._audit.record(Event.QUOTA_EXCEEDED, refusal.knob, caller=shown, limit=quota)
        used = max(1.0, quota * self._burst_seconds) - bucket.level
        raise refusal.for_caller(shown, used + amount, quota, retry_seconds=wait_seconds)

    def _account(self, caller: str) -> _Account:
        name = account_name(caller)
        account = self._accounts.get(name)
        if account is None:
            own = self._own.current.get(name) if self._own is not None else None
            account = self._accounts[name] = _Account(own or self._default, self._burst_seconds, self._clock())
            if len(self._accounts) > _MAXIMUM_CALLERS:
                self._accounts.popitem(last=False)
        else:
            self._accounts.move_to_end(name)
        return account


UNLIMITED = Quotas(Quota(), Audit())
"""Charges nobody."""


def account_name(caller: str) -> str:
    """Return in whose name a caller is charged: one without a name of its own, by its address without the port."""
    return caller.rpartition(":")[0] if caller.startswith(("ipv4:", "ipv6:")) else caller


def watched_quotas(path: str, audit: Audit) -> Watched[Mapping[str, Quota]]:
    """Read a file of quotas: a caller's name, requests per second and points per second on each line.

    Raises:
        UnusableFile: it cannot be used; the message names the line.
    """

    def parse(contents: Mapping[str, bytes]) -> Mapping[str, Quota]:
        quotas: dict[str, Quota] = {}
        for number, line in enumerate(contents[KNOB].decode("utf-8", errors="replace").splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            fields = line.rsplit(maxsplit=_FIELDS - 1)
            rates = [_rate(field) for field in fields[1:]]
            if len(fields) != _FIELDS or None in rates:
                message = f"{KNOB}: {path}: line {number}: not a name, requests per second and points per second"
                raise UnusableFile(message)
            quotas[fields[0].strip()] = Quota(*(rate for rate in rates if rate is not None))
        return quotas

    return Watched("quotas", {KNOB: path}, parse, audit)


def _rate(text: str) -> float | None:
    try:
        rate = float(text)
    except ValueError:
        return None
    return rate if math.isfinite(rate) and rate >= 0 else None
