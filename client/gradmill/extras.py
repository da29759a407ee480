"""Loads the server, an optional part of the installation, and says how to install it when it is missing.

The only module that knows the server's modules, and by name alone: the client never imports them.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from gradmill.errors import Failure, MissingExtraError

INSTALL_COMMAND = "pip install 'gradmill[server]'"
EMBEDDED_SERVER = "gradmill_server.serving.embedded"
SERVE_COMMAND = "gradmill_server.serving.command"


def load_server_module(name: str, purpose: str) -> ModuleType:
    """Return a module of the server.

    Args:
        name: the module's full name.
        purpose: what needs it, for the message.

    Raises:
        MissingExtraError: it, or something that it needs, is not installed; the message has the command to run.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        message = f"{purpose} needs the server, and {error.name} is not installed; run: {INSTALL_COMMAND}"
        raise MissingExtraError(message, Failure(metadata={"module": error.name or name})) from error
