"""The tests of gradmill; their folders mirror those of the sources.

Attributes:
    REPOSITORY: the root of the repository under test.
"""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
