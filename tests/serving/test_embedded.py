"""The service inside a caller's own process."""

from __future__ import annotations

import concurrent.futures
import gc
import os
import subprocess
import sys
import threading
import time

import pytest
from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill_server.serving.embedded import EmbeddedServer, RpcFailure
from gradmill_server.serving.options import SettingsError

from tests.serving.support import evaluation, formula, matrix, refusal, results

_REQUEST = evaluation().SerializeToString()


def _embedded_threads() -> set[str]:
    # Others of the project's threads, such as those of a log, may be another test's.
    own = ("gradmill-embedded", "gradmill-worker")
    return {thread.name for thread in threading.enumerate() if thread.name.startswith(own)}


def test_call() -> None:
    """A call gets the same bytes as over the network, and closing leaves no thread behind."""
    with EmbeddedServer() as server:
        value, gradient = results(server.call("Evaluate", _REQUEST, 60.0))
        assert (value.tolist(), gradient.tolist()) == ([48.0], [[12.0, 12.0, 9.0]])
    assert _embedded_threads() == set()


def test_nothing_starts_before_the_first_call() -> None:
    """Making an embedded server starts no thread."""
    with EmbeddedServer():
        assert _embedded_threads() == set()


def test_failure_has_the_status_of_the_network() -> None:
    """A failed call raises the status that a caller over the network would get."""
    with EmbeddedServer() as server:
        with pytest.raises(RpcFailure) as refused:
            server.call("Evaluate", b"\xff")
        assert refusal(refused.value.status) == ("INVALID_ARGUMENT", "REQUEST_MALFORMED")
        with pytest.raises(RpcFailure) as unknown:
            server.call("Integrate", b"")
        assert refusal(unknown.value.status) == ("UNIMPLEMENTED", "METHOD_UNKNOWN")


def _slow() -> bytes:
    text = " + ".join(f"exp(x * {number})" for number in range(1, 400))
    request = evaluation(formula(text), matrix([[0.0]] * 400_000))
    request.reduction = service_pb2.REDUCTION_SUM
    return request.SerializeToString()


def test_timeout() -> None:
    """A call that would take longer than its timeout fails with DEADLINE_EXCEEDED, and the next one is answered."""
    with EmbeddedServer() as server:
        with pytest.raises(RpcFailure) as late:
            server.call("Evaluate", _slow(), 0.1)
        assert late.value.code_name == "DEADLINE_EXCEEDED"
        assert results(server.call("Evaluate", _REQUEST))[0].tolist() == [48.0]


def test_many_threads_share_one_server() -> None:
    """Calls from many threads at once are all answered."""
    with EmbeddedServer() as server, concurrent.futures.ThreadPoolExecutor(8) as callers:
        bodies = list(callers.map(lambda _: server.call("Evaluate", _REQUEST), range(100)))
    assert all(results(body)[0].tolist() == [48.0] for body in bodies)


def test_closing_fails_calls_under_way() -> None:
    """Calls under way when the server is closed fail as UNAVAILABLE instead of hanging, and so do later ones."""
    server = EmbeddedServer()
    body = _slow()
    under_way = [server.submit("Evaluate", body) for _ in range(4)]
    server.close()
    server.close()
    for future in under_way:
        with pytest.raises(RpcFailure) as failed:
            future.result(timeout=60)
        assert refusal(failed.value.status) == ("UNAVAILABLE", "SHUTTING_DOWN")
    with pytest.raises(RpcFailure) as later:
        server.call("Evaluate", _REQUEST)
    assert refusal(later.value.status) == ("UNAVAILABLE", "SHUTTING_DOWN")


def test_cancelled_future_cancels_the_call() -> None:
    """Cancelling a submitted call stops it."""
    with EmbeddedServer() as server:
        future = server.submit("Evaluate", _slow())
        assert future.cancel()
        assert results(server.call("Evaluate", _REQUEST))[0].tolist() == [48.0]


def test_forgotten_server_ends_its_threads() -> None:
    """A server that is dropped without being closed ends its threads."""
    server = EmbeddedServer()
    server.call("Evaluate", _REQUEST)
    assert _embedded_threads()
    del server
    gc.collect()
    while _embedded_threads():
        time.sleep(0.001)


def test_environment_sets_it_like_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that an error names can be moved by its environment variable, and a bad value is named."""
    monkeypatch.setenv("GRADMILL_MAXIMUM_POINTS", "1")
    with EmbeddedServer() as server, pytest.raises(RpcFailure) as refused:
        server.call("Evaluate", evaluation(points=matrix([[1.0, 2.0, 3.0]] * 2)).SerializeToString())
    assert refusal(refused.value.status) == ("RESOURCE_EXHAUSTED", "TOO_MANY_POINTS")
    monkeypatch.setenv("GRADMILL_MAXIMUM_POINTS", "many")
    with pytest.raises(SettingsError, match="GRADMILL_MAXIMUM_POINTS"):
        EmbeddedServer()


_PROGRAM = """
import os, sys
from gradmill_server.serving.embedded import EmbeddedServer
server = EmbeddedServer()
request = bytes.fromhex(sys.argv[1])
before = server.call("Evaluate", request)
assert "grpc" not in sys.modules and "prometheus_client" not in sys.modules
child = os.fork()
if child == 0:
    os._exit(0 if len(server.call("Evaluate", request, 60.0)) > 100 else 3)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0
assert len(server.call("Evaluate", request, 60.0)) > 100
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_fork_and_exit_without_closing() -> None:
    """A forked child can call, its parent still can, gRPC is never loaded, and one that never closes just ends."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", _PROGRAM, _REQUEST.hex()], capture_output=True, timeout=120, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
