"""A vector type for Numba: LANES float32 numbers that add, multiply and exponentiate together.

Numba leaves vectorization to LLVM, which does not vectorize ``exp`` and gives up on loops whose arrays might overlap.
Here the vector is explicit: ``FloatVector`` is LLVM's ``<LANES x float>``, ``load`` and ``store`` move it from and to
the last axis of an array, the operators ``+ - * /`` work on it (with a number on the other side, too), and the
functions below are built from those. A product that is added to something may be fused with the sum, one rounding
instead of two; nothing is reordered.

Numba's cache on disk does not notice changes in this file: after editing it, touch ``numba_kernels.py`` as well.
"""

from __future__ import annotations

import operator
import platform
from collections.abc import Callable
from typing import Any, ClassVar

import numba.extending
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.codegen import get_host_cpu_features
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_jitable, register_model

config: Any = numba.config
intrinsic: Any = numba.extending.intrinsic  # the typing context, first in each definition, is not passed in calls


def _lanes_of_cpu() -> int:
    """Return how many float32 numbers a register of the CPU that Numba compiles for holds: 16, 8 or 4."""
    features = get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
    enabled = set(features.split(","))
    return 16 if "+avx512f" in enabled else 8 if "+avx" in enabled else 4


LANES = _lanes_of_cpu()
IS_X86 = platform.machine().lower() in ("x86_64", "amd64", "x86", "i386", "i686")
FLUSH_DENORMALS = 0x8040  # the bits "flush to zero" and "denormals are zero" of x86's control register MXCSR

FLOAT, INT = ir.FloatType(), ir.IntType(32)
FLOATS, INTS = ir.VectorType(FLOAT, LANES), ir.VectorType(INT, LANES)


class FloatVector(types.Type):
    """Numba's name for LANES float32 numbers in one register."""

    def __init__(self) -> None:
        super().__init__(name=f"FloatVector({LANES})")


float_vector = FloatVector()


@register_model(FloatVector)
class _FloatVectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, frontend_type: FloatVector) -> None:
        super().__init__(manager, frontend_type, FLOATS)


def _address(context: Any, builder: Any, signature: Any, arguments: Any, whole_index: bool) -> Any:
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


