"""A real server with TLS, tokens and quotas, and real clients with right, wrong, missing and expired credentials."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradmill as gm
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.end_to_end.server_process import ServerProcess, running_server
from tests.serving.security.fronts import handshake, token_line
from tests.serving.security.makers import Authority, Pair, private_pem, public_pem, rsa_key

FORMULA, POINT = "3*(x1**2 + x2*x3)", {"x1": 2, "x2": 3, "x3": 4}
TOKENS = {"alice": "token-of-alice", "limited": "token-of-limited", "carol": "token-of-carol"}
ONCE = gm.RetryPolicy(maximum_attempts=1)
_PATIENCE_SECONDS = 30.0
_COMMAND = Path(sys.executable).with_name("gradmill")


class House:
    """A server that asks for tokens over TLS, and all that belongs to it."""

    def __init__(self, folder: Path) -> None:
        """Write every file and start the server."""
        self.folder = folder
        self.authority = Authority(folder)
        self.pair = self.authority.issue("server")
        self.issuer = rsa_key()
        self.token_file = folder / "tokens"
        self.token_file.write_text(self.token_lines())
        (folder / "issuer.pem").write_bytes(public_pem(self.issuer))
        (folder / "quotas").write_text("limited 0.3 0\n")
        self.flags = [
            *("--tls-certificate-file", str(self.pair.certificate), "--tls-key-file", str(self.pair.key)),
            *("--token-file", str(self.token_file), "--jwt-key-file", str(folder / "issuer.pem")),
            *("--jwt-issuer", "mill", "--jwt-audience", "gradients", "--caller-quota-file", str(folder / "quotas")),
            *("--caller-burst-seconds", "7"),
            *("--reload-seconds", "0.1", "--log-level", "debug"),
        ]

    @staticmethod
    def token_lines() -> str:
        """Return the lines of the file of tokens; that of carol has expired."""
        dates = {"carol": "2001-01-01"}
        return "".join(token_line(name, token, dates.get(name, "")) for name, token in TOKENS.items())

    def web_token(self, key: rsa.RSAPrivateKey | None = None, **changes: object) -> str:
        """Return a JSON web token, by default a right one of the issuer's."""
        claims = {"sub": "dora", "iss": "mill", "aud": "gradients", "exp": time.time() + 600} | changes
        return jwt.encode(claims, key or self.issuer, "RS256")


