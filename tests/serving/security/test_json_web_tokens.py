"""JSON web tokens: right, wrong in every way, expired, and tricks with algorithms."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from gradmill_server.serving.security.files import UnusableFile
from gradmill_server.serving.security.identities import Cause, Refused
from gradmill_server.serving.security.json_web_tokens import WebTokens
from gradmill_server.serving.settings import Settings

from tests.serving.security.makers import private_pem, public_pem, rsa_key
from tests.serving.security.recording import RecordedAudit

SECRET = b"a secret of the length that is needed for HS256, HS384 and also for HS512"


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    """Make the issuer's key."""
    return rsa_key()


@pytest.fixture
def checker(tmp_path: Path, key: rsa.RSAPrivateKey) -> WebTokens:
    """Give what checks tokens of the issuer "mill" for the audience "gradients"."""
    return _checker(tmp_path, public_pem(key), jwt_issuer="mill", jwt_audience="gradients")


def _checker(folder: Path, content: bytes, *, secret: bool = False, **settings: Any) -> WebTokens:  # noqa: ANN401
    path = folder / "keys"
    path.write_bytes(content)
    settings["jwt_secret_file" if secret else "jwt_key_file"] = str(path)
    return WebTokens(replace(Settings(), **settings), RecordedAudit())


def _claims(**changes: Any) -> dict[str, Any]:  # noqa: ANN401  a claim may be anything
    claims = {"sub": "alice", "iss": "mill", "aud": "gradients", "exp": time.time() + 600} | changes
    return {name: value for name, value in claims.items() if value is not None}


def _signed(
    key: Any,  # noqa: ANN401  of any kind
    algorithm: str = "RS256",
    headers: Mapping[str, Any] | None = None,
    **changes: Any,  # noqa: ANN401
) -> str:
    return jwt.encode(_claims(**changes), key, algorithm, dict(headers or {}))


def _by_hand(header: Mapping[str, Any], claims: Mapping[str, Any], secret: bytes | None) -> str:
    """Return a token that the library would not make."""

    def encoded(part: bytes) -> str:
        return base64.urlsafe_b64encode(part).rstrip(b"=").decode()

    signed = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(claims).encode())}"
    signature = b"" if secret is None else hmac.digest(secret, signed.encode(), hashlib.sha256)
    return f"{signed}.{encoded(signature)}"


def _cause(checker: WebTokens, token: str) -> Cause:
    with pytest.raises(Refused) as caught:
        checker.identify(token)
    return caught.value.cause


def test_a_right_token_names_its_caller(checker: WebTokens, key: rsa.RSAPrivateKey) -> None:
    """A token that the issuer signed names the caller, until it expires and the leeway is over."""
    expires = int(time.time()) + 600
    assert checker.identify(_signed(key, exp=expires)) == ("alice", expires + 10)
    assert checker.identify(_signed(key, "PS512", exp=expires)).caller == "alice"
    assert checker.identify(_signed(key, aud=["other", "gradients"])).caller == "alice"


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"exp": 1_000_000_000}, Cause.WEB_TOKEN_EXPIRED),
        ({"nbf": 32_503_680_000}, Cause.WEB_TOKEN_NOT_YET_VALID),
        ({"iat": 32_503_680_000}, Cause.WEB_TOKEN_NOT_YET_VALID),
        ({"aud": "other"}, Cause.WEB_TOKEN_AUDIENCE_WRONG),
        ({"aud": None}, Cause.WEB_TOKEN_CLAIM_MISSING),
        ({"iss": "other"}, Cause.WEB_TOKEN_ISSUER_WRONG),
        ({"iss": None}, Cause.WEB_TOKEN_CLAIM_MISSING),
        ({"exp": None}, Cause.WEB_TOKEN_CLAIM_MISSING),
        ({"sub": None}, Cause.WEB_TOKEN_CLAIM_MISSING),
        ({"sub": ""}, Cause.NAME_UNUSABLE),
        ({"sub": "al\x1bice"}, Cause.NAME_UNUSABLE),
        ({"sub": "x" * 129}, Cause.NAME_UNUSABLE),
    ],
)
def test_a_token_with_wrong_claims(
    checker: WebTokens, key: rsa.RSAPrivateKey, changes: Mapping[str, Any], cause: Cause
) -> None:
    """A token that has expired, is not valid yet, is by or for another, or lacks a claim is refused for that."""
    assert _cause(checker, _signed(key, **changes)) == cause


