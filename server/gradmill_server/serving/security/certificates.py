"""The server's certificate, its key, and the authority that callers' certificates are checked against."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from gradmill_server.serving.security.audit import Audit
from gradmill_server.serving.security.files import UnusableFile, Watched, read_file
from gradmill_server.serving.settings import Settings

CERTIFICATE, KEY, AUTHORITY = "tls_certificate_file", "tls_key_file", "tls_client_authority_file"


@dataclass(frozen=True, slots=True, repr=False)
class Certificates:
    """Files in PEM. Has no `repr`, so that no message can come to hold a key.

    Attributes:
        chain: the server's certificate and those between it and its authority.
        key: its private key.
        client_authority: certificates that callers' are checked against; None when callers need none.
    """

    chain: bytes
    key: bytes
    client_authority: bytes | None


def watched_certificates(settings: Settings, audit: Audit) -> Watched[Certificates] | None:
    """Read the certificates that settings name; None when the server speaks in clear.

    Raises:
        UnusableFile: they cannot be used, or do not fit together.
    """
    if not settings.tls_certificate_file:
        return None
    paths = {CERTIFICATE: settings.tls_certificate_file, KEY: settings.tls_key_file}
    if settings.tls_client_authority_file:
        paths[AUTHORITY] = settings.tls_client_authority_file

    def parse(contents: Mapping[str, bytes]) -> Certificates:
        _check_pair(paths, contents)
        _check_authority(paths, contents)
        return Certificates(contents[CERTIFICATE], contents[KEY], contents.get(AUTHORITY))

    return Watched("certificates", paths, parse, audit)


def _check_pair(paths: Mapping[str, str], contents: Mapping[str, bytes]) -> None:
    """Check that key and certificate belong together, by the files, since Python's ssl takes nothing else."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(paths[CERTIFICATE], paths[KEY], password=_no_password)
    except (OSError, ValueError) as error:
        message = f"{CERTIFICATE}, {KEY}: {_reason(error)}"
        raise UnusableFile(message) from None
    if any(read_file(knob, paths[knob]) != contents[knob] for knob in (CERTIFICATE, KEY)):
        message = f"{CERTIFICATE}, {KEY}: replaced while they were read"
        raise UnusableFile(message)


def _check_authority(paths: Mapping[str, str], contents: Mapping[str, bytes]) -> None:
    if AUTHORITY not in contents:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=contents[AUTHORITY].decode("ascii"))
    except (OSError, ValueError) as error:
        message = f"{AUTHORITY}: {paths[AUTHORITY]}: {_reason(error)}"
        raise UnusableFile(message) from None


def _no_password() -> str:
    """Refuse a key that needs a password, for which OpenSSL would otherwise ask at the terminal."""
    message = "the key is encrypted"
    raise ValueError(message)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"not usable certificates in PEM, or a key that is not theirs ({error.reason or 'unknown'})"
    return str(error) if str(error) == "the key is encrypted" else "not usable certificates in PEM"
