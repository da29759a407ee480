"""What the rows of the table of operations say about themselves, tested on the awkward numbers."""

from __future__ import annotations

import itertools
import math
import string

import numpy as np
import pytest
from gradmill_server.engine import ops
from gradmill_server.engine.ir import FloatArray

from tests.engine.building import same_bits

SPECIALS = np.array(
    [0.0, 1.0, 0.5, 2.0, 5e-324, 2.2250738585072014e-308, 1e-310, 1.7976931348623157e308, 1e16, math.pi, math.inf]
)
AWKWARD = np.concatenate([SPECIALS, -SPECIALS, [math.nan]])

NEUTRAL_ROWS = [
    (name, position)
    for name, row in ops.TABLE.items()
    for position, number in enumerate(row.neutral)
    if number is not None
]
COMMUTATIVE_ROWS = [name for name, row in ops.TABLE.items() if row.commutative]
FINITE_ROWS = [name for name, row in ops.TABLE.items() if row.finite]
SHARED_OPERANDS = [
    (name, position) for name, row in ops.TABLE.items() if row.arity > 1 for position in range(row.arity)
]
CONVENTION_ROWS = [name for name, row in ops.TABLE.items() if None in row.partials]


def awkward_operands(arity: int) -> list[FloatArray]:
    """Return all combinations of awkward numbers, and random numbers of all magnitudes: for each operand [points]."""
    generator = np.random.default_rng(7)
    combinations = np.array(list(itertools.product(AWKWARD, repeat=min(arity, 2))))
    columns = [combinations[:, position % combinations.shape[1]] for position in range(arity)]
    random = generator.standard_normal((arity, 1000)) * np.power(10.0, generator.uniform(-300, 300, (arity, 1000)))
    return [np.concatenate([column, numbers]) for column, numbers in zip(columns, random, strict=True)]


def value(name: str, *operands: FloatArray | float) -> FloatArray:
    """Return an operation's value, quietly, as the backend computes it."""
    with np.errstate(all="ignore"):
        return np.asarray(ops.TABLE[name].value(*operands))


@pytest.mark.parametrize("name", ops.TABLE)
def test_a_row_says_as_much_about_each_operand(name: str) -> None:
    """Every operand of an operation has a derivative rule and a domain."""
    row = ops.TABLE[name]
    assert row.name == name
    assert row.arity == len(row.domain) >= 1
    assert all(math.isfinite(low) and math.isfinite(high) and low < high for low, high in row.domain)
    assert len(row.neutral) in {0, row.arity}


@pytest.mark.parametrize("name", ops.TABLE)
def test_a_row_describes_itself_in_one_sentence(name: str) -> None:
    """Every operation can be looked up and says what it computes."""
    summary = ops.TABLE[name].summary
    assert summary.endswith(".")
    assert "\n" not in summary


@pytest.mark.parametrize("name", ops.TABLE)
def test_an_operation_is_written_with_all_its_operands(name: str) -> None:
    """A printed operation shows each operand once."""
    operands = list(string.ascii_uppercase[: ops.TABLE[name].arity])
    text = ops.TABLE[name].expression(operands)
    assert [letter for letter in text if letter in operands] == operands


@pytest.mark.parametrize("name", ops.TABLE)
def test_an_operation_gives_float64_for_every_operand(name: str) -> None:
    """Whatever the operands, also NaN and infinities, the result is a float64 for each point and no error."""
    operands = awkward_operands(ops.TABLE[name].arity)
    result = value(name, *operands)
    assert result.dtype == np.float64
    assert result.shape == operands[0].shape


def some_points(name: str) -> list[FloatArray]:
    """Return the awkward operands, or every seventh of many where a call in NumPy takes hundreds of steps."""
    row = ops.TABLE[name]
    operands = awkward_operands(row.arity)
    stride = 7 if row.arity > 1 and "on_numpy" in row.value.__module__ else 1
    return [operand[::stride] for operand in operands]


@pytest.mark.parametrize("name", ops.TABLE)
def test_an_operation_gives_a_point_the_same_bits_alone_and_in_company(name: str) -> None:
    """A value does not depend on which other points are in the batch."""
    operands = some_points(name)
    together = value(name, *operands)
    alone = np.array([float(value(name, *point)) for point in zip(*operands, strict=True)])
    assert same_bits(together, alone)


@pytest.mark.parametrize("name", ops.TABLE)
def test_an_operation_gives_the_same_bits_in_batches_of_any_length(name: str) -> None:
    """A value does not depend on how the points are cut into batches."""
    operands = some_points(name)
    together = value(name, *operands)
    for length in range(1, 20):
        for start in range(0, min(500, len(together)), 41):
            window = slice(start, start + length)
            assert same_bits(together[window], value(name, *(operand[window] for operand in operands)))


@pytest.mark.parametrize(("name", "position"), SHARED_OPERANDS)
def test_an_operand_shared_by_all_points_gives_the_same_bits(name: str, position: int) -> None:
    """A value does not depend on whether an operand came once for all points or point by point."""
    operands = some_points(name)
    for number in AWKWARD:
        each = [*operands]
        each[position] = np.full_like(operands[position], number)
        for form in (np.array(number), np.array([number])):
            shared = [*operands]
            shared[position] = form
            assert same_bits(value(name, *each), value(name, *shared))


@pytest.mark.parametrize("name", ops.TABLE)
def test_an_operation_gives_strided_operands_the_same_bits(name: str) -> None:
    """A value does not depend on how its operands lie in memory."""
    operands = awkward_operands(ops.TABLE[name].arity)
    strided = [np.repeat(operand, 3)[::3] for operand in operands]
    assert same_bits(value(name, *operands), value(name, *strided))


@pytest.mark.parametrize(("name", "position"), NEUTRAL_ROWS)
def test_a_neutral_number_changes_no_bit(name: str, position: int) -> None:
    """Leaving out an operation with its neutral number, as the optimiser does, changes no result."""
    row = ops.TABLE[name]
    assert row.arity == 2
    neutral = row.neutral[position]
    assert neutral is not None
    (others,) = awkward_operands(1)
    filled = np.full_like(others, neutral)
    operands = (filled, others) if position == 0 else (others, filled)
    assert same_bits(value(name, *operands), others)
    scalar = (neutral, others) if position == 0 else (others, neutral)
    assert same_bits(value(name, *scalar), others)


@pytest.mark.parametrize("name", COMMUTATIVE_ROWS)
def test_a_commutative_operation_is_so_bit_for_bit(name: str) -> None:
    """Exchanging the operands of a commutative operation changes no result."""
    first, second = awkward_operands(2)
    assert same_bits(value(name, first, second), value(name, second, first))


@pytest.mark.parametrize("name", FINITE_ROWS)
def test_an_operation_called_finite_is_finite(name: str) -> None:
    """Comparisons and logic give 0 or 1 even for NaN and infinities."""
    result = value(name, *awkward_operands(ops.TABLE[name].arity))
    assert np.isin(result, (0.0, 1.0)).all()


@pytest.mark.parametrize("name", CONVENTION_ROWS)
def test_a_derivative_that_is_zero_by_convention_is_documented(name: str) -> None:
    """An operation whose derivative is set to zero says so."""
    assert ops.TABLE[name].convention


@pytest.mark.parametrize("name", ops.TABLE)
def test_names_and_aliases_lead_to_the_operation(name: str) -> None:
    """A formula may call an operation by its name and by each alias, unless only derivatives use it."""
    row = ops.TABLE[name]
    for called in (name, *row.aliases):
        assert (ops.FUNCTION_NAMES.get(called) is row) is not row.internal