def test_a_token_of_another_signer(checker: WebTokens) -> None:
    """A token that somebody else signed is refused."""
    assert _cause(checker, _signed(rsa_key())) == Cause.WEB_TOKEN_SIGNATURE_WRONG


def test_a_token_that_was_changed(checker: WebTokens, key: rsa.RSAPrivateKey) -> None:
    """A token whose claims were changed after it was signed is refused."""
    head, _, signature = _signed(key).split(".")
    _, body, _ = _signed(key, sub="admin").split(".")
    assert _cause(checker, f"{head}.{body}.{signature}") == Cause.WEB_TOKEN_SIGNATURE_WRONG


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
def test_a_token_without_a_signature(checker: WebTokens, algorithm: str) -> None:
    """A token that says it needs no signature is refused, however it spells that."""
    assert _cause(checker, _by_hand({"alg": algorithm}, _claims(), None)) == Cause.WEB_TOKEN_KEY_UNKNOWN


def test_a_public_key_is_no_secret(checker: WebTokens, key: rsa.RSAPrivateKey) -> None:
    """A token signed by HMAC with the public key, which everyone may know, is refused."""
    token = _by_hand({"alg": "HS256", "typ": "JWT"}, _claims(), public_pem(key))
    assert _cause(checker, token) == Cause.WEB_TOKEN_KEY_UNKNOWN


@pytest.mark.parametrize(
    "token",
    [
        "",
        "..",
        "a.b.c",
        "é.é.é",
        _by_hand({"alg": ["RS256"]}, {}, b"x"),
        _by_hand({"alg": {"a": 1}, "kid": 5}, {}, b"x"),
        _by_hand({"alg": "RS256", "b64": False, "crit": ["b64"]}, {}, b"x"),
        "x" * 7_000,
        base64.urlsafe_b64encode(b"[" * 3_000).decode() + ".e30.",
    ],
)
def test_what_is_no_token(checker: WebTokens, token: str) -> None:
    """Garbage is refused like a wrong token."""
    assert _cause(checker, token) in {
        Cause.WEB_TOKEN_MALFORMED,
        Cause.WEB_TOKEN_KEY_UNKNOWN,
        Cause.WEB_TOKEN_SIGNATURE_WRONG,
    }


@pytest.mark.parametrize("expires", ["soon", 1e400, float("nan"), 10**400, [], {}])
def test_an_expiry_that_is_no_time(checker: WebTokens, key: rsa.RSAPrivateKey, expires: object) -> None:
    """A token rightly signed whose expiry is no time is refused."""
    head = {"alg": "RS256"}
    unsigned = _by_hand(head, _claims(exp=expires), None).rpartition(".")[0]
    signature = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).sign(unsigned.encode(), key)
    token = f"{unsigned}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    assert _cause(checker, token) == Cause.WEB_TOKEN_MALFORMED


def test_algorithms_can_be_fewer(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    """Of the algorithms that fit a key, settings may allow some only."""
    checker = _checker(tmp_path, public_pem(key), jwt_algorithms="PS256, ES256")
    assert checker.identify(_signed(key, "PS256", aud=None)).caller == "alice"
    assert _cause(checker, _signed(key, "RS256", aud=None)) == Cause.WEB_TOKEN_KEY_UNKNOWN
    with pytest.raises(UnusableFile, match="none that its keys can be used for"):
        _checker(tmp_path, public_pem(key), jwt_algorithms="ES256")


def test_without_an_audience_tokens_for_one_are_refused(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    """A server that was told no audience takes no token that is meant for one."""
    assert _cause(_checker(tmp_path, public_pem(key)), _signed(key)) == Cause.WEB_TOKEN_AUDIENCE_WRONG


def test_a_secret_checks_hmac_only(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    """With a shared secret, tokens are signed by HMAC, and by nothing else."""
    checker = _checker(tmp_path, SECRET + b"\n", secret=True)
    for algorithm in ("HS256", "HS384", "HS512"):
        assert checker.identify(_signed(SECRET, algorithm, aud=None)).caller == "alice"
    assert _cause(checker, _signed(b"y" * 64, "HS256", aud=None)) == Cause.WEB_TOKEN_SIGNATURE_WRONG
    assert _cause(checker, _signed(key, aud=None)) == Cause.WEB_TOKEN_KEY_UNKNOWN


def _jwk(key: PrivateKeyTypes, name: str) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPrivateKey):
        text = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        text = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())
    else:
        assert isinstance(key, ed25519.Ed25519PrivateKey)
        text = jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key())
    entry: dict[str, Any] = json.loads(text)
    return entry | {"kid": name}


