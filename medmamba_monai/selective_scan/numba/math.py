"""Functions of whole vectors: exponential, softplus, sums over lanes, and how the CPU treats denormal numbers."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import register_jitable

from medmamba_monai.selective_scan.numba.vector import (
    FLOAT,
    FLOATS,
    INT,
    INTS,
    LANES,
    element_address,
    float_vector,
    intrinsic,
    splat,
)

IS_X86 = platform.machine().lower() in ("x86_64", "amd64", "x86", "i386", "i686")
FLUSH_DENORMALS = 0x8040  # the bits "flush to zero" and "denormals are zero" of x86's control register MXCSR
CURRENT_ROUNDING = 4  # of AVX-512's rounding modes, the one that the thread is in


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
def _power_series(rest: Any) -> Any:
    """Return 2**rest for rest in [-1/2, 1/2], with a relative error below 2e-7.

    The coefficients are ``exp2`` of ``selective_scan/polynomials.py``, a minimax polynomial that is exact at 0.
    """
    series = 0.001326472731307149 * rest + 0.009671512991189957
    series = series * rest + 0.05550733581185341
    series = series * rest + 0.24022242426872253
    series = series * rest + 0.6931470036506653
    return series * rest + 1.0


@intrinsic
def round_to_whole(typing_context: Any, x: Any) -> Any:
    """Return the whole numbers nearest to x."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        function_type = ir.FunctionType(FLOATS, [FLOATS])
        name = f"llvm.nearbyint.v{LANES}f32"
        return builder.call(cgutils.get_or_insert_function(builder.module, function_type, name), arguments)

    return float_vector(float_vector), generate


@intrinsic
def scale(typing_context: Any, x: Any, exponent: Any) -> Any:
    """Return x * 2**exponent for whole exponents of any size, in one instruction of AVX-512."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        mask = ir.IntType(16)
        function_type = ir.FunctionType(FLOATS, [FLOATS, FLOATS, FLOATS, mask, INT])
        name = "llvm.x86.avx512.mask.scalef.ps.512"
        function = cgutils.get_or_insert_function(builder.module, function_type, name)
        unmasked = [ir.Constant(FLOATS, ir.Undefined), ir.Constant(mask, -1), ir.Constant(INT, CURRENT_ROUNDING)]
        return builder.call(function, [*arguments, *unmasked])

    return float_vector(float_vector, float_vector), generate


@register_jitable
def _exp2_by_scaling(x: Any) -> Any:
    whole = round_to_whole(x)  # where it is infinite the series is NaN, but scaling by 2**-inf gives 0 of anything
    return scale(_power_series(x - whole), whole)


@register_jitable
def _exp2_by_shifting(x: Any) -> Any:
    x = clamp(x, -127.0, 128.0)
    shifted = x + EXPONENT_SHIFT
    return _power_series(x - (shifted - EXPONENT_SHIFT)) * power_of_two(shifted)


@intrinsic
def _multiply_by_power_of_two(typing_context: Any, x: Any, shifted: Any) -> Any:
    """Return x * 2**i for a normal x and a normal result, for whole numbers i given as i + WHOLE_SHIFT.

    The lowest bits of the shifted float are those of i, and are added to the exponent of x.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, shifted = (builder.bitcast(argument, INTS) for argument in arguments)
        return builder.bitcast(builder.add(x, builder.shl(shifted, ir.Constant(INTS, [23] * LANES))), FLOATS)

    return float_vector(float_vector, float_vector), generate


WHOLE_SHIFT = 12582912.0


@register_jitable
def _exp2_by_adding(x: Any) -> Any:
    shifted = x + WHOLE_SHIFT
    return _multiply_by_power_of_two(_power_series(x - (shifted - WHOLE_SHIFT)), shifted)


exp2 = _exp2_by_scaling if LANES == 16 else _exp2_by_shifting
"""2**x with a relative error below 2e-7: a whole power of two times a power series of the rest."""

exp2_within = _exp2_by_scaling if LANES == 16 else _exp2_by_adding
"""The same for x within (-WHOLE_LIMIT, WHOLE_LIMIT), where nothing over- or underflows: three instructions less."""

WHOLE_LIMIT = 126.0


@register_jitable
def absolute(x: Any) -> Any:
    """Return the magnitudes of x."""
    return where_less(x, splat(0.0), 0.0 - x, x)


@register_jitable
def maximum(x: Any, y: Any) -> Any:
    """Return the larger of each two numbers; y where one is NaN."""
    return where_greater(x, y, x, y)


@intrinsic
def all_less(typing_context: Any, left: Any, right: Any) -> Any:
    """Return whether left < right in every lane; a NaN is not less than anything."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        mask = ir.IntType(LANES)
        return builder.icmp_unsigned(
            "==", builder.bitcast(builder.fcmp_ordered("<", *arguments), mask), ir.Constant(mask, -1)
        )

    return types.boolean(float_vector, float_vector), generate


@register_jitable
def softplus_and_slope(x: Any) -> Any:
    """Return log(1 + exp(x)) and its derivative, the logistic function of x.

    With e = exp(-abs(x)) and s = e / (e + 2), log(1 + e) = 2 * artanh(s) = 2 * (s + s**3 / 3 + s**5 / 5 + ...), which
    seven terms give to 2e-8 as s <= 1/3.
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


EIGHT = ir.VectorType(FLOAT, 8)
HALVES = ([0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15])
PAIRS = ([0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15])
SINGLES = ([0, 2, 8, 10, 4, 6, 12, 14], [1, 3, 9, 11, 5, 7, 13, 15])


def _mix(builder: Any, left: Any, right: Any, lanes: list[int]) -> Any:
    return builder.shuffle_vector(left, right, ir.Constant(ir.VectorType(INT, len(lanes)), lanes))


def _add_lanes_of_pairs(builder: Any, vectors: list[Any], lanes: tuple[list[int], list[int]]) -> list[Any]:
    """Turn each two of the vectors into one of the same length, by adding the lanes chosen first and second."""
    pairs = zip(vectors[::2], vectors[1::2], strict=True)
    return [builder.fadd(*(_mix(builder, *pair, chosen) for chosen in lanes)) for pair in pairs]


@intrinsic
def add_sums(typing_context: Any, array: Any, index: Any, vectors: Any) -> Any:
    """Add the sums over lanes of eight vectors to array[i, j : j + 8], for the index (i, j).

    Eight sums take one tree of shuffles together, always in the same order, and one access to memory.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = element_address(context, builder, signature, arguments, whole_index=True)
        total = [builder.extract_value(arguments[2], i) for i in (0, 4, 1, 5, 2, 6, 3, 7)]
        if LANES == 16:
            halves = [list(range(8)), list(range(8, 16))]
            total = [builder.fadd(*(_mix(builder, v, v, half) for half in halves)) for v in total]
        if LANES == 4:
            total = [_mix(builder, *pair, list(range(8))) for pair in zip(total[::2], total[1::2], strict=True)]
        else:
            total = _add_lanes_of_pairs(builder, total, HALVES)
        for lanes in (PAIRS, SINGLES):
            total = _add_lanes_of_pairs(builder, total, lanes)
        place = builder.bitcast(address, EIGHT.as_pointer())
        builder.store(builder.fadd(builder.load(place, align=4), total[0]), place, align=4)
        return context.get_dummy_value()

    return types.void(array, index, vectors), generate


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
