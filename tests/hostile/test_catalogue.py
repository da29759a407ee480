"""Whatever a caller sends, he is told what is wrong with it, quickly, and the next caller notices nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import grpc
import numpy as np
import pytest

from tests import REPOSITORY
from tests.end_to_end.server_process import ServerProcess, running_server
from tests.hostile.cases import Case
from tests.hostile.catalogue import all_cases, limits
from tests.hostile.sending import (
    CANARY,
    CANARY_ANSWER,
    Outcome,
    check,
    numbers_in,
    send,
    stream,
    stream_message,
)
from tests.hostile.threats import Threat

_LARGE_MESSAGES = [("grpc.max_send_message_length", -1)]
_LONGEST_REFUSAL_SECONDS = 5.0
"""A caller would notice more; the figure itself, on a machine with nothing else to do, is printed."""

CASES = all_cases()
_IDS = [case.name[:60].encode("unicode_escape").decode() for case in CASES]


_BY_CALLS = "tests/hostile/test_calls.py"
ELSEWHERE = {
    Threat.CACHE_FLOODING: (_BY_CALLS, "test_more_functions_than_are_kept"),
    Threat.SLOW_CALLER: (_BY_CALLS, "test_streams_left_open"),
    Threat.OVERSIZED_MESSAGE: (_BY_CALLS, "test_a_message_beyond_the_limit"),
    Threat.DECOMPRESSION_BOMB: (_BY_CALLS, "test_a_message_that_grows_when_unpacked"),
    Threat.DEADLINE_PASSED: (_BY_CALLS, "test_deadlines_that_have_passed"),
    Threat.DEADLINE_MISSING: (_BY_CALLS, "test_no_deadline"),
    Threat.CANCELLATION: (_BY_CALLS, "test_calls_given_up"),
    Threat.PROTOCOL_FLOOD: ("tests/hostile/test_peers.py", "test_rapid_reset"),
    Threat.WORKER_DEATH: ("tests/serving/supervision/test_supervisor.py", "test_a_process_that_dies_is_replaced"),
    Threat.WORKER_HANG: ("tests/serving/supervision/test_supervisor.py", "test_a_process_that_hangs_is_replaced"),
    Threat.SHUTDOWN: ("tests/serving/test_command.py", "test_sigterm_answers_what_is_in_flight"),
    Threat.TLS: ("tests/end_to_end/test_security.py", "test_wrong_and_missing_tls"),
    Threat.CREDENTIALS: ("tests/end_to_end/test_security.py", "test_wrong_missing_and_expired_tokens"),
    Threat.OVERLOAD: ("tests/serving/test_handler.py", "test_full_queue_is_refused_and_told_when_to_retry"),
    Threat.EXPOSURE: ("tests/serving/security/test_exposure.py", "test_metrics_listen_on_loopback_unless_told"),
    Threat.DISK: ("tests/engine/native/test_object_cache.py", "test_no_place_to_write_costs_only_time"),
    Threat.CLOCK: ("tests/hostile/test_clock.py", "test_only_stamps_and_credentials_go_by_the_time_of_day"),
    Threat.CACHE_POISONING: (
        "tests/engine/native/test_object_cache.py",
        "test_a_file_that_cannot_be_trusted_is_compiled_anew",
    ),
}
"""Threats that are no request's own bytes: where their tests are."""


