"""Formulas: functions as text in ordinary mathematical notation, read into graphs.

The road of a formula::

    text ─ layout ─ syntax ─ precedence ─ scope ─ lowering ─ graph

``layout`` checks parentheses and blanks what has no meaning, ``syntax`` reads statements by the grammar beside it,
``precedence`` orders operators, ``scope`` finds what each name means, ``lowering`` emits operations. Nothing in it
recurses over the text, and nothing of the text is ever run as code.
"""

from __future__ import annotations

from gradmill_server.engine.formula.parser import parse_formula

__all__ = ["parse_formula"]
