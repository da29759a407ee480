"""``gradmill serve``: reads the settings, takes the port, and runs the supervisor."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Sequence

from gradmill_server.serving import logs
from gradmill_server.serving.listening import ListenError, ReservedPort
from gradmill_server.serving.options import SettingsError, read_settings
from gradmill_server.serving.security.files import UnusableFile
from gradmill_server.serving.security.security import Security
from gradmill_server.serving.settings import Settings
from gradmill_server.serving.supervision.crew import WorkersFailed
from gradmill_server.serving.supervision.log_lines import LogLines
from gradmill_server.serving.supervision.supervisor import Supervisor

EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2

_LOG_SECONDS = 5.0
"""For a slow reader of the log to take its end."""


def serve_main(arguments: Sequence[str]) -> int:
    """Serve until told to stop; return the process's exit code.

    Args:
        arguments: flags, without the program's name; `--help` lists them. Environment variables named there hold too.

    Returns:
        0 after a stop by SIGTERM or SIGINT, 1 when an address cannot be listened on or the workers do not start, 2 for
        a wrong setting.
    """
    try:
        settings = read_settings(arguments, os.environ)
        Security(settings)  # for what is wrong with its files: told here, before anything is started
    except (SettingsError, UnusableFile) as error:
        _complain(f"{error}; see gradmill serve --help")
        return EXIT_USAGE
    except SystemExit as asked_for_help:
        return int(asked_for_help.code or EXIT_OK)
    lines = LogLines(sys.stdout.fileno(), _tell_dropped)
    logs.configure(settings.log_level, settings.log_format, lines)
    try:
        asyncio.run(_serve(settings, lines))
    except (ListenError, WorkersFailed) as error:
        _complain(str(error))
        return EXIT_FAILED
    finally:
        lines.drain(_LOG_SECONDS)
    return EXIT_OK


async def _serve(settings: Settings, lines: LogLines) -> None:
    port = ReservedPort(settings.host, settings.port)
    try:
        await Supervisor(settings, port, lines).run()
    finally:
        port.close()


def _tell_dropped(lines: int) -> None:
    logs.record(logging.WARNING, "log_lines_dropped", lines=lines)


def _complain(message: str) -> None:
    sys.stderr.write(f"gradmill serve: {message}\n")
