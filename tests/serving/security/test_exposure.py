"""What of a server can be reached, and what is refused or said before it listens."""

from __future__ import annotations

import resource
from dataclasses import replace

import pytest
from gradmill_server.serving.options import SettingsError, read_settings
from gradmill_server.serving.security.descriptors import raise_descriptor_limit
from gradmill_server.serving.security.exposure import is_loopback, serves_reflection, warnings
from gradmill_server.serving.settings import Settings

TLS = ["--tls-certificate-file", "c.pem", "--tls-key-file", "k.pem"]
OPEN = ["--host", "0.0.0.0"]  # noqa: S104 - what is to be refused


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 - what is to be told apart
        ("[::]", False),
        ("10.1.2.3", False),
        ("localhost.example.com", False),
        ("", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    """Only addresses that no other machine can reach count as loopback."""
    assert is_loopback(host) is expected


def test_reflection_is_served_where_only_this_machine_can_ask() -> None:
    """Services are described on loopback addresses, elsewhere only when told, and never when told not to."""
    near, far = Settings(), replace(Settings(), host="10.1.2.3")
    assert (serves_reflection(near), serves_reflection(far)) == (True, False)
    assert serves_reflection(replace(far, reflection="on"))
    assert not serves_reflection(replace(near, reflection="off"))


def test_metrics_listen_on_loopback_unless_told() -> None:
    """Metrics are not reachable from other machines by default, whatever the host is."""
    assert is_loopback(read_settings(OPEN, {}).metrics_host)


@pytest.mark.parametrize("flags", [["--token-file", "t"], ["--jwt-key-file", "k"], ["--jwt-secret-file", "s"]])
def test_tokens_do_not_cross_a_network_in_clear(flags: list[str]) -> None:
    """A server that asks for tokens on an open address without TLS is not started, unless told that clear is meant."""
    with pytest.raises(SettingsError, match="tokens would cross the network in clear"):
        read_settings([*OPEN, *flags], {})
    read_settings([*OPEN, *flags, *TLS], {})
    read_settings([*OPEN, *flags, "--tokens-in-clear", "on"], {})
    read_settings(flags, {})


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (TLS[:2], "belong together"),
        (TLS[2:], "belong together"),
        (["--tls-client-authority-file", "a"], "tls_client_authority_file needs"),
        (["--jwt-key-file", "k", "--jwt-secret-file", "s"], "exclude each other"),
        (["--jwt-key-file", "k", "--jwt-algorithms", "RS256,none"], "jwt_algorithms has 'none'"),
        (["--jwt-key-file", "k", "--jwt-algorithms", "RS256,HS256"], "jwt_algorithms has 'HS256'"),
        (["--jwt-secret-file", "s", "--jwt-algorithms", "RS256"], "jwt_algorithms has 'RS256'"),
        (["--reflection", "maybe"], "one of auto, on, off"),
        (["--caller-requests-per-second", "-1"], "a number of requests per second"),
    ],
)
def test_settings_that_contradict_each_other(flags: list[str], said: str) -> None:
    """Half a pair of files, two kinds of keys, and algorithms that do not fit the key are refused by name."""
    with pytest.raises(SettingsError, match=said):
        read_settings(flags, {})


def test_an_open_server_is_warned_of() -> None:
    """Who listens beyond loopback in clear, without credentials, or with metrics, is told so; who is safe, nothing."""
    assert warnings(Settings()) == []
    clear, anyone = warnings(read_settings(OPEN, {}))
    assert "in clear" in clear
    assert "anyone may call" in anyone
    assert warnings(read_settings([*OPEN, *TLS, "--token-file", "t"], {})) == []
    assert warnings(read_settings([*OPEN, *TLS, "--tls-client-authority-file", "a"], {})) == []
    (metrics,) = warnings(read_settings(["--metrics-host", "[::]"], {}))
    assert "metrics_host [::]" in metrics


def test_file_descriptors_are_raised_to_what_is_allowed() -> None:
    """A server may have as many connections as the hard limit of its process allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, soft), hard))
        allowed = raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == allowed > 256
        assert raise_descriptor_limit() == allowed
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
