"""How the command says who it is and protects the road to a server. A token never stands on a command line."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from gradmill.command_line.problems import CommandError, UsageError
from gradmill.credentials import TLS

TOKEN_VARIABLE = "GRADMILL_TOKEN"  # noqa: S105 - the name of a variable, which is no secret

_TLS_FLAGS = ("certificate_authority", "client_certificate", "client_key")


def add_access_arguments(command: argparse.ArgumentParser) -> None:
    """Add the flags of tokens and TLS to a subcommand that can ask a server."""
    group = command.add_argument_group("access to the server")
    group.add_argument("--tls", action="store_true", help="speak TLS; any of the files below says so too")
    group.add_argument(
        "--certificate-authority",
        metavar="FILE",
        help="certificates to check the server's against (default: the usual)",
    )
    group.add_argument("--client-certificate", metavar="FILE", help="this caller's own certificate")
    group.add_argument("--client-key", metavar="FILE", help="the private key of that certificate")
    group.add_argument(
        "--token-file", metavar="FILE", help=f"file of the token to send (default: the variable {TOKEN_VARIABLE})"
    )
    group.add_argument(
        "--token-in-clear", action="store_true", help="send the token without TLS, also to another machine"
    )


def tls_from(options: argparse.Namespace) -> TLS | None:
    """Return how to speak TLS, or None for clear text.

    Raises:
        UsageError: a certificate is given without its key, or a key without its certificate.
    """
    files = {name: getattr(options, name) for name in _TLS_FLAGS}
    if not options.tls and not any(files.values()):
        return None
    try:
        return TLS(**files)
    except ValueError:
        message = "--client-certificate and --client-key belong together; give both or neither"
        raise UsageError(message) from None


def token_from(options: argparse.Namespace) -> str | None:
    """Return the token to send: that in the file named, else that in the environment, else None.

    Raises:
        CommandError: the file cannot be read.
    """
    if options.token_file is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    try:
        return Path(options.token_file).read_text(encoding="ascii").strip()
    except OSError as error:
        message = f"{options.token_file}: {error.strerror or error}"
        raise CommandError(message) from None
    except UnicodeDecodeError:
        message = f"{options.token_file}: not a token, which is one line of ASCII"
        raise CommandError(message) from None
