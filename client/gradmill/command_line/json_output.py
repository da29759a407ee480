"""JSON that any reader takes: numbers that are not finite become the strings that protobuf's JSON uses."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

Json = Any
"""Nested dicts and lists of numbers, strings and None."""


def plain(value: object) -> Json:
    """Return numbers and arrays as nested lists of numbers, with "NaN", "Infinity" and "-Infinity" for the rest."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, dict):
        return {name: plain(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def to_text(value: object) -> str:
    """Return a value as JSON text that ends its line."""
    return json.dumps(plain(value), allow_nan=False, indent=2) + "\n"