class Pair:
    """A server with the limits that it has by itself, and one whose limits are small; and what refusals took."""

    def __init__(self, usual: ServerProcess, small: ServerProcess) -> None:
        """Open a channel to each."""
        self.usual, self.small = usual, small
        self.channels = {
            is_small: grpc.insecure_channel(process.address, _LARGE_MESSAGES)
            for is_small, process in ((False, usual), (True, small))
        }
        self.refusal_seconds: list[float] = []

    def close(self) -> None:
        """Close both channels."""
        for channel in self.channels.values():
            channel.close()


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Run both servers for all tests of the module, with logs that say everything."""
    common = ("--log-level=debug", "--processes=1")
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in limits.SMALL.items()]
    with running_server(*common) as usual, running_server(*common, *flags) as small:
        both = Pair(usual, small)
        yield both
        both.close()


def test_every_threat_has_cases() -> None:
    """Every threat has requests here, or, where it is no request, a test that shows what comes of it."""
    assert {case.threat for case in CASES} | set(ELSEWHERE) == set(Threat)
    for file, name in ELSEWHERE.values():
        assert f"def {name}(" in (REPOSITORY / file).read_text(encoding="utf-8"), (file, name)


def test_requests_are_many() -> None:
    """There are three hundred requests and more, each unlike all others."""
    assert len(CASES) >= 300
    assert len({case.name for case in CASES}) == len(CASES)
    assert len({(case.method, case.body, case.small) for case in CASES}) == len(CASES)


def test_every_limit_has_a_case() -> None:
    """No setting that bounds a call is without a request that passes it."""
    assert {case.knob for case in CASES if case.small and case.knob} == limits.ALL == set(limits.SMALL)


@pytest.mark.parametrize("case", CASES, ids=_IDS)
def test_a_hostile_request_is_met(pair: Pair, case: Case) -> None:
    """A request is refused with reason, place and limit, or answered rightly; then the next call is answered."""
    channel = pair.channels[case.small]
    outcome = send(channel, case.method, case.body)
    check(case, outcome)
    if case.reason:
        pair.refusal_seconds.append(outcome.seconds)
    _check_canary(send(channel, "Evaluate", CANARY))


def _check_canary(outcome: Outcome) -> None:
    assert outcome.code == "OK", outcome.message
    np.testing.assert_array_equal(numbers_in(outcome.body), CANARY_ANSWER)


def test_hostile_messages_on_one_stream(pair: Pair) -> None:
    """On a stream each of them gets its own answer, in order, and what comes between them is answered rightly."""
    # A message that is no message at all has no number to be answered by, nor do these that protobuf merges.
    chosen = [case for case in CASES if case.method == "Evaluate" and not case.small and len(case.body) < 100_000]
    bodies: list[bytes] = []
    for number, case in enumerate(chosen):
        bodies += [stream_message(2 * number, case.body), stream_message(2 * number + 1, CANARY)]
    answers = list(stream(pair.channels[False], bodies))
    assert len(answers) == len(bodies)
    for number, case in enumerate(chosen):
        (sequence, outcome), (canary_sequence, canary) = answers[2 * number : 2 * number + 2]
        _check_canary(canary)
        assert canary_sequence == 2 * number + 1
        if case.reason == "REQUEST_MALFORMED":
            assert (sequence, outcome.reason) in {(0, case.reason), (2 * number, case.reason)}, case.name
        elif case.reason != "FUNCTION_MISSING":  # a message without a function means the last one's
            assert sequence == 2 * number, case.name
            check(case, outcome)


def test_refusals_are_quick(pair: Pair, record_property: Callable[[str, object], None]) -> None:
    """A refusal costs the caller no patience."""
    if not pair.refusal_seconds:
        pytest.skip("needs the other tests of this module to have run")
    p50, p99 = map(float, np.percentile(pair.refusal_seconds, [50, 99]))
    print(f"{len(pair.refusal_seconds)} refusals: median {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms")  # noqa: T201
    record_property("refusal_p50_seconds", p50)
    record_property("refusal_p99_seconds", p99)
    assert p99 < _LONGEST_REFUSAL_SECONDS


def test_the_log_tells_of_refusals_and_of_nothing_else(pair: Pair) -> None:
    """Nothing hostile is an error of the server's, and every line of the log is one record of plain characters."""
    for process in (pair.usual, pair.small):
        for line in process.log().splitlines():
            assert line.isprintable()
            record = json.loads(line)
            assert record["event"] in {"start", "ready", "refused", "warm_up_refused"}, record
            if record["event"] == "refused":
                assert all(len(str(value)) <= 1_000 for value in record.values())


def test_metrics_stay_few(pair: Pair) -> None:
    """No name of a caller's becomes a label, and there are fewer than 500 series."""
    text = pair.usual.metrics()
    series = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert len(series) < 500
    assert "operation_of_caller" not in text
