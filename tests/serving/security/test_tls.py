"""TLS and mutual TLS, with right, wrong, missing and expired certificates."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from gradmill_server.serving.call import CallContext

from tests.serving.security.fronts import Door, ask, handshake, run_door, tls_settings, trusting
from tests.serving.security.makers import Authority, Pair
from tests.serving.support import results, small_settings


async def _code(door: Door, credentials: grpc.ChannelCredentials | None) -> grpc.StatusCode:
    """Return how a call over a connection of its own ends."""
    try:
        answer = await door.call(credentials)
    except grpc.aio.AioRpcError as error:
        return error.code()
    assert results(answer)[0].tolist() == [48.0]
    return grpc.StatusCode.OK


def test_a_server_with_the_right_certificate(tmp_path: Path) -> None:
    """Who trusts the authority of the server's certificate is answered, without a certificate of its own."""
    authority = Authority(tmp_path)
    pair = authority.issue("server")
    assert run_door(tls_settings(pair), lambda door: _code(door, trusting(authority.file))) is grpc.StatusCode.OK


def _other_authority(folder: Path, authority: Authority) -> tuple[Pair, grpc.ChannelCredentials | None]:
    return authority.issue("server"), trusting(Authority(folder, "other").file)


def _expired(_: Path, authority: Authority) -> tuple[Pair, grpc.ChannelCredentials | None]:
    return authority.issue("server", days=-1), trusting(authority.file)


def _in_clear(_: Path, authority: Authority) -> tuple[Pair, grpc.ChannelCredentials | None]:
    return authority.issue("server"), None


def _other_name(_: Path, authority: Authority) -> tuple[Pair, grpc.ChannelCredentials | None]:
    return authority.issue("server", alternative_names=()), trusting(authority.file)


@pytest.mark.parametrize("case", [_other_authority, _expired, _in_clear, _other_name])
def test_a_connection_that_cannot_be_trusted(
    tmp_path: Path, case: Callable[[Path, Authority], tuple[Pair, grpc.ChannelCredentials | None]]
) -> None:
    """A certificate of another authority, of another name or out of date, and clear text, end UNAVAILABLE."""
    authority = Authority(tmp_path)
    pair, credentials = case(tmp_path, authority)

    assert run_door(tls_settings(pair), lambda door: _code(door, credentials)) is grpc.StatusCode.UNAVAILABLE


def test_tls_to_a_server_in_clear(tmp_path: Path) -> None:
    """Who wants TLS of a server that has none is not answered in clear."""
    credentials = trusting(Authority(tmp_path).file)
    assert run_door(small_settings(), lambda door: _code(door, credentials)) is grpc.StatusCode.UNAVAILABLE


def test_old_versions_of_tls_are_refused(tmp_path: Path) -> None:
    """TLS 1.2 and 1.3 are spoken, 1.1 and older are not."""
    authority = Authority(tmp_path)

    async def scenario(door: Door) -> list[str]:
        versions = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
        agreed = [(await asyncio.to_thread(handshake, door.port, authority.file, version))[0] for version in versions]
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            with pytest.warns(DeprecationWarning, match="TLSv1"), pytest.raises(OSError, match=r"SSL|EOF|reset"):
                handshake(door.port, authority.file, version)
        return agreed

    assert run_door(tls_settings(authority.issue("server")), scenario) == ["TLSv1.2", "TLSv1.3"]


def _heard(door: Door) -> list[str]:
    """Return the list of callers that calls come in the name of, as they come."""
    heard: list[str] = []
    answer = door.handler.call

    async def listening(method: str, body: bytes, context: CallContext) -> bytes:
        heard.append(context.caller)
        return await answer(method, body, context)

    door.handler.call = listening  # type: ignore[method-assign]
    return heard


@pytest.mark.parametrize(("alternative_names", "expected"), [(("bob.mill", "other"), "bob.mill"), ((), "bob")])
def test_a_caller_with_the_right_certificate(tmp_path: Path, alternative_names: tuple[str, ...], expected: str) -> None:
    """With mutual TLS a call comes in the name of its certificate: the first alternative name, else the common name."""
    authority = Authority(tmp_path)
    pair = authority.issue("bob", alternative_names=alternative_names)

    async def scenario(door: Door) -> list[str]:
        heard = _heard(door)
        assert await _code(door, trusting(authority.file, pair)) is grpc.StatusCode.OK
        return heard

    assert run_door(tls_settings(authority.issue("server"), authority.file), scenario) == [expected]


@pytest.mark.parametrize("kind", ["missing", "of another authority", "expired"])
def test_a_caller_without_the_right_certificate(tmp_path: Path, kind: str) -> None:
    """With mutual TLS a caller whose certificate is missing, wrong or out of date is not connected."""
    authority = Authority(tmp_path)
    settings = tls_settings(authority.issue("server"), authority.file)
    pair = {
        "missing": None,
        "of another authority": Authority(tmp_path, "other").issue("alice"),
        "expired": authority.issue("alice", days=-1),
    }[kind]

    async def scenario(door: Door) -> grpc.StatusCode:
        code = await _code(door, trusting(authority.file, pair))
        assert await _code(door, trusting(authority.file, authority.issue("bob"))) is grpc.StatusCode.OK
        return code

    assert run_door(settings, scenario) is grpc.StatusCode.UNAVAILABLE


def test_a_new_certificate_without_a_restart(tmp_path: Path) -> None:
    """After the files changed new connections get the new certificate, while a connection of before goes on."""
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    pair, next_pair = old.issue("server"), new.issue("server-2")

    async def scenario(door: Door) -> tuple[grpc.StatusCode, str]:
        async with door.channel(trusting(old.file)) as before:
            await ask(before)
            pair.certificate.write_bytes(b"garbage")
            await door.security.refresh()
            assert await _code(door, trusting(old.file)) is grpc.StatusCode.OK
            pair.certificate.write_bytes(next_pair.certificate.read_bytes())
            pair.key.write_bytes(next_pair.key.read_bytes())
            await door.security.refresh()
            assert results(await ask(before))[0].tolist() == [48.0]
        shown = await asyncio.to_thread(handshake, door.port, new.file, ssl.TLSVersion.TLSv1_3)
        assert await _code(door, trusting(new.file)) is grpc.StatusCode.OK
        return await _code(door, trusting(old.file)), shown[1]

    assert run_door(tls_settings(pair), scenario) == (grpc.StatusCode.UNAVAILABLE, "server-2")


def test_a_new_authority_for_callers_without_a_restart(tmp_path: Path) -> None:
    """After the authority for callers' certificates changed, new connections need one of the new authority."""
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(authority.file.read_bytes())
    settings = tls_settings(authority.issue("server"), trusted)

    async def scenario(door: Door) -> list[grpc.StatusCode]:
        callers = [trusting(authority.file, each.issue("alice")) for each in (authority, other)]
        codes = [await _code(door, each) for each in callers]
        trusted.write_bytes(other.file.read_bytes())
        await door.security.refresh()
        return codes + [await _code(door, each) for each in callers]

    ok, unavailable = grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE
    assert run_door(settings, scenario) == [ok, unavailable, unavailable, ok]
