"""The peers by name. Each is imported only in the process that runs it, so one may be without its library."""

from __future__ import annotations

import importlib
from typing import NamedTuple

from tests.benchmarks.peers.peer import Peer

OURS = "gradmill"
OUR_COLUMNS = "gradmill columns"
CASADI_MAP = "casadi map"
CASADI_GCC = "casadi gcc"
JAX = "jax"
JAX_UNROLLED = "jax unrolled"
JAX_COLUMNS = "jax columns"
TORCH = "torch"


class Entry(NamedTuple):
    """Where a peer is, and what it is like.

    Attributes:
        module: its module in this folder.
        class_name: its class there.
        keeps_intermediates: whether it holds every intermediate value of a batch in memory.
        compiles_each_batch: whether another number of points is compiled anew.
        stands_in: whether another row of the same library stands for it, so that its compiler gets little time.
    """

    module: str
    class_name: str
    keeps_intermediates: bool = False
    compiles_each_batch: bool = False
    stands_in: bool = False

    def load(self) -> Peer:
        """Import it. Raises ImportError when its library is not installed."""
        module = importlib.import_module(f"tests.benchmarks.peers.{self.module}")
        peer: Peer = getattr(module, self.class_name)()
        return peer


PEERS = {
    OURS: Entry("ours", "Ours"),
    OUR_COLUMNS: Entry("ours", "OurColumns"),
    CASADI_MAP: Entry("casadi", "CasadiMap"),
    CASADI_GCC: Entry("casadi", "CasadiCompiled"),
    JAX: Entry("jax", "Jax", compiles_each_batch=True),
    JAX_UNROLLED: Entry("jax", "JaxUnrolled", compiles_each_batch=True, stands_in=True),
    JAX_COLUMNS: Entry("jax", "JaxColumns", compiles_each_batch=True, stands_in=True),
    TORCH: Entry("torch", "Torch", keeps_intermediates=True),
}
"""In the order of the tables."""
