"""A vector type for Numba: LANES float32 numbers that are loaded, added and multiplied together.

Numba leaves vectorization to LLVM, which does not vectorize ``exp`` and gives up on loops whose arrays might overlap.
Here the vector is explicit: ``FloatVector`` is LLVM's ``<LANES x float>``, ``load`` and ``store`` move it from and to
the last axis of an array, and the operators ``+ - * /`` work on it (with a number on the other side, too). A product
that is added to something may be fused with the sum, one rounding instead of two; nothing is reordered.

An array of uint16 holds bfloat16, which NumPy does not know: ``load`` widens it, ``store`` rounds to the nearest, to
even where two are as near.

Numba's cache on disk notices changes in the file of a kernel only. After editing this file, ``math.py`` or
``forward.py``, touch ``forward.py`` and ``backward.py``, whose kernels are made of them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, ClassVar

import numba.extending
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.codegen import get_host_cpu_features
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_jitable, register_model

config: Any = numba.config
intrinsic: Any = numba.extending.intrinsic  # the typing context, first in each definition, is not passed in calls


def _count_lanes() -> int:
    """Return how many float32 numbers a register of the CPU that Numba compiles for holds: 16, 8 or 4."""
    features = get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
    enabled = set(features.split(","))
    return 16 if "+avx512f" in enabled else 8 if "+avx" in enabled else 4


LANES = _count_lanes()
FLOAT, INT = ir.FloatType(), ir.IntType(32)
FLOATS, INTS = ir.VectorType(FLOAT, LANES), ir.VectorType(INT, LANES)
HALVES = ir.VectorType(ir.IntType(16), LANES)
QUIET_NAN = 0x7FC0  # in bfloat16


class FloatVector(types.Type):
    """Numba's name for LANES float32 numbers in one register."""

    def __init__(self) -> None:
        super().__init__(name=f"FloatVector({LANES})")


float_vector = FloatVector()


@register_model(FloatVector)
class _FloatVectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, frontend_type: FloatVector) -> None:
        super().__init__(manager, frontend_type, FLOATS)


def element_address(context: Any, builder: Any, signature: Any, arguments: Any, whole_index: bool) -> Any:
    """Return the address of an element, or of the vector that starts there, without any check of the index."""
    array_type, index_type = signature.args[:2]
    array = context.make_array(array_type)(context, builder, arguments[0])
    indices = cgutils.unpack_tuple(builder, arguments[1], len(index_type))
    indices = [context.cast(builder, i, t, types.intp) for i, t in zip(indices, index_type, strict=True)]
    if not whole_index:
        indices.append(context.get_constant(types.intp, 0))
    return cgutils.get_item_pointer(context, builder, array_type, array, indices, wraparound=False)


def _splat(builder: Any, scalar: Any) -> Any:
    undefined = ir.Constant(FLOATS, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(INT, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(INTS, [0] * LANES))


def _holds_halves(array_type: Any) -> bool:
    return array_type.dtype == types.uint16


def _constant(number: int) -> Any:
    return ir.Constant(INTS, [number] * LANES)


def _round_to_half(builder: Any, vector: Any) -> Any:
    """Round to bfloat16, the upper half of a float32: add half of what is cut off, less one where the rest is even."""
    bits = builder.bitcast(vector, INTS)
    odd = builder.and_(builder.lshr(bits, _constant(16)), _constant(1))
    rounded = builder.lshr(builder.add(bits, builder.add(odd, _constant(0x7FFF))), _constant(16))
    is_nan = builder.fcmp_unordered("uno", vector, vector)
    return builder.trunc(builder.select(is_nan, _constant(QUIET_NAN), rounded), HALVES)


@intrinsic
def load(typing_context: Any, array: Any, index: Any) -> Any:
    """Return the vector array[i, j, :] for the index (i, j). The array is C-contiguous, its last axis LANES long."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = element_address(context, builder, signature, arguments, whole_index=False)
        if _holds_halves(signature.args[0]):
            halves = builder.load(builder.bitcast(address, HALVES.as_pointer()), align=2)
            return builder.bitcast(builder.shl(builder.zext(halves, INTS), _constant(16)), FLOATS)
        return builder.load(builder.bitcast(address, FLOATS.as_pointer()), align=4)

    return float_vector(array, index), generate


@intrinsic
def store(typing_context: Any, array: Any, index: Any, vector: Any) -> Any:
    """Write a vector to array[i, j, :] for the index (i, j)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = element_address(context, builder, signature, arguments, whole_index=False)
        if _holds_halves(signature.args[0]):
            halves = _round_to_half(builder, arguments[2])
            builder.store(halves, builder.bitcast(address, HALVES.as_pointer()), align=2)
        else:
            builder.store(arguments[2], builder.bitcast(address, FLOATS.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(array, index, float_vector), generate


@intrinsic
def broadcast(typing_context: Any, array: Any, index: Any) -> Any:
    """Return a vector that holds the number array[i, j] in every lane, for the index (i, j)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _splat(builder, builder.load(element_address(context, builder, signature, arguments, whole_index=True)))

    return float_vector(array, index), generate


@intrinsic
def splat(typing_context: Any, number: Any) -> Any:
    """Return a vector that holds ``number`` in every lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _splat(builder, context.cast(builder, arguments[0], signature.args[0], types.float32))

    return float_vector(number), generate


def _define_operator(symbol: Callable[..., Any], instruction: str) -> None:
    """Make ``symbol`` work on vectors. Numbers are spread over the lanes first."""
    operands = ((float_vector, float_vector), (float_vector, types.float64), (types.float64, float_vector))

    @infer_global(symbol)
    class Typing(ConcreteTemplate):
        cases: ClassVar = [signature(float_vector, *types_of_two) for types_of_two in operands]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        typed = zip(arguments, signature.args, strict=True)
        left, right = (_as_vector(context, builder, argument, of_type) for argument, of_type in typed)
        return getattr(builder, instruction)(left, right, flags=("contract",))

    for types_of_two in operands:
        lower_builtin(symbol, *types_of_two)(generate)


def _as_vector(context: Any, builder: Any, argument: Any, of_type: Any) -> Any:
    if of_type == float_vector:
        return argument
    return _splat(builder, context.cast(builder, argument, of_type, types.float32))


for _symbol, _instruction in (("add", "fadd"), ("sub", "fsub"), ("mul", "fmul"), ("truediv", "fdiv")):
    _define_operator(getattr(operator, _symbol), _instruction)


@register_jitable
def aligned(rows: int) -> Any:
    """Return working memory of ``rows`` vectors (rows, LANES) that starts at a multiple of a vector's size, not filled.

    A vector that lies across two cache lines takes twice as long to load, and longer to store.
    """
    numbers = np.empty((rows + 1) * LANES, np.float32)
    first = -(numbers.ctypes.data // 4) % LANES
    return numbers[first : first + rows * LANES].reshape((rows, LANES))
