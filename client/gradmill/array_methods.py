"""What NumPy's arrays can do by themselves, for traced values: attributes, methods, indexing, iteration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Self, SupportsIndex

from gradmill.axes import Axes, listed
from gradmill.graph import Shape, size
from gradmill.handles import Handle, derived
from gradmill.indexing import indexed
from gradmill.normal_forms import along_or_flat, raveled, reduced, reshaped, squeezed, transposed
from gradmill.places import refuse
from gradmill.traces import Real


class ArrayMethods(Handle):
    """A traced value with the attributes and methods of NumPy's arrays."""

    __slots__ = ()

    @property
    def ndim(self) -> int:
        """The number of axes; 0 for a scalar."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements of one point's value."""
        return size(self.shape)

    @property
    def T(self) -> Self:  # noqa: N802 - NumPy's name
        """The axes in reverse order."""
        return transposed(self, None)

    def __len__(self) -> int:
        """Return the extent of the first axis.

        Raises:
            TracingError: it is a scalar.
        """
        return self._axes("a traced scalar has no length")[0]

    def __iter__(self) -> Iterator[Self]:
        """Iterate over the first axis.

        Raises:
            TracingError: it is a scalar, with the file and the line.
        """
        return map(self.__getitem__, range(self._axes("a traced scalar cannot be iterated over")[0]))

    def __getitem__(self, index: object) -> Self:
        """Return the elements that an index names, as in NumPy.

        Whole numbers, slices, ``...``, ``None``, arrays of whole numbers and masks known now; arrays of them side by
        side. Shape: as NumPy gives it.

        Raises:
            TracingError: there are none such, the index is traced, or arrays do not stand side by side.
        """
        return indexed(self, index)

    def reshape(self, *shape: SupportsIndex | Sequence[SupportsIndex]) -> Self:
        """Return the same elements, row by row, in another shape; one extent may be -1.

        Raises:
            TracingError: the elements do not make that shape.
        """
        return reshaped(self, _unpacked(shape))

    def ravel(self) -> Self:
        """Return all elements in a row."""
        return raveled(self)

    def flatten(self) -> Self:
        """Return all elements in a row."""
        return raveled(self)

    def transpose(self, *axes: SupportsIndex | Sequence[SupportsIndex] | None) -> Self:
        """Return the axes in another order; in reverse when none is given.

        Raises:
            TracingError: it is no order of the axes.
        """
        order = tuple([axis for axis in axes if axis is not None])
        return transposed(self, listed(_unpacked(order)) if order else None)

    def squeeze(self, axis: Axes = None) -> Self:
        """Return the elements without the axes given, or without all of extent 1.

        Raises:
            TracingError: an axis given has another extent.
        """
        return squeezed(self, axis)

    def sum(self, axis: Axes = None, *, keepdims: bool = False) -> Self:
        """Return the sum over axes, all for None. Raises TracingError for an axis that is not there."""
        return reduced(self, "sum", axis, keepdims=keepdims)

    def mean(self, axis: Axes = None, *, keepdims: bool = False) -> Self:
        """Return the mean over axes, all for None. Raises TracingError for an axis that is not there."""
        return reduced(self, "mean", axis, keepdims=keepdims)

    def prod(self, axis: Axes = None, *, keepdims: bool = False) -> Self:
        """Return the product over axes, all for None. Raises TracingError for an axis that is not there."""
        return reduced(self, "prod", axis, keepdims=keepdims)

    def max(self, axis: Axes = None, *, keepdims: bool = False) -> Self:
        """Return the maximum over axes, all for None. Raises TracingError for an axis that is not there."""
        return reduced(self, "amax", axis, keepdims=keepdims)

    def min(self, axis: Axes = None, *, keepdims: bool = False) -> Self:
        """Return the minimum over axes, all for None. Raises TracingError for an axis that is not there."""
        return reduced(self, "amin", axis, keepdims=keepdims)

    def var(self, axis: Axes = None, *, ddof: int = 0, keepdims: bool = False) -> Self:
        """Return the variance over axes, the sum of squares divided by the number of elements less ``ddof``.

        Raises:
            TracingError: an axis is not there, or ``ddof`` leaves nothing to divide by.
        """
        return reduced(self, "var", axis, keepdims=keepdims, ddof=ddof)

    def std(self, axis: Axes = None, *, ddof: int = 0, keepdims: bool = False) -> Self:
        """Return the standard deviation over axes: the square root of the variance, with its errors."""
        return reduced(self, "std", axis, keepdims=keepdims, ddof=ddof)

    def cumsum(self, axis: SupportsIndex | None = None) -> Self:
        """Return running sums along an axis, or of all elements in a row for None.

        Raises:
            TracingError: there is no such axis.
        """
        return along_or_flat(self, "cumsum", axis)

    def dot(self, other: Handle | Real) -> Self:
        """Return the product of vectors and matrices as numpy.dot takes it; scalars multiply.

        Raises:
            TracingError: shapes do not fit, or one has more than two axes.
        """
        return derived(self, "dot", [self, other])

    def _axes(self, problem: str) -> Shape:
        if not self.shape:
            refuse(problem, "Declare it with a shape, as in gradmill.inputs('v', shape=3), to have elements.")
        return self.shape


def _unpacked(
    numbers: Sequence[SupportsIndex | Sequence[SupportsIndex]],
) -> SupportsIndex | Sequence[SupportsIndex]:
    """Return the one sequence that is given, or the numbers given one by one."""
    if len(numbers) == 1:
        return numbers[0]
    return [number for number in numbers if isinstance(number, SupportsIndex)]
