"""Who calls, as credentials say it."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import NamedTuple

MAXIMUM_NAME_CHARACTERS = 128


class Identity(NamedTuple):
    """A caller whose credentials hold.

    Attributes:
        caller: the caller's name.
        until: until when they hold, in seconds of the wall clock; infinite for as long as the connection.
    """

    caller: str
    until: float = math.inf


class Cause(StrEnum):
    """Why credentials do not hold."""

    TOKEN_MISSING = "token_missing"  # noqa: S105  these are no tokens
    TOKEN_REPEATED = "token_repeated"  # noqa: S105
    TOKEN_UNKNOWN = "token_unknown"  # noqa: S105
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    SCHEME_UNKNOWN = "scheme_unknown"
    WEB_TOKEN_MALFORMED = "web_token_malformed"  # noqa: S105
    WEB_TOKEN_KEY_UNKNOWN = "web_token_key_unknown"  # noqa: S105
    WEB_TOKEN_SIGNATURE_WRONG = "web_token_signature_wrong"  # noqa: S105
    WEB_TOKEN_EXPIRED = "web_token_expired"  # noqa: S105
    WEB_TOKEN_NOT_YET_VALID = "web_token_not_yet_valid"  # noqa: S105
    WEB_TOKEN_AUDIENCE_WRONG = "web_token_audience_wrong"  # noqa: S105
    WEB_TOKEN_ISSUER_WRONG = "web_token_issuer_wrong"  # noqa: S105
    WEB_TOKEN_CLAIM_MISSING = "web_token_claim_missing"  # noqa: S105
    NAME_UNUSABLE = "name_unusable"
    CERTIFICATE_MISSING = "certificate_missing"


class Refused(Exception):
    """Credentials that do not hold.

    Attributes:
        cause: why; for the audit, never for the caller.
    """

    def __init__(self, cause: Cause) -> None:
        """Keep the cause."""
        super().__init__(cause)
        self.cause = cause


def usable_name(name: object) -> bool:
    """Whether something that credentials say can be a caller's name: a short text that can be printed."""
    return isinstance(name, str) and 0 < len(name) <= MAXIMUM_NAME_CHARACTERS and name.isprintable()
