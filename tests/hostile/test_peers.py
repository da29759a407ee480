"""Peers that break the rules of HTTP/2, or use them as no honest one does, harm nobody but themselves."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from tests.end_to_end.server_process import ServerProcess, running_server
from tests.hostile import peers
from tests.hostile.peers import ACK, END_HEADERS, END_STREAM, PREFACE, frame, literal, message, request_headers, talk
from tests.hostile.sending import CANARY, CANARY_ANSWER, numbers_in, send

_OPENING = PREFACE + frame(peers.SETTINGS)


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """Run one server for all tests of the module."""
    with running_server("--processes=1") as process:
        yield process


@pytest.fixture(autouse=True)
def canary(server: ServerProcess) -> Iterator[None]:
    """After each test the server answers a new connection, and has written of no error of its own."""
    yield
    with grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        outcome = send(channel, "Evaluate", CANARY)
    assert outcome.code == "OK", outcome.message
    np.testing.assert_array_equal(numbers_in(outcome.body), CANARY_ANSWER)
    assert "internal_error" not in server.log()
    assert "Traceback" not in server.log()


_GARBAGE = random.Random(3).randbytes(20_000)


@pytest.mark.parametrize(
    "opening",
    [
        b"",
        b"\0",
        PREFACE[:10],
        PREFACE.replace(b"2.0", b"9.9"),
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST / HTTP/1.0\r\nContent-Length: 99999999999\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + _GARBAGE[:200],
        b"SSH-2.0-OpenSSH_9.6\r\n",
        _GARBAGE,
        PREFACE + _GARBAGE,
        _OPENING + _GARBAGE,
        PREFACE * 100,
        b"A" * 1_000_000,
        b"\r\n" * 10_000,
    ],
    ids=lambda opening: ascii(opening[:24]),
)
def test_bad_beginnings(server: ServerProcess, opening: bytes) -> None:
    """A connection that begins with something else than HTTP/2 gets no answer to any call."""
    assert b"grpc-status" not in talk(server.address, (), opening=opening)


_CALL = frame(peers.HEADERS, END_HEADERS, 1, request_headers())


@pytest.mark.parametrize(
    "parts",
    [
        [frame(peers.DATA, END_STREAM, 1, message(CANARY))],
        [frame(peers.HEADERS, END_HEADERS, 0, request_headers())],
        [frame(peers.HEADERS, END_HEADERS, 2, request_headers())],
        [_CALL, _CALL],
        [frame(peers.HEADERS, END_HEADERS, 1, b"\xff" * 100)],
        [frame(peers.HEADERS, END_HEADERS, 1, b"\x00\x7f\xff\xff\xff\xff\x7f")],
        [frame(peers.HEADERS, 0, 1, request_headers()), frame(peers.PING, 0, 0, b"\0" * 8)],
        [frame(peers.CONTINUATION, END_HEADERS, 1, b"")],
        [frame(peers.SETTINGS, 0, 0, b"\0" * 5)],
        [frame(peers.SETTINGS, ACK, 0, b"\0" * 6)],
        [frame(peers.SETTINGS, 0, 1, b"")],
        [frame(peers.SETTINGS, 0, 0, b"\x00\x05\xff\xff\xff\xff")],
        [frame(peers.SETTINGS, 0, 0, b"\x00\x04\xff\xff\xff\xff")],
        [frame(peers.PING, 0, 0, b"\0" * 7)],
        [frame(peers.PING, 0, 1, b"\0" * 8)],
        [frame(peers.WINDOW, 0, 0, b"\0\0\0\0")],
        [frame(peers.WINDOW, 0, 0, b"\x7f\xff\xff\xff")] * 3,
        [frame(peers.RESET, 0, 99, b"\0\0\0\x08")],
        [frame(peers.RESET, 0, 0, b"\0\0\0\x08")],
        [frame(peers.PUSH, END_HEADERS, 1, b"\0\0\0\x02" + request_headers())],
        [frame(peers.GO_AWAY, 0, 0, b"\0" * 8), _CALL],
        [frame(77, 255, 2**31 - 1, b"?" * 1_000)],
        [b"\xff\xff\xff" + frame(peers.DATA)[3:]],
        [_CALL, frame(peers.DATA, END_STREAM, 1, message(CANARY, flag=1))],
        [_CALL, frame(peers.DATA, END_STREAM, 1, message(CANARY, flag=7))],
        [_CALL, frame(peers.DATA, END_STREAM, 1, message(CANARY, length=2**32 - 1))],
        [_CALL, frame(peers.DATA, END_STREAM, 1, message(CANARY)[:-1])],
        [_CALL, frame(peers.DATA, END_STREAM, 1)],
        [frame(peers.HEADERS, END_HEADERS | END_STREAM, 1, request_headers())],
        [frame(peers.HEADERS, END_HEADERS | END_STREAM, 1, b"\x82\x86\x84")],
        [frame(peers.HEADERS, END_HEADERS | END_STREAM, 1, request_headers(b"/" + b"a" * 8_000))],
        [frame(peers.HEADERS, END_HEADERS | END_STREAM, 1, request_headers(further=literal(b"grpc-timeout", b"-1S")))],
        [
            frame(
                peers.HEADERS, END_HEADERS | END_STREAM, 1, request_headers(further=literal(b"grpc-timeout", b"9" * 99))
            )
        ],
        [frame(peers.HEADERS, END_HEADERS | END_STREAM, 1, request_headers(further=literal(b"grpc-encoding", b"zip")))],
    ],
    ids=range(34),
)
def test_broken_rules(server: ServerProcess, parts: list[bytes]) -> None:
    """Frames that the protocol forbids, and messages framed wrongly, get no answer that says all is well."""
    answer = talk(server.address, parts)
    assert numbers_of(CANARY_ANSWER) not in answer


@pytest.mark.parametrize("processes", [1, 2])
def test_a_path_that_is_not_utf8(processes: int) -> None:
    """A call whose path is no text needs no credentials, and does not end the service, however often it comes."""
    call = frame(peers.HEADERS, END_HEADERS | END_STREAM, 1, request_headers(b"/\xff\xfe"))
    with running_server(f"--processes={processes}") as process:
        for _ in range(6):
            talk(process.address, [call])
            with grpc.insecure_channel(process.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
                grpc.channel_ready_future(channel).result(timeout=10)
                assert send(channel, "Evaluate", CANARY, timeout=10).code == "OK"
        assert "Traceback" not in process.log()
        assert any(record["event"] == "listening_anew" for record in process.records())
        assert process.stop() == 0


def numbers_of(answer: tuple[float, ...]) -> bytes:
    """Return numbers as an answer carries them."""
    return np.array(answer[1:], dtype="<f8").tobytes()


def test_an_honest_call_by_hand(server: ServerProcess) -> None:
    """The same peer, keeping to the rules, is answered: what the other tests see is the rules' doing."""
    answer = talk(server.address, [_CALL, frame(peers.DATA, END_STREAM, 1, message(CANARY))])
    assert numbers_of(CANARY_ANSWER) in answer


