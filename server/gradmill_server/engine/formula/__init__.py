"""Formulas: functions as text in ordinary mathematical notation, read into graphs.

The road of a formula::

    text ─ layout ─ syntax ─ precedence ─ scope ─ lowering ─ graph

``layout`` checks parentheses and brackets and blanks what has no meaning, ``syntax`` reads statements by the grammar
beside it, ``precedence`` orders operators, ``scope`` finds what each name means, ``lowering`` emits operations. Nothing
in it recurses over the text, and nothing of the text is ever run as code.

Arrays are NumPy's in notation and rules. Shapes are known when a formula is read: those of the inputs are declared, and
axes, shapes and indices are written out (``static``). ``calls`` binds arguments to the signatures of ``functions``,
``indexing`` reads what stands in brackets, and both write the normal forms of ``forms``, so that a formula and traced
Python that mean the same have one digest.
"""

from __future__ import annotations

from gradmill_server.engine.formula.parser import parse_formula

__all__ = ["parse_formula"]
