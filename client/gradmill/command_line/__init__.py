"""The ``gradmill`` command."""

from __future__ import annotations

from gradmill.command_line.main import main

__all__ = ["main"]
