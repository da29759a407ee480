"""JSON web tokens: signed statements of who calls, checked with an issuer's public keys or with a shared secret.

The only module that knows PyJWT, which is an extra. What a key may be used for follows from the key, never from the
token: a public key checks no HMAC, a secret checks nothing else, and "none" is no algorithm at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from gradmill_server.serving.security.audit import Audit
from gradmill_server.serving.security.files import UnusableFile, Watched
from gradmill_server.serving.security.identities import Cause, Identity, Refused, usable_name
from gradmill_server.serving.settings import Settings

KEY, SECRET = "jwt_key_file", "jwt_secret_file"
SECRET_ALGORITHMS: Mapping[str, int] = {"HS256": 32, "HS384": 48, "HS512": 64}
"""With the least bytes that their secrets have."""

RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
CURVE_ALGORITHMS: Mapping[str, tuple[str, ...]] = {
    "secp256r1": ("ES256",),
    "secp384r1": ("ES384",),
    "secp521r1": ("ES512",),
}
EDWARDS_ALGORITHMS = ("EdDSA",)
KEY_ALGORITHMS = (
    *RSA_ALGORITHMS,
    *(name for names in CURVE_ALGORITHMS.values() for name in names),
    *EDWARDS_ALGORITHMS,
)

_INSTALL_COMMAND = "pip install 'gradmill[jwt]'"
_MAXIMUM_KEYS = 16
_LEAST_RSA_BITS = 2_048
_PEM_BLOCK = re.compile(rb"-----BEGIN [A-Z0-9 ]+-----.*?-----END [A-Z0-9 ]+-----", re.DOTALL)


@dataclass(frozen=True, slots=True, repr=False)
class _Key:
    """A key, its name where it has one, and what it may be used for."""

    key: Any
    name: str | None
    algorithms: frozenset[str]


class WebTokens:
    """Checks tokens against keys in files, and against what else settings ask of them."""

    def __init__(self, settings: Settings, audit: Audit) -> None:
        """Read the keys.

        Raises:
            UnusableFile: they cannot be used, or PyJWT is not installed.
        """
        knob = SECRET if settings.jwt_secret_file else KEY
        self._library = _library(knob)
        self._issuer = settings.jwt_issuer or None
        self._audience = settings.jwt_audience or None
        self._leeway_seconds = settings.jwt_leeway_seconds
        self._allowed = frozenset(algorithm_names(settings.jwt_algorithms))
        path = settings.jwt_secret_file or settings.jwt_key_file

        def parse(contents: Mapping[str, bytes]) -> tuple[_Key, ...]:
            try:
                return self._keys(knob, contents[knob])
            except _UnusableKeys as error:
                message = f"{knob}: {path}: {error}"
                raise UnusableFile(message) from None

        self.keys: Watched[tuple[_Key, ...]] = Watched("web_token_keys", {knob: path}, parse, audit)

    def identify(self, token: str) -> Identity:
        """Return whom a token names, and until when it holds.

        Raises:
            Refused: it does not hold; says why, for the audit.
        """
        try:
            claims = self._claims(token)
            until = float(int(claims["exp"])) + self._leeway_seconds
            caller = claims["sub"]
        except Refused:
            raise
        except Exception as error:  # noqa: BLE001  whatever a library stumbles over is no token that holds
            raise Refused(self._cause(error)) from None
        if not usable_name(caller):
            raise Refused(Cause.NAME_UNUSABLE)
        return Identity(caller, until)

    def _claims(self, token: str) -> Mapping[str, Any]:
        header = self._library.get_unverified_header(token)
        algorithm, name = header.get("alg"), header.get("kid")
        cause = Cause.WEB_TOKEN_KEY_UNKNOWN
        for key in self.keys.current:
            if algorithm not in key.algorithms or (name is not None and key.name not in (None, name)):
                continue
            try:
                claims: Mapping[str, Any] = self._library.decode(
                    token,
                    key.key,
                    algorithms=[algorithm],
                    audience=self._audience,
                    issuer=self._issuer,
                    leeway=self._leeway_seconds,
                    options={"require": ["exp", "sub"]},
                )
            except self._library.InvalidSignatureError:
                cause = Cause.WEB_TOKEN_SIGNATURE_WRONG
            else:
                return claims
        raise Refused(cause)

    def _cause(self, error: Exception) -> Cause:
        causes = {
            self._library.ExpiredSignatureError: Cause.WEB_TOKEN_EXPIRED,
            self._library.ImmatureSignatureError: Cause.WEB_TOKEN_NOT_YET_VALID,
            self._library.InvalidAudienceError: Cause.WEB_TOKEN_AUDIENCE_WRONG,
            self._library.InvalidIssuerError: Cause.WEB_TOKEN_ISSUER_WRONG,
            self._library.MissingRequiredClaimError: Cause.WEB_TOKEN_CLAIM_MISSING,
        }
        return causes.get(type(error), Cause.WEB_TOKEN_MALFORMED)

    def _keys(self, knob: str, content: bytes) -> tuple[_Key, ...]:
        """Return the keys in a file; raises _UnusableKeys."""
        if knob == SECRET:
            keys = [_secret(content)]
        elif content.lstrip().startswith(b"{"):
            keys = list(self._from_json(content))
        else:
            keys = [_from_pem(block) for block in _PEM_BLOCK.findall(content)]
        if not keys or len(keys) > _MAXIMUM_KEYS:
            message = f"{len(keys)} keys, where from 1 to {_MAXIMUM_KEYS} are wanted, in PEM or as a JSON web key set"
            raise _UnusableKeys(message)
        if self._allowed:
            keys = [_Key(key.key, key.name, key.algorithms & self._allowed) for key in keys]
        if not any(key.algorithms for key in keys):
            message = "jwt_algorithms has none that its keys can be used for"
            raise _UnusableKeys(message)
        return tuple(keys)

    def _from_json(self, content: bytes) -> Iterable[_Key]:
        try:
            document = json.loads(content)
            entries = document.get("keys", [document])
            secret = any(entry.get("kty") == "oct" or "d" in entry for entry in entries)
            keys = [] if secret else [self._library.PyJWK(entry) for entry in entries[: _MAXIMUM_KEYS + 1]]
        except Exception as error:  # noqa: BLE001  as above; the reason of a library may hold parts of the file
            message = f"no JSON web key set of public keys ({type(error).__name__})"
            raise _UnusableKeys(message) from None
        if secret:
            raise _UnusableKeys(_NOT_PUBLIC)
        for entry, key in zip(entries, keys, strict=False):
            algorithms = _algorithms(key.key)
            said = frozenset({entry["alg"]}) if "alg" in entry else algorithms
            yield _Key(key.key, key.key_id, algorithms & said)


class _UnusableKeys(Exception):
    """Keys that cannot be used; the message says why and holds none of them."""


_NOT_PUBLIC = f"holds a secret or a private key; {KEY} takes public keys, and {SECRET} a secret"


def algorithm_names(text: str) -> list[str]:
    """Return the names in a list that is separated by commas or spaces."""
    return text.replace(",", " ").split()


def _library(knob: str) -> ModuleType:
    try:
        import cryptography  # noqa: F401, PLC0415  what PyJWT checks signatures with
        import jwt  # noqa: PLC0415  an extra
    except ModuleNotFoundError as error:
        message = f"{knob} needs {error.name}, which is not installed; run: {_INSTALL_COMMAND}"
        raise UnusableFile(message) from None
    return jwt


def _secret(content: bytes) -> _Key:
    secret = content.strip()
    if b"-----BEGIN" in secret:
        message = f"holds a key in PEM, which is no secret for HMAC; public keys go into {KEY}"
        raise _UnusableKeys(message)
    least = min(SECRET_ALGORITHMS.values())
    if len(secret) < least:
        message = f"the secret has {len(secret)} bytes, at least {least} are needed"
        raise _UnusableKeys(message)
    return _Key(secret, None, frozenset(name for name, least in SECRET_ALGORITHMS.items() if len(secret) >= least))


def _from_pem(block: bytes) -> _Key:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415  an extra

    if b"PRIVATE KEY" in block:
        raise _UnusableKeys(_NOT_PUBLIC)
    try:
        key = load_pem_public_key(block)
    except Exception as error:  # noqa: BLE001  as above
        message = f"no public key in PEM ({type(error).__name__})"
        raise _UnusableKeys(message) from None
    return _Key(key, None, _algorithms(key))


def _algorithms(key: object) -> frozenset[str]:
    """Return what a public key may be used for; raises _UnusableKeys."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415  an extra

    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _LEAST_RSA_BITS:
            message = f"an RSA key has {key.key_size} bits, at least {_LEAST_RSA_BITS} are needed"
            raise _UnusableKeys(message)
        return frozenset(RSA_ALGORITHMS)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return frozenset(CURVE_ALGORITHMS.get(key.curve.name, ()))
    if isinstance(key, ed25519.Ed25519PublicKey):
        return frozenset(EDWARDS_ALGORITHMS)
    message = f"keys of type {type(key).__name__} are not used"
    raise _UnusableKeys(message)
