"""Gradients as a service: send a function once, get exact values and gradients at many points.

    import gradmill as gm

    with gm.local() as client:
        result = client.gradient("3*(x1**2 + x2*x3)", {"x1": 2, "x2": 3, "x3": 4})
        result.values      # 48.0
        result.gradient    # {'x1': 12.0, 'x2': 12.0, 'x3': 9.0}

``gm.connect("host:port")`` gives the same client over the network, ``gm.connect_async`` and ``gm.local_async`` the same
for asyncio. Functions are formulas, or traced: ``x, y = gm.inputs("x", "y")``, then ``gm.exp(x) * y`` is a function.
"""

from __future__ import annotations

from math import e, pi

from gradmill import arrays as _arrays
from gradmill import functions as _functions
from gradmill.arrays import *  # noqa: F403 - functions of whole arrays
from gradmill.async_client import AsyncClient
from gradmill.client import Client
from gradmill.credentials import TLS
from gradmill.descriptions import FunctionInfo, OperationInfo, OutputInfo
from gradmill.errors import (
    AccessDeniedError,
    CancelledError,
    ClientClosedError,
    DeadlineExceededError,
    GradmillError,
    InvalidRequestError,
    LimitError,
    MissingExtraError,
    NotFoundError,
    ServerError,
    TracingError,
    UnavailableError,
    UnsupportedError,
    Violation,
)
from gradmill.explanation import ExplainedNode, Explanation
from gradmill.formulas import Formula, formula
from gradmill.functions import *  # noqa: F403 - one function for each element-wise row of the table of operations
from gradmill.graph import Input
from gradmill.loops import fold, map, scan  # noqa: A004 - as in jax.lax
from gradmill.opening import connect, connect_async, local, local_async
from gradmill.results import Result, Timings
from gradmill.reusable import Reusable, reusable
from gradmill.settings import Batching, RetryPolicy
from gradmill.sources import FunctionLike
from gradmill.sparse import SparseMatrix
from gradmill.tracing import Expression, TracedFunction, inputs, outputs
from gradmill.version import __version__

__all__ = [
    "TLS",
    "AccessDeniedError",
    "AsyncClient",
    "Batching",
    "CancelledError",
    "Client",
    "ClientClosedError",
    "DeadlineExceededError",
    "ExplainedNode",
    "Explanation",
    "Expression",
    "Formula",
    "FunctionInfo",
    "FunctionLike",
    "GradmillError",
    "Input",
    "InvalidRequestError",
    "LimitError",
    "MissingExtraError",
    "NotFoundError",
    "OperationInfo",
    "OutputInfo",
    "Result",
    "RetryPolicy",
    "Reusable",
    "ServerError",
    "SparseMatrix",
    "Timings",
    "TracedFunction",
    "TracingError",
    "UnavailableError",
    "UnsupportedError",
    "Violation",
    "__version__",
    "connect",
    "connect_async",
    "e",
    "fold",
    "formula",
    "inputs",
    "local",
    "local_async",
    "map",
    "outputs",
    "pi",
    "reusable",
    "scan",
]
__all__ += _functions.__all__
__all__ += _arrays.__all__


def __dir__() -> list[str]:
    return sorted(__all__)
