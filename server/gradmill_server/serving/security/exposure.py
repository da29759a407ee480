"""What of a server can be reached from elsewhere, and what is refused or said about that before it listens."""

from __future__ import annotations

import ipaddress

from gradmill_server.serving.security.json_web_tokens import KEY_ALGORITHMS, SECRET_ALGORITHMS, algorithm_names
from gradmill_server.serving.settings import Settings


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def serves_reflection(settings: Settings) -> bool:
    """Whether the services are described to whoever asks: where only this machine can ask, unless told otherwise."""
    return settings.reflection == "on" or (settings.reflection == "auto" and is_loopback(settings.host))


def asks_for_tokens(settings: Settings) -> bool:
    """Whether calls need tokens."""
    return bool(settings.token_file or settings.jwt_key_file or settings.jwt_secret_file)


def knows_callers(settings: Settings) -> bool:
    """Whether calls need credentials of any kind."""
    return asks_for_tokens(settings) or bool(settings.tls_client_authority_file)


def contradiction(settings: Settings) -> str:
    """Return what in the settings contradicts itself, or is too dangerous to be meant; empty for nothing."""
    if bool(settings.tls_certificate_file) != bool(settings.tls_key_file):
        return "tls_certificate_file and tls_key_file belong together; give both or neither"
    if settings.tls_client_authority_file and not settings.tls_certificate_file:
        return "tls_client_authority_file needs tls_certificate_file and tls_key_file"
    if settings.jwt_key_file and settings.jwt_secret_file:
        return "jwt_key_file and jwt_secret_file exclude each other: one who can check must not be able to sign"
    known = tuple(SECRET_ALGORITHMS) if settings.jwt_secret_file else KEY_ALGORITHMS
    for name in algorithm_names(settings.jwt_algorithms):
        if name not in known:
            return f"jwt_algorithms has {name[:20]!a}, which is none of {', '.join(known)}"
    in_clear = not settings.tls_certificate_file and not is_loopback(settings.host)
    if asks_for_tokens(settings) and in_clear and not settings.tokens_in_clear:
        return (
            f"tokens would cross the network in clear: host {settings.host} is not of this machine alone;"
            " set tls_certificate_file and tls_key_file, or tokens_in_clear where the network itself is protected"
        )
    return ""


def warnings(settings: Settings) -> list[str]:
    """Return what whoever runs the server should know about who can reach it."""
    said = []
    if not is_loopback(settings.host):
        if not settings.tls_certificate_file:
            said.append(f"host {settings.host} is reachable from other machines, and all that is sent is in clear")
        if not knows_callers(settings):
            said.append(f"host {settings.host} is reachable from other machines, and anyone may call")
    if settings.metrics and not is_loopback(settings.metrics_host):
        said.append(f"metrics_host {settings.metrics_host} is reachable from other machines, and anyone may read them")
    return said
