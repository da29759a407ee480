"""Pairs of functions of one argument that cost less together than apart.

A derivative often needs two functions of the same argument. Each result of a pair has, for every argument, the bits of
the separate function: a value never depends on what is wanted beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PAIRS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("sin", "cos"): "sincos",
        ("sinh", "cosh"): "sinh_and_cosh",
        ("tanh", "sech"): "tanh_and_sech",
        ("softplus", "sigmoid"): "softplus_and_sigmoid",
        ("erf", "exp_minus_square"): "erf_and_exp_minus_square",
        ("erfc", "exp_minus_square"): "erfc_and_exp_minus_square",
        ("normal_cdf", "normal_pdf"): "normal_cdf_and_normal_pdf",
    }
)
"""By the two operations, in the order of the results: the vector function that computes both."""
