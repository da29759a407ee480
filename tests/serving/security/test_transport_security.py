"""Tokens, quotas and what may be reached, over gRPC."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import jwt
import pytest
from gradmill.v1 import gradient_service_pb2 as service_pb2
from gradmill_server.serving import transport
from gradmill_server.serving.transport import SERVICE_NAME
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from tests.serving.security.fronts import (
    EVALUATE,
    Door,
    Metadata,
    bearer,
    refused,
    run_door,
    tls_settings,
    token_line,
    trusting,
)
from tests.serving.security.makers import Authority, public_pem, rsa_key
from tests.serving.support import (
    digest,
    evaluation,
    formula,
    matrix,
    refusal,
    results,
    retry_seconds,
    small_settings,
)

SECRET = "a-secret-token"
_REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
_STREAM = f"/{SERVICE_NAME}/EvaluateStream"


async def _error(door: Door, *, metadata: Metadata = (), method: str = EVALUATE) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await door.call(metadata=metadata, method=method)
    return caught.value


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """Write a file with a token of alice, one of bob, and one of carol that has expired."""
    path = tmp_path / "tokens"
    path.write_text(token_line("alice", SECRET) + token_line("bob", "b") + token_line("carol", "c", "2001-01-01"))
    return path


def test_every_method_needs_a_token(token_file: Path) -> None:
    """With the right token each method answers; with a wrong, an expired or no token all refuse with the same words."""

    async def scenario(door: Door) -> None:
        answer = await door.call(metadata=bearer(SECRET))
        assert results(answer)[0].tolist() == [48.0]
        for method in ("Evaluate", "RegisterFunction", "Explain", "ListOperations"):
            said = set()
            for metadata in ((), bearer("wrong"), bearer("c"), (("authorization", "Basic YTpi"),)):
                error = await _error(door, metadata=metadata, method=f"/{SERVICE_NAME}/{method}")
                assert error.code() is grpc.StatusCode.UNAUTHENTICATED
                said.add((error.details(), refused(error).SerializeToString()))
            assert len(said) == 1

    run_door(small_settings(token_file=str(token_file)), scenario)


def test_web_tokens_over_the_wire(tmp_path: Path) -> None:
    """A JSON web token of the issuer is taken; an expired one and one of another signer are refused alike."""
    key = rsa_key()
    (tmp_path / "keys").write_bytes(public_pem(key))

    async def scenario(door: Door) -> None:
        claims = {"sub": "alice", "exp": time.time() + 600}
        right = jwt.encode(claims, key, "RS256")
        assert results(await door.call(metadata=bearer(right)))[0].tolist() == [48.0]
        for wrong in (jwt.encode(claims, rsa_key(), "RS256"), jwt.encode(claims | {"exp": 1}, key, "RS256")):
            error = await _error(door, metadata=bearer(wrong))
            assert (error.code(), error.details()) == (grpc.StatusCode.UNAUTHENTICATED, "no valid credentials")

    run_door(small_settings(jwt_key_file=str(tmp_path / "keys")), scenario)


def test_health_is_open_and_nothing_else(token_file: Path) -> None:
    """Who has no token can ask whether the server is there, and cannot ask what it offers."""

    async def scenario(door: Door) -> None:
        body = await door.call(method="/grpc.health.v1.Health/Check", body=b"")
        assert health_pb2.HealthCheckResponse.FromString(body).status == health_pb2.HealthCheckResponse.SERVING
        assert await _reflection_code(door, ()) is grpc.StatusCode.UNAUTHENTICATED
        assert await _reflection_code(door, bearer(SECRET)) is grpc.StatusCode.OK

    run_door(small_settings(token_file=str(token_file)), scenario)


async def _reflection_code(door: Door, metadata: Metadata) -> grpc.StatusCode:
    request = reflection_pb2.ServerReflectionRequest(list_services="")

    def ask_in_thread() -> grpc.StatusCode:
        # gRPC's client for asyncio has an error of its own for a stream that ends while it writes to it.
        with grpc.insecure_channel(door.front.address) as channel:
            method: Any = channel.stream_stream(_REFLECTION, None, None)
            call = method(iter([request.SerializeToString()]), metadata=tuple(metadata), timeout=60)
            with contextlib.suppress(grpc.RpcError):
                list(call)
            code: grpc.StatusCode = call.code()
            return code

    return await asyncio.to_thread(ask_in_thread)


def test_reflection_can_be_turned_off() -> None:
    """A server that is told not to describe its services does not know the question."""
    code = run_door(small_settings(reflection="off"), lambda door: _reflection_code(door, ()))
    assert code is grpc.StatusCode.UNIMPLEMENTED


def test_a_stream_needs_a_token(token_file: Path) -> None:
    """A stream without a token ends at once, and one with a token is answered."""

    async def scenario(door: Door) -> tuple[list[bytes], grpc.StatusCode]:
        async with door.channel() as channel:
            method: Any = channel.stream_stream(_STREAM, None, None)
            answered = method(iter([_message(0)]), metadata=bearer(SECRET), timeout=60)
            answers = [body async for body in answered]
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                [body async for body in method(iter([_message(0)]), timeout=60)]
            return answers, caught.value.code()

    answers, code = run_door(small_settings(token_file=str(token_file)), scenario)
    assert [_kind(body) for body in answers] == ["response"]
    assert code is grpc.StatusCode.UNAUTHENTICATED


def _message(sequence: int) -> bytes:
    return service_pb2.EvaluateStreamRequest(sequence=sequence, request=evaluation()).SerializeToString()


def _kind(body: bytes) -> str:
    answer = service_pb2.EvaluateStreamResponse.FromString(body)
    return "response" if answer.HasField("response") else "error"


def test_a_stream_does_not_outlive_its_token(token_file: Path) -> None:
    """When a token is taken out while a stream is open, what came before is answered, and then the stream ends."""

    async def scenario(door: Door) -> tuple[list[str], grpc.StatusCode]:
        async with door.channel() as channel:
            method: Any = channel.stream_stream(_STREAM, None, None)
            call = method(metadata=bearer(SECRET), timeout=60)
            await call.write(_message(0))
            answers = [await call.read()]
            await asyncio.to_thread(token_file.write_text, token_line("bob", "b"))
            await door.security.refresh()
            await call.write(_message(1))
            with pytest.raises(grpc.aio.AioRpcError):
                answers.append(await call.read())
            return [_kind(body) for body in answers], await call.code()

    settings = small_settings(token_file=str(token_file))
    assert run_door(settings, scenario) == (["response"], grpc.StatusCode.UNAUTHENTICATED)


def test_tokens_and_certificates_together(tmp_path: Path, token_file: Path) -> None:
    """A server that asks for both a certificate and a token answers only who has both."""
    authority = Authority(tmp_path)
    settings = tls_settings(authority.issue("server"), authority.file, token_file=str(token_file))

    async def scenario(door: Door) -> list[grpc.StatusCode]:
        codes = []
        for pair, metadata in (
            (authority.issue("a"), bearer(SECRET)),
            (authority.issue("a"), ()),
            (None, bearer(SECRET)),
        ):
            try:
                await door.call(trusting(authority.file, pair), metadata=metadata)
            except grpc.aio.AioRpcError as error:
                codes.append(error.code())
            else:
                codes.append(grpc.StatusCode.OK)
        return codes

    assert run_door(settings, scenario) == [
        grpc.StatusCode.OK,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNAVAILABLE,
    ]


def test_quotas_by_caller(token_file: Path) -> None:
    """A caller beyond its quota is told so and when to come back, while another caller is answered."""
    settings = small_settings(token_file=str(token_file), caller_requests_per_second=0.01, caller_burst_seconds=300)

    async def scenario(door: Door) -> None:
        for _ in range(3):
            await door.call(metadata=bearer(SECRET))
        status = refused(await _error(door, metadata=bearer(SECRET)))
        assert refusal(status) == ("RESOURCE_EXHAUSTED", "REQUEST_QUOTA_EXCEEDED")
        assert "caller 'alice'" in status.message
        assert 0 < (retry_seconds(status) or 0) <= 100
        await door.call(metadata=bearer("b"))

    run_door(settings, scenario)


def test_messages_of_a_stream_are_charged() -> None:
    """Each message of a stream counts against the quota, and one beyond it is refused without ending the stream."""
    settings = small_settings(caller_requests_per_second=0.01, caller_burst_seconds=200)

    async def scenario(door: Door) -> list[str]:
        async with door.channel() as channel:
            method: Any = channel.stream_stream(_STREAM, None, None)
            call = method(iter([_message(number) for number in range(4)]), timeout=60)
            return [_kind(body) async for body in call]

    assert run_door(settings, scenario) == ["response", "response", "error", "error"]


@pytest.mark.parametrize(
    "headers",
    [
        [("x", "y" * 10_000)],
        [("x", "y" * 20_000)],
        [("x", "y" * 1_000_000)],
        [(f"x{number}", "y") for number in range(5_000)],
    ],
)
def test_a_flood_of_headers(headers: list[tuple[str, str]]) -> None:
    """Headers above 8 KiB in all are refused before the call is looked at, and the next call is answered."""

    async def scenario(door: Door) -> grpc.StatusCode:
        await door.call(metadata=[("x", "y" * 7_000)])
        error = await _error(door, metadata=headers)
        assert results(await door.call())[0].tolist() == [48.0]
        return error.code()

    assert run_door(small_settings(), scenario) is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_connections_have_ten_seconds_to_open() -> None:
    """The time in which a connection must be open is ten seconds, and dead and idle ones are closed as well."""
    from gradmill_server.serving.transport import _options  # noqa: PLC0415

    options = dict(_options(small_settings()))
    assert options["grpc.server_handshake_timeout_ms"] == 10_000
    assert options["grpc.keepalive_time_ms"] + options["grpc.keepalive_timeout_ms"] <= 120_000
    assert options["grpc.max_connection_idle_ms"] <= 300_000


@pytest.mark.parametrize("first_bytes", [b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01"])
@pytest.mark.parametrize("secured", [False, True])
def test_half_open_connections_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first_bytes: bytes, secured: bool
) -> None:
    """Connections that never finish opening keep nobody from being answered, and are closed when their time is over."""
    monkeypatch.setattr(transport, "_HANDSHAKE_MILLISECONDS", 400)
    authority = Authority(tmp_path)
    settings = tls_settings(authority.issue("server")) if secured else small_settings()
    credentials = trusting(authority.file) if secured else None

    async def scenario(door: Door) -> None:
        opened = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(100)]
        for _, writer in opened:
            writer.write(first_bytes)
        assert results(await door.call(credentials))[0].tolist() == [48.0]
        for reader, writer in opened:
            with contextlib.suppress(ConnectionError):
                while await asyncio.wait_for(reader.read(1_000), 10):
                    pass
            writer.close()
        assert results(await door.call(credentials))[0].tolist() == [48.0]

    run_door(settings, scenario)


def test_points_are_charged(token_file: Path) -> None:
    """A caller that had its points is refused by the quota's name until they are back, and others are answered."""
    settings = small_settings(token_file=str(token_file), caller_points_per_second=0.01, caller_burst_seconds=200)

    async def scenario(door: Door) -> None:
        body = evaluation(points=matrix([[2.0, 3.0, 4.0]] * 3)).SerializeToString()
        await door.call(metadata=bearer(SECRET), body=body)
        status = refused(await _error(door, metadata=bearer(SECRET)))
        assert refusal(status) == ("RESOURCE_EXHAUSTED", "POINT_QUOTA_EXCEEDED")
        assert (retry_seconds(status) or 0) > 100
        await door.call(metadata=bearer("b"))

    run_door(settings, scenario)


def test_a_function_of_another_caller_is_unknown(token_file: Path) -> None:
    """The digest of a function that another caller sent is answered exactly as one that nobody ever sent."""

    async def scenario(door: Door) -> None:
        body = service_pb2.RegisterFunctionRequest(function=formula()).SerializeToString()
        register = f"/{SERVICE_NAME}/RegisterFunction"
        registered = await door.call(metadata=bearer(SECRET), method=register, body=body)
        known = service_pb2.RegisterFunctionResponse.FromString(registered).digest
        unknown = bytes(reversed(known))
        answers = []
        for name in (known, unknown):
            request = evaluation(digest(name)).SerializeToString()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await door.call(metadata=bearer("b"), body=request)
            status = refused(caught.value)
            assert refusal(status) == ("NOT_FOUND", "DIGEST_UNKNOWN")
            answers.append(status.SerializeToString().replace(name.hex().encode(), b"").replace(name, b""))
        assert answers[0] == answers[1]
        await door.call(metadata=bearer(SECRET), body=evaluation(digest(known)).SerializeToString())

    run_door(small_settings(token_file=str(token_file)), scenario)