@pytest.fixture(scope="module", autouse=True)
def _one_process() -> Iterator[None]:
    """Let servers be one process, which counts quotas and reads files for itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADMILL_PROCESSES", "1")
        yield


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """Write the files of one server for the whole module."""
    return House(tmp_path_factory.mktemp("house"))


@pytest.fixture(scope="module")
def server(house: House) -> Iterator[ServerProcess]:
    """Run one server for the whole module."""
    with running_server(*house.flags) as process:
        yield process


def _gradient(server: ServerProcess, house: House, **options: Any) -> Any:  # noqa: ANN401 - whatever connect takes
    """Return the gradient of the textbook function, asked for with these options of `connect`."""
    defaults: dict[str, Any] = {"tls": gm.TLS(certificate_authority=house.authority.file), "retries": ONCE}
    with gm.connect(server.address, **defaults | options) as client:
        return client.gradient(FORMULA, POINT).gradient


RIGHT = {"x1": 12.0, "x2": 12.0, "x3": 9.0}


def test_right_tokens(server: ServerProcess, house: House) -> None:
    """A token in the file and a JSON web token of the issuer are answered, by threads and by asyncio."""
    tokens: list[str | Callable[[], str]] = [TOKENS["alice"], house.web_token(), house.web_token]
    for token in tokens:
        assert _gradient(server, house, token=token) == RIGHT

    async def ask() -> Any:  # noqa: ANN401 - as above
        tls = gm.TLS(certificate_authority=house.authority.file)
        async with gm.connect_async(server.address, tls=tls, token=TOKENS["alice"]) as client:
            return (await client.gradient(FORMULA, POINT)).gradient

    assert asyncio.run(ask()) == RIGHT


def test_wrong_missing_and_expired_tokens(server: ServerProcess, house: House) -> None:
    """Tokens that are wrong, missing or expired, of either kind, are refused by one message; the log has the causes."""
    other = rsa_key()
    wrong = {
        "token_missing": None,
        "token_unknown": "token-of-alic",
        "token_expired": TOKENS["carol"],
        "web_token_signature_wrong": house.web_token(other),
        "web_token_expired": house.web_token(exp=1_000_000_000),
        "web_token_not_yet_valid": house.web_token(nbf=32_503_680_000),
        "web_token_audience_wrong": house.web_token(aud="other"),
        "web_token_issuer_wrong": house.web_token(iss="other"),
    }
    messages = set()
    for token in wrong.values():
        with pytest.raises(gm.AccessDeniedError) as caught:
            _gradient(server, house, token=token)
        messages.add((caught.value.status, str(caught.value)))
    assert messages == {("UNAUTHENTICATED", "no valid credentials")}

    def causes() -> set[str]:
        return {entry["cause"] for entry in server.records() if entry["event"] == "authentication_failed"}

    _until(lambda: causes() >= wrong.keys())


def test_wrong_and_missing_tls(server: ServerProcess, house: House) -> None:
    """A client that trusts another authority, or speaks in clear, gets no answer and leaks no token to it."""
    other = Authority(house.folder, "other")
    with pytest.raises(gm.UnavailableError, match="no server answers"):
        _gradient(server, house, tls=gm.TLS(certificate_authority=other.file), token=TOKENS["alice"])
    with pytest.raises(gm.UnavailableError, match="no server answers"):
        _gradient(server, house, tls=None, token=TOKENS["alice"])


def test_the_command_with_tls_and_a_token(server: ServerProcess, house: House) -> None:
    """The command asks a secured server with a token from a file or the environment, and is refused without."""
    command = [str(_COMMAND), "eval", FORMULA, *(f"--at={name}={value}" for name, value in POINT.items())]
    command += ["--server", server.address, "--certificate-authority", str(house.authority.file)]
    (house.folder / "token").write_text(TOKENS["alice"] + "\n")
    from_file = [*command, "--token-file", str(house.folder / "token")]
    clean = {name: value for name, value in os.environ.items() if name != "GRADMILL_TOKEN"}
    for arguments, environment, status in (
        (from_file, clean, 0),
        (command, clean | {"GRADMILL_TOKEN": TOKENS["alice"]}, 0),
        (command, clean, 1),
    ):
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == status, done.stderr
        assert ("(12, 12, 9)" in done.stdout) is (status == 0)
        assert "Traceback" not in done.stderr


def test_a_quota_refuses_one_caller_only(server: ServerProcess, house: House) -> None:
    """A caller beyond its quota hears when to come back, a patient one waits for that, and others are answered."""
    assert _gradient(server, house, token=TOKENS["limited"]) == RIGHT  # two requests: the function, then the point
    with pytest.raises(gm.LimitError) as caught:
        _gradient(server, house, token=TOKENS["limited"])
    assert (caught.value.reason, caught.value.status) == ("REQUEST_QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED")
    assert 0 < (caught.value.retry_delay_seconds or 0) <= 5
    assert "caller_requests_per_second" in str(caught.value)
    assert _gradient(server, house, token=TOKENS["alice"]) == RIGHT
    tls = gm.TLS(certificate_authority=house.authority.file)
    with gm.connect(server.address, tls=tls, token=TOKENS["limited"]) as patient:
        assert patient.operations()


def _until(condition: Callable[[], bool]) -> None:
    patience = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < patience
        time.sleep(0.05)


def test_tokens_come_and_go_without_a_restart(server: ServerProcess, house: House) -> None:
    """A token that is written into the file is taken soon after, and one that is taken out is refused."""

    def is_taken(token: str) -> bool:
        try:
            return bool(_gradient(server, house, token=token) == RIGHT)
        except gm.AccessDeniedError:
            return False

    assert not is_taken("token-of-eve")
    house.token_file.write_text(house.token_lines() + token_line("eve", "token-of-eve"))
    _until(lambda: is_taken("token-of-eve"))
    house.token_file.write_text(house.token_lines())
    _until(lambda: not is_taken("token-of-eve"))
    assert is_taken(TOKENS["alice"])


def test_a_certificate_is_replaced_without_a_restart(server: ServerProcess, house: House) -> None:
    """A new connection sees the new certificate soon after it was written, while one of before goes on."""

    def shown() -> str:
        return handshake(int(server.address.rpartition(":")[2]), house.authority.file, ssl.TLSVersion.TLSv1_3)[1]

    def replace_by(pair: Pair) -> None:
        house.pair.certificate.write_bytes(pair.certificate.read_bytes())
        house.pair.key.write_bytes(pair.key.read_bytes())

    tls = gm.TLS(certificate_authority=house.authority.file)
    with gm.connect(server.address, tls=tls, token=TOKENS["alice"]) as client:
        assert client.gradient(FORMULA, POINT).gradient == RIGHT
        replace_by(house.authority.issue("server-renewed"))
        _until(lambda: shown() == "server-renewed")
        assert client.gradient(FORMULA, POINT).gradient == RIGHT
    house.pair.key.write_bytes(b"-----BEGIN PRIVATE KEY-----\nbroken\n-----END PRIVATE KEY-----\n")
    _until(lambda: any(entry["event"] == "files_unusable" for entry in server.records()))
    assert shown() == "server-renewed"
    assert _gradient(server, house, token=TOKENS["alice"]) == RIGHT


def test_nothing_secret_is_written(server: ServerProcess, house: House) -> None:
    """Whatever happened, the log has no token and no key, not even at its most talkative, and is records only."""
    for token in (TOKENS["alice"], TOKENS["carol"], house.web_token(), house.web_token(exp=1)):
        try:
            _gradient(server, house, token=token)
        except gm.AccessDeniedError:
            continue
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2]))) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            plain.recv(1_000)
    log = server.log()
    secrets = [*TOKENS.values(), *private_pem(house.issuer).decode().splitlines()[1:-1]]
    secrets += house.pair.key.read_text().splitlines()[1:-1]
    assert [secret for secret in secrets if secret in log] == []
    assert "eyJ" not in log, "what every JSON web token begins with"
    assert all(json.loads(line)["event"] for line in log.splitlines())


def test_mutual_tls(tmp_path: Path) -> None:
    """With mutual TLS a client with the right certificate is answered, and with none, a wrong or an expired one not."""
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    pair = authority.issue("server")
    flags = ["--tls-certificate-file", str(pair.certificate), "--tls-key-file", str(pair.key)]
    with running_server(*flags, "--tls-client-authority-file", str(authority.file)) as server:
        for own, answered in (
            (authority.issue("alice"), True),
            (None, False),
            (other.issue("alice"), False),
            (authority.issue("bob", days=-1), False),
        ):
            tls = gm.TLS(authority.file, own.certificate, own.key) if own else gm.TLS(authority.file)
            with gm.connect(server.address, tls=tls, retries=ONCE) as client:
                if answered:
                    assert client.gradient(FORMULA, POINT).gradient == RIGHT
                else:
                    with pytest.raises(gm.UnavailableError):
                        client.gradient(FORMULA, POINT)


def test_a_server_whose_own_certificate_has_expired(tmp_path: Path) -> None:
    """A client does not speak to a server whose certificate is out of date."""
    authority = Authority(tmp_path)
    pair = authority.issue("server", days=-1)
    flags = ["--tls-certificate-file", str(pair.certificate), "--tls-key-file", str(pair.key)]
    with (
        running_server(*flags) as server,
        gm.connect(server.address, tls=gm.TLS(authority.file), retries=ONCE) as client,
        pytest.raises(gm.UnavailableError, match="certificate has expired"),
    ):
        client.gradient(FORMULA, POINT)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--token-file", "/nowhere/tokens"], "token_file: /nowhere/tokens: No such file"),
        (["--tls-certificate-file", "c.pem"], "belong together"),
        (["--host", "0.0.0.0", "--token-file", "t"], "in clear"),  # noqa: S104 - it is refused
    ],
)
def test_a_server_that_cannot_be_safe_does_not_start(flags: list[str], said: str) -> None:
    """Files that cannot be used, and tokens over an open address in clear, are one line and exit status 2."""
    done = subprocess.run([_COMMAND, "serve", *flags], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