@intrinsic
def load(typing_context: Any, array: Any, index: Any) -> Any:
    """``load(array, (i, j))`` is the vector array[i, j, :]. The array is C-contiguous, its last axis LANES long."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature, arguments, whole_index=False)
        return builder.load(builder.bitcast(address, FLOATS.as_pointer()), align=4)

    return float_vector(array, index), generate


@intrinsic
def store(typing_context: Any, array: Any, index: Any, vector: Any) -> Any:
    """``store(array, (i, j), vector)`` writes array[i, j, :]."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature, arguments, whole_index=False)
        builder.store(arguments[2], builder.bitcast(address, FLOATS.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(array, index, float_vector), generate


@intrinsic
def broadcast(typing_context: Any, array: Any, index: Any) -> Any:
    """``broadcast(array, (i, j))`` is a vector that holds the number array[i, j] in every lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _splat(builder, builder.load(_address(context, builder, signature, arguments, whole_index=True)))

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


def _select_where(comparison: str) -> Callable[..., Any]:
    @intrinsic
    def choose(typing_context: Any, left: Any, right: Any, if_true: Any, if_false: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            left, right, if_true, if_false = arguments
            return builder.select(builder.fcmp_ordered(comparison, left, right), if_true, if_false)

        return float_vector(float_vector, float_vector, float_vector, float_vector), generate

    return choose


where_less = _select_where("<")
where_greater = _select_where(">")


@register_jitable
def clamp(x: Any, lowest: float, highest: float) -> Any:
    """Limit a vector to [lowest, highest]; NaN stays NaN, as it is neither less nor greater than a limit."""
    low, high = splat(lowest), splat(highest)
    x = where_less(x, low, low, x)
    return where_greater(x, high, high, x)


@intrinsic
def power_of_two(typing_context: Any, shifted: Any) -> Any:
    """Return 2**i for whole numbers i in [-127, 128], given as i + EXPONENT_SHIFT; -127 gives 0 and 128 infinity.

    Adding EXPONENT_SHIFT leaves i plus the exponent bias in the lowest bits of the float, where it only has to be
    shifted into the place of the exponent.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = builder.bitcast(arguments[0], INTS)
        return builder.bitcast(builder.shl(bits, ir.Constant(INTS, [23] * LANES)), FLOATS)

    return float_vector(float_vector), generate


EXPONENT_SHIFT = 12582912.0 + 127.0


@register_jitable
def exp2(x: Any) -> Any:
    """Return 2**x with a relative error below 2e-7: a whole power of two times a polynomial on [-1/2, 1/2]."""
    x = clamp(x, -127.0, 128.0)
    shifted = x + EXPONENT_SHIFT
    rest = x - (shifted - EXPONENT_SHIFT)
    series = 0.001326472731307149 * rest + 0.009671512991189957
    series = series * rest + 0.05550733581185341
    series = series * rest + 0.24022242426872253
    series = series * rest + 0.6931470036506653
    return (series * rest + 1.0) * power_of_two(shifted)


@register_jitable
def softplus_and_slope(x: Any) -> Any:
    """Return log(1 + exp(x)) and its derivative, the logistic function of x.

    With e = exp(-abs(x)) and s = e / (e + 2), log(1 + e) = 2 * artanh(s), an odd power series in s <= 1/3.
    """
    zero = splat(0.0)
    e = exp2(where_less(x, zero, x, zero - x) * 1.4426950408889634)
    s = e / (e + 2.0)
    square = s * s
    series = square * (1.0 / 15.0) + 1.0 / 13.0
    series = series * square + 1.0 / 11.0
    series = series * square + 1.0 / 9.0
    series = series * square + 1.0 / 7.0
    series = series * square + 1.0 / 5.0
    series = series * square + 1.0 / 3.0
    softplus = where_less(x, zero, zero, x) + 2.0 * (s * (series * square + 1.0))
    inverse = 1.0 / (e + 1.0)
    return softplus, where_less(x, zero, e * inverse, inverse)


@intrinsic
def sum_lanes(typing_context: Any, vector: Any) -> Any:
    """Add the lanes of a vector up, halves first, always in the same order."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        total, width = arguments[0], LANES
        while width > 1:
            width //= 2
            undefined = ir.Constant(total.type, ir.Undefined)
            halves = [ir.Constant(ir.VectorType(INT, width), list(range(i, i + width))) for i in (0, width)]
            low, high = (builder.shuffle_vector(total, undefined, half) for half in halves)
            total = builder.fadd(low, high)
        return builder.extract_element(total, ir.Constant(INT, 0))

    return types.float32(float_vector), generate


def _mxcsr(builder: Any, instruction: str, address: Any) -> None:
    """Emit x86's instruction that stores (stmxcsr) or loads (ldmxcsr) the floating-point control register."""
    byte_pointer = ir.IntType(8).as_pointer()
    function_type = ir.FunctionType(ir.VoidType(), [byte_pointer])
    function = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.x86.sse.{instruction}")
    builder.call(function, [builder.bitcast(address, byte_pointer)])


@intrinsic
def flush_denormals(typing_context: Any) -> Any:
    """Make this thread treat denormal numbers, which are slow, as zero. Return the mode before; x86 only, else 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if not IS_X86:
            return ir.Constant(INT, 0)
        address = cgutils.alloca_once(builder, INT)
        _mxcsr(builder, "stmxcsr", address)
        before = builder.load(address)
        builder.store(builder.or_(before, ir.Constant(INT, FLUSH_DENORMALS)), address)
        _mxcsr(builder, "ldmxcsr", address)
        return before

    return types.int32(), generate


@intrinsic
def restore_denormals(typing_context: Any, mode: Any) -> Any:
    """Set the mode that ``flush_denormals`` returned."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if IS_X86:
            address = cgutils.alloca_once_value(builder, arguments[0])
            _mxcsr(builder, "ldmxcsr", address)
        return context.get_dummy_value()

    return types.void(types.int32), generate
