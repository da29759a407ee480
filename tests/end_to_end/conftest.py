"""One server process for all tests of a module that do not stop it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.server_process import ServerProcess, running_server


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """Run one server for the whole module."""
    with running_server() as process:
        yield process
