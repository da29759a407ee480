"""Mutations of formulas: of their words, by the language's own, and of their characters."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from gradmill_server.engine import ops

_WORD = re.compile(r"[A-Za-z_]\w*|\d+\.?\d*(?:[eE][-+]?\d+)?|\*\*|<=|>=|==|!=|\s+|.", re.ASCII | re.DOTALL)
_LONGEST = 400

SEEDS = (
    "3*(x**2 + y*2)",
    "x/y + y/x - -x",
    "sin(x)*exp(-y**2) + log(1 + x**2)",
    "a = x*y\nb = a - 1\nreturn a, b",
    "where(x > y, x**2, sqrt(y))",
    "maximum(x, y) - minimum(x, 0.5) + abs(x - y)",
    "clip(x, -1, 1)*(x < y) + (x == y)",
    "sum(v*v) + v[0]*v[-1]",
    "sum(100*(v[1:] - v[:-1]**2)**2 + (1 - v[:-1])**2)",
    "sum(m @ v) + sum(m.T[0])",
    "v[::-1][[0, 2]] + x",
    "sum(reshape(m, (3, 2)), axis=0)[1]",
    "max(v) - min(m, axis=1, keepdims=True)[0, 0]",
    "concatenate([v, [1, 2, x]])[3]",
    "stack([v, v*2])[1, 2] + outer(v, v)[0, 1]",
    "einsum('ij,j->i', m, v)[0]",
    "sum(where(m > 0, m, -m)[..., None])",
    "x^-2 + 1e3*y",
    "mean(v) + prod(v) + cumsum(v)[1] + sum(sort(v)*v)",
    "logsumexp(v) + dot(v, v) + norm(v)",
    "# nothing\nx; ",
    "zeros(3)[0] + ones((2, 2))[1, 1] + arange(4)[2] + eye(2)[0, 0] + x",
)
"""Formulas to begin with, of two scalars x and y, a vector v of three and a matrix m of two by three."""

_WORDS = (
    *("x", "y", "v", "m", "a", "0", "1", "2", "-1", "0.5", "1e308", "1e-308", "3", "inf", "nan", "pi", "True", "None"),
    *("+", "-", "*", "/", "**", "^", "@", "(", ")", "[", "]", ",", ":", "::", "...", "=", "==", "<", "<=", "!=", "\n"),
    *(";", "#", ".T", "axis=", "keepdims=True", "return ", "'ij->j'", "and", "or", "not", " ", "np.", "_", "\u0661"),
)
_FUNCTIONS = tuple(name for name, row in ops.ROWS.items() if not row.internal)


def corpus() -> list[bytes]:
    """Return the formulas to begin with."""
    return [text.encode() for text in SEEDS]


def mutated(data: bytes, source: random.Random, on_bytes: Callable[[bytes], bytes]) -> bytes:
    """Return a formula changed in its words, or, by chance, in its bytes."""
    if source.random() < 0.1:
        return on_bytes(data)
    words = _WORD.findall(data.decode(errors="replace"))
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        _change(words, source)
    return "".join(words)[:_LONGEST].encode(errors="replace")


def _change(words: list[str], source: random.Random) -> None:
    place, stop = source.randrange(len(words) + 1), source.choice((1, 1, 2, 3, 8))
    match source.randrange(6):
        case 0:
            del words[place : place + stop]
        case 1:
            words[place:place] = words[place : place + stop]
        case 2:
            words[place : place + 1] = [source.choice(_WORDS)]
        case 3:
            words.insert(place, source.choice(_WORDS))
        case 4:
            words[place : place + 1] = [source.choice(_FUNCTIONS), "(", *words[place : place + stop], ")"]
        case _:
            other = _WORD.findall(source.choice(SEEDS))
            begin = source.randrange(len(other))
            words[place : place + stop] = other[begin : begin + 4 * stop]