def test_rapid_reset(server: ServerProcess) -> None:
    """Thousands of calls that are begun and given up at once leave nothing behind."""
    reset = b"\0\0\0\x08"
    numbers = range(1, 8_000, 2)
    parts = (
        frame(peers.HEADERS, END_HEADERS, number, request_headers()) + frame(peers.RESET, 0, number, reset)
        for number in numbers
    )
    talk(server.address, parts)


def test_ping_flood(server: ServerProcess) -> None:
    """A peer that pings without end is sent away."""
    ping = frame(peers.PING, 0, 0, b"01234567")
    answer = talk(server.address, [ping * 1_000] * 20)
    assert b"too_many_pings" in answer or answer.count(b"01234567") < 20_000


def test_settings_flood(server: ServerProcess) -> None:
    """A peer that sends settings without end harms nobody."""
    talk(server.address, [frame(peers.SETTINGS) * 1_000] * 20)


def test_header_flood(server: ServerProcess) -> None:
    """Headers beyond 16 KiB are refused, whether in one frame or in a thousand."""
    flood = b"".join(literal(b"x-header-%d" % number, b"v" * 100) for number in range(120))
    begun = frame(peers.HEADERS, END_STREAM, 1, request_headers())
    parts = [begun, *(frame(peers.CONTINUATION, 0, 1, flood) for _ in range(1_000))]
    assert numbers_of(CANARY_ANSWER) not in talk(server.address, parts)


def test_window_of_one_byte(server: ServerProcess) -> None:
    """A peer that takes its answer byte by byte keeps nobody waiting."""
    small = frame(peers.SETTINGS, 0, 0, b"\x00\x04\x00\x00\x00\x01")
    data = frame(peers.DATA, END_STREAM, 1, message(CANARY))
    assert numbers_of(CANARY_ANSWER) not in talk(server.address, [small, _CALL, data])


def test_half_open_connections(server: ServerProcess) -> None:
    """Two hundred connections on which nothing more comes keep nobody waiting."""
    host, _, port = server.address.rpartition(":")
    opened = [socket.create_connection((host, int(port)), 10) for _ in range(200)]
    try:
        for number, connection in enumerate(opened):
            connection.sendall((b"", PREFACE[:5], _OPENING, _OPENING + _CALL)[number % 4])
        with grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            assert send(channel, "Evaluate", CANARY).code == "OK"
    finally:
        for connection in opened:
            connection.close()
