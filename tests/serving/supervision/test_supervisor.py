"""Worker processes that die, hang or are told to stop, and the server that goes on."""

from __future__ import annotations

import os
import signal
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from tests.serving.live_server import LiveServer, live_server, refused_start, slow_request, status_of
from tests.serving.support import evaluation, formula, matrix, refusal, results

_OK = 'code="OK"'


def _evaluate_on(server: LiveServer, count: int, text: str) -> None:
    """Evaluate over connections of their own, which the system shares out among the processes."""
    for _ in range(count):
        with server.connect() as channel, pytest.raises(grpc.RpcError):
            server.evaluate(evaluation(formula(text)), channel)


def test_connections_are_shared_out_among_processes() -> None:
    """Every process answers some of the connections; the log tells which, and when told to stop all end with code 0."""
    with live_server("--processes", "2", "--log-level", "debug") as server, ThreadPoolExecutor() as callers:
        assert server.metric("gradmill_worker_processes") == 2
        _evaluate_on(server, 40, "no formula (")
        refused = [record for record in server.records if record["event"] == "refused"]
        assert {record["worker"] for record in refused} == {1, 2}
        assert {record["process"] for record in refused} == {server.worker(1), server.worker(2)}
        assert server.metric("gradmill_refusals_total") == 40
        channels = [server.connect() for _ in range(4)]
        in_flight = [callers.submit(server.evaluate, slow_request(600_000, 1_000), channel) for channel in channels]
        server.wait_for_metric("gradmill_requests_in_flight", 4)
        server.process.send_signal(signal.SIGTERM)
        assert [results(call.result())[0].tolist() for call in in_flight] == [999 * 600_000] * 4
        assert server.ended() == (0, "")
        assert [record["worker"] for record in server.records if record["event"] == "stopped" and "worker" in record]
        for channel in channels:
            channel.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_process_that_dies_is_replaced(number: signal.Signals) -> None:
    """Only calls of the process that died fail, a spare one takes its place at once, and no count ever falls."""
    with live_server("--spare-processes", "1") as server, ThreadPoolExecutor() as callers:
        server.wait_for_metric("gradmill_spare_processes", 1)
        server.evaluate(evaluation())
        in_flight: Future[bytes] = callers.submit(server.evaluate, slow_request(1_500_000))
        server.wait_for_metric("gradmill_requests_in_flight", 1)
        answered = server.metric("gradmill_requests_total", _OK)
        first = server.worker()
        os.kill(first, number)
        with pytest.raises(grpc.RpcError) as lost:
            in_flight.result()
        assert lost.value.code() is grpc.StatusCode.UNAVAILABLE
        assert results(server.evaluate(evaluation()))[0].tolist() == [48.0]
        died, replaced = server.wait_for("worker_died"), server.wait_for("worker_replaced")
        assert (died["process"], died["cause"], died["signal"]) == (first, "crashed", number.name)
        assert (replaced["worker"], replaced["process"]) == (1, server.worker())
        assert replaced["vacant_seconds"] < 2
        assert server.metric("gradmill_requests_total", _OK) > answered
        assert server.metric("gradmill_worker_restarts_total", 'cause="crashed"') == 1
        server.process.send_signal(signal.SIGTERM)
        code, _ = server.ended()
        assert code == 0


def test_a_process_may_be_told_to_end() -> None:
    """SIGTERM to one process lets it answer what it has, and another takes its place."""
    with live_server() as server, ThreadPoolExecutor() as callers:
        in_flight = callers.submit(server.evaluate, slow_request())
        server.wait_for_metric("gradmill_requests_in_flight", 1)
        os.kill(server.worker(), signal.SIGTERM)
        assert results(in_flight.result())[0].tolist() == 299 * 300_000
        assert server.wait_for("worker_died")["cause"] == "exited"
        server.wait_for("worker_replaced")
        assert results(server.evaluate(evaluation()))[0].tolist() == [48.0]


def test_a_process_that_hangs_is_replaced() -> None:
    """A process that stands still is ended and replaced; metrics are served meanwhile, with what it told last."""
    with live_server("--worker-hang-seconds", "1", "--spare-processes", "1") as server:
        server.evaluate(evaluation())
        answered = server.metric("gradmill_requests_total", _OK)
        os.kill(server.worker(), signal.SIGSTOP)
        assert server.metric("gradmill_requests_total", _OK) >= answered
        died = server.wait_for("worker_died")
        assert (died["cause"], died["signal"]) == ("hung", "SIGKILL")
        server.wait_for("worker_replaced")
        assert server.metric("gradmill_worker_restarts_total", 'cause="hung"') == 1
        assert results(server.evaluate(evaluation()))[0].tolist() == [48.0]


def test_a_function_that_kills_is_refused() -> None:
    """A function that three processes died of is refused with the reason, and other functions are not."""
    deadly = slow_request(1_500_000)
    with live_server("--spare-processes", "1") as server, ThreadPoolExecutor() as callers:
        for deaths in range(1, 4):
            compiled = server.metric("gradmill_programs_compiled_total")
            in_flight = callers.submit(server.evaluate, deadly)
            server.wait_for_metric("gradmill_programs_compiled_total", compiled + 1)
            server.wait_for_metric("gradmill_workers_busy", 1)
            os.kill(server.worker(), signal.SIGSEGV)
            with pytest.raises(grpc.RpcError) as lost:
                in_flight.result()
            assert lost.value.code() is grpc.StatusCode.UNAVAILABLE
            server.wait_for("worker_replaced", deaths)
        with pytest.raises(grpc.RpcError) as refused:
            server.evaluate(deadly)
        assert refusal(status_of(refused.value)) == ("FAILED_PRECONDITION", "FUNCTION_QUARANTINED")
        assert "quarantine_deaths" in status_of(refused.value).message
        assert len(server.wait_for("function_quarantined")["digest"]) == 64
        assert server.metric("gradmill_functions_quarantined") == 1
        assert results(server.evaluate(evaluation(points=matrix([[1.0, 2.0, 3.0]]))))[0].tolist() == [21.0]


def test_no_worker_outlives_its_supervisor() -> None:
    """When the supervisor is killed, its workers answer what is in flight and end."""
    with live_server("--processes", "2", "--spare-processes", "1") as server, ThreadPoolExecutor() as callers:
        in_flight = callers.submit(server.evaluate, slow_request())
        server.wait_for_metric("gradmill_requests_in_flight", 1)
        server.process.kill()
        assert results(in_flight.result())[0].tolist() == 299 * 300_000
        # The end of what they may write to standard error is the end of the last of them.
        assert server.ended() == (-signal.SIGKILL, "")


def test_two_servers_do_not_share_a_port() -> None:
    """A second server on the port of another is refused, as is one that finds it taken by anybody else."""
    with live_server() as server:
        port = server.ready["address"].rpartition(":")[2]
        code, written, complaint = refused_start("--port", port)
    assert (code, written) == (1, "")
    assert complaint == f"gradmill serve: cannot listen on 127.0.0.1:{port}: Address already in use\n"


def test_workers_that_cannot_start_end_the_server(tmp_path: Path) -> None:
    """Where workers end before they are ready, again and again, the server gives up with exit code 1 and says so."""
    (tmp_path / "grpc.py").write_text("raise SystemExit(7)")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    code, _, complaint = refused_start(environment={"PYTHONPATH": path})
    assert code == 1
    assert complaint == "gradmill serve: worker processes ended 5 times in a row before they were ready\n"