def test_a_key_set_with_keys_of_each_kind(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    """A JSON web key set may hold RSA, elliptic-curve and Edwards keys; a token's key name picks among them."""
    keys: dict[str, tuple[PrivateKeyTypes, str]] = {
        "r": (key, "RS256"),
        "e": (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        "f": (ec.generate_private_key(ec.SECP384R1()), "ES384"),
        "d": (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
    }
    document = {"keys": [_jwk(private, name) for name, (private, _) in keys.items()]}
    checker = _checker(tmp_path, json.dumps(document).encode())
    for name, (private, algorithm) in keys.items():
        assert checker.identify(_signed(private, algorithm, {"kid": name}, aud=None)).caller == "alice"
        assert checker.identify(_signed(private, algorithm, aud=None)).caller == "alice"
        assert _cause(checker, _signed(private, algorithm, {"kid": "x"}, aud=None)) == Cause.WEB_TOKEN_KEY_UNKNOWN


def test_several_keys_in_one_file_of_pem(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    """While an issuer changes its key, a file may hold the old one and the new one."""
    other = rsa_key()
    checker = _checker(tmp_path, public_pem(key) + public_pem(other))
    for private in (key, other):
        assert checker.identify(_signed(private, aud=None)).caller == "alice"


def test_keys_are_replaced_while_the_server_runs(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    """When the file changes, tokens of the new key hold and those of the old one do not."""
    other = rsa_key()
    checker = _checker(tmp_path, public_pem(key))
    (tmp_path / "keys").write_bytes(public_pem(other))
    assert checker.keys.refresh()
    assert checker.identify(_signed(other, aud=None)).caller == "alice"
    assert _cause(checker, _signed(key, aud=None)) == Cause.WEB_TOKEN_SIGNATURE_WRONG


def test_files_of_keys_that_cannot_be_used(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    """Private keys, secrets, weak keys and garbage are refused at the start, and nothing of them is shown."""
    symmetric = json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}).encode()
    private_set = json.dumps({"keys": [json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key))]}).encode()
    for content, said in (
        (private_pem(key), "private key"),
        (symmetric, "secret"),
        (private_set, "private key"),
        (public_pem(rsa_key(1_024)), "1024 bits, at least 2048"),
        (b"", "0 keys"),
        (b"{", "no JSON web key set"),
        (b'{"keys": 5}', "no JSON web key set"),
        (b"-----BEGIN PUBLIC KEY-----\nc2VjcmV0\n-----END PUBLIC KEY-----\n", "no public key in PEM"),
        (public_pem(key) * 17, "17 keys"),
    ):
        with pytest.raises(UnusableFile, match=said) as caught:
            _checker(tmp_path, content)
        assert str(caught.value).startswith("jwt_key_file: ")
        assert "c2VjcmV0" not in str(caught.value)
    for content, said in ((public_pem(key), "no secret for HMAC"), (b"short", "5 bytes, at least 32")):
        with pytest.raises(UnusableFile, match=said):
            _checker(tmp_path, content, secret=True)


def test_a_missing_library_is_answered_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server without the extra says what to type."""
    monkeypatch.setitem(sys.modules, "jwt", None)
    with pytest.raises(UnusableFile, match=r"pip install 'gradmill\[jwt\]'"):
        _checker(tmp_path, b"")
