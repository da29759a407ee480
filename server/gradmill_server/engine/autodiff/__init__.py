"""Differentiation, from graph to graph: reverse mode, forward mode, and what passes through a local partial.

Tangents and adjoints are ordinary nodes, so derivatives of derivatives need no new code. They may carry an axis of
directions in front of their value's shape; then one sweep serves all directions, and its graph is as large as for one.
"""

from __future__ import annotations

from gradmill_server.engine.autodiff.forward import push_forward
from gradmill_server.engine.autodiff.propagation import NO_ADJOINT, Propagation, local_partial
from gradmill_server.engine.autodiff.reverse import adjoints_of, backward, pull_back

__all__ = ["NO_ADJOINT", "Propagation", "adjoints_of", "backward", "local_partial", "pull_back", "push_forward"]
