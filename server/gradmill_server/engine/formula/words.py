"""Words that mean the same in every formula."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from itertools import islice
from types import MappingProxyType

CONSTANTS: Mapping[str, float] = MappingProxyType(
    {"pi": math.pi, "e": math.e, "tau": math.tau, "inf": math.inf, "nan": math.nan}
)
"""Names that stand for numbers."""

SETTINGS: Mapping[str, bool | None] = MappingProxyType({"True": True, "False": False, "None": None})
"""Names that stand for what an argument such as ``keepdims`` or ``axis`` is set to."""

RESERVED = frozenset({"and", "or", "not", "return", "if", "else", *SETTINGS})
"""Words that can name nothing."""

_PREFIX = re.compile(r"(?:(?:np|numpy)(?:\.linalg)?|math|scipy\.special)\.")

COMPARED = 300
"""How many known names an unknown one is compared with, which keeps a wrong guess cheap."""
COMPARED_CHARACTERS = 128


def bare(name: str) -> str:
    """Return a name without the prefix ``np.``, ``np.linalg.``, ``math.`` or ``scipy.special.`` before it."""
    return _PREFIX.sub("", name, count=1) if "." in name else name


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the names it may have been meant for, nearest first."""
    candidates = list(islice(known, COMPARED))
    near = difflib.get_close_matches(name[:COMPARED_CHARACTERS], candidates, n=3)
    return f"; did you mean {' or '.join(repr(each) for each in near)}?" if near else ""
