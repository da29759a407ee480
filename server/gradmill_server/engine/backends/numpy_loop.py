"""Loops on NumPy: one call for each operation of the body and each step, over a whole block of points.

The flat value is kept with the points last while it grows, so that what a step gives is written in one piece; carries
and elements of sequences are views. Of Python a step costs what the instructions cost, and little beside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gradmill_server.engine.ir import size

if TYPE_CHECKING:
    from gradmill_server.engine.backends.numpy_backend import NumpyExecutable
    from gradmill_server.engine.checkpoints import Checkpoint
    from gradmill_server.engine.ir import FloatArray
    from gradmill_server.engine.ops.arrays.loops import Loop


class NumpyLoop:
    """A loop, ready to run over blocks of points. Immutable; runs in many threads at once.

    Attributes:
        body: the body, ready to run.
        byte_size: bytes it occupies.
        scratch_elements: elements of intermediate values alive in a step, for one point; those of the flat value are
            counted with the graph that the loop belongs to.
    """

    def __init__(self, loop: Loop, body: NumpyExecutable) -> None:
        """Prepare a loop whose body is prepared."""
        self.body = body
        self.byte_size = body.byte_size
        self.scratch_elements = body.scratch_elements
        self._loop = loop
        self._shapes = loop.argument_shapes
        self._slots = [slot for slot, _ in body.results]
        self._parts = list(zip(loop.part_starts, loop.part_shapes, strict=False))
        self._elements = loop.part_starts[-1]

    def __call__(self, checkpoint: Checkpoint, *operands: FloatArray) -> FloatArray:
        """Run all steps.

        Args:
            checkpoint: called every few milliseconds; may raise to stop.
            operands: the arguments, each [points or 1, *shape], or a plain number.

        Returns:
            The flat value, [points or 1, elements].
        """
        arrays = [np.reshape(operand, (-1, *shape)) for operand, shape in zip(operands, self._shapes, strict=True)]
        points = max(map(len, arrays))
        flat = np.empty((self._elements, points), self.body.dtype)
        parts = [flat[start : start + size(shape)].reshape(*shape, points) for start, shape in self._parts]
        slots = self.body.begun(arrays, checkpoint)
        self._run(slots, arrays, parts, points, checkpoint)
        for carry, part in zip(slots, parts[: self._loop.carries], strict=False):
            np.moveaxis(part, -1, 0)[...] = carry
        return flat.T

    def _run(
        self, slots: list[Any], arrays: list[FloatArray], parts: list[FloatArray], points: int, checkpoint: Checkpoint
    ) -> None:
        """Run all steps on slots; at the end the first ones hold the last carries."""
        carries, constants = self._loop.carries, self._loop.carries + self._loop.sequences
        carried = self._slots[:carries]
        walked = [(slot, arrays[slot].swapaxes(0, 1)) for slot in range(carries, constants)]
        stacked = [
            (slot, np.moveaxis(part, -1, 1)) for slot, part in zip(self._slots[carries:], parts[carries:], strict=True)
        ]
        instructions = self.body.instructions
        strides = self.body.stride(points) // max(1, len(instructions))
        left = 1
        for step in self._loop.order:
            for slot, elements in walked:
                slots[slot] = elements[step]
            left -= 1
            if strides == 0:
                self.body.carry_out(slots, points, checkpoint)
            else:
                if left == 0:
                    checkpoint()
                    left = strides
                for function, operands, result in instructions:
                    slots[result] = function(*[slots[operand] for operand in operands])
            for slot, elements in stacked:
                elements[step] = slots[slot]
            slots[:carries] = [slots[slot] for slot in carried]
