"""Compiles Triton kernels for GPUs that need not be there, and says what their machine code uses.

Run as a program it does so for our kernels: each argument is ``kernel:architecture:rank:dtype``, for example
``backward:90:4:bf16``, and the answers come as JSON. ``layout`` is what stands before a scan, ``parts`` and ``images``
are the sums after it; of the kernels of a block, such as ``norm_gate_backward:90:96:bf16``, the third part is the
width. Rank 0 is a sequence with step sizes of its own, without softplus and without saved states. It must run without
TRITON_INTERPRET.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, CompiledKernel

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
ALIGNED = [["tt.divisibility", 16]]


def compile_kernel(
    kernel: Any,
    dtypes: dict[str, str],
    constants: dict[str, Any],
    multiples_of_16: tuple[str, ...] = (),
    architecture: int = 90,
    **options: Any,
) -> CompiledKernel:
    """Compile a kernel whose pointers are aligned to 16 bytes.

    Args:
        kernel: a function decorated with ``triton.jit``.
        dtypes: Triton's type of each argument that is not a float32 pointer, for example ``{"length": "i32"}``.
        constants: values of the ``tl.constexpr`` arguments.
        multiples_of_16: integer arguments that are known to be that.
        architecture: 80 for A100, 90 for H100, 100 for B200.
        options: of the launch, such as ``num_warps``.
    """
    names = kernel.arg_names
    types = {name: "constexpr" if name in constants else dtypes.get(name, "*fp32") for name in names}
    aligned = [name for name in names if types[name].startswith("*") or name in multiples_of_16]
    source = ASTSource(
        fn=kernel,
        signature=types,
        constexprs={(names.index(name),): value for name, value in constants.items()},
        attrs={(names.index(name),): ALIGNED for name in aligned},
    )
    return triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=options)


def resources(compiled: CompiledKernel) -> dict[str, int]:
    """Return how many ``registers`` a thread uses and how many bytes of ``stack``, which is where it spills to."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(compiled.asm["cubin"])
        command = [str(TOOLS / "cuobjdump"), "-res-usage", str(file)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True)
    registers, stack = re.search(r"REG:(\d+) STACK:(\d+)", printed.stdout + printed.stderr).groups()
    return {"registers": int(registers), "stack": int(stack)}


def compile_scan(name: str, architecture: int, rank: int, dtype: str) -> CompiledKernel:
    """Compile the ``forward`` kernel (which saves states) or the ``backward`` one, in 2D with 16 states a channel."""
    from medmamba_monai.selective_scan.triton.backward import backward_kernel
    from medmamba_monai.selective_scan.triton.forward import forward_kernel
    from medmamba_monai.selective_scan.triton.launch import CHUNK, launch_config

    config = launch_config()
    kernel, extra = {
        "forward": (forward_kernel, {"SAVE": rank > 0, "BLOCK": config.forward_block, "AHEAD": config.forward_ahead}),
        "backward": (backward_kernel, {}),
    }[name]
    constants = {"DIRECTIONS": 4 if rank else 1, "RANK": rank, "STATE_SIZE": 16, "CHUNK": CHUNK}
    constants |= {"HAS_DELTA": rank == 0, "SOFTPLUS": rank > 0, "PREFETCH": True} | extra
    integers = dict.fromkeys(("first", "chunks", "order_stride", "batch", "length", "channels"), "i32")
    return compile_kernel(
        kernel,
        integers | {"order": "*i32", "u": f"*{dtype}", "delta": f"*{dtype}"},
        constants,
        ("order_stride", "channels"),
        architecture,
        num_warps=1,
        maxnreg=config.max_registers,
    )


def compile_sum(name: str, architecture: int, rank: int, dtype: str) -> CompiledKernel:
    """Compile ``layout``, ``parts`` or ``images``, of a rank that is padded to a multiple of 4."""
    from medmamba_monai.selective_scan.triton import finish, layout

    padding = -rank % 4
    if name == "layout":
        integers = dict.fromkeys(("count", "copies", "parameters", "channels"), "i32") | {"scale": "fp32"}
        constants = {"RANK": rank, "PADDING": padding, "STATE_SIZE": 16, "ELEMENTS": layout.ELEMENTS.value}
        types = integers | {"projected": f"*{dtype}"}
        return compile_kernel(layout.lay_out_kernel, types, constants, (), architecture)
    if name == "parts":
        integers = dict.fromkeys(("count", "parts", "size", "columns"), "i32")
        constants = {"PADDING": padding, "ELEMENTS": finish.ELEMENTS.value}
        return compile_kernel(finish.add_parts_kernel, integers | {"target": f"*{dtype}"}, constants, (), architecture)
    constants = {"DIRECTIONS": 4, "RANK": rank + padding, "PADDING": padding, "STATE_SIZE": 16}
    constants |= {"IMAGES": finish.IMAGES.value, "CHANNELS": finish.CHANNELS.value}
    integers = dict.fromkeys(("batch", "channels"), "i32")
    return compile_kernel(finish.add_images_kernel, integers, constants, ("channels",), architecture)


def compile_neighbour(name: str, architecture: int, width: int, dtype: str) -> CompiledKernel:
    """Compile a kernel that a block calls before or behind its scan, for rows of a width under autocast to a dtype."""
    from medmamba_monai.networks.fused.triton import elementwise, norms
    from medmamba_monai.networks.fused.triton.launch import _size_rows

    half = ("near", "far", "gate", "out", "grad_near", "grad_far", "grad_gate", "grad", "other", "x", "target")
    dtypes = dict.fromkeys(half, f"*{dtype}") | dict.fromkeys(("rows", "width", "programs", "count", "image"), "i32")
    if name.startswith(("split", "norm")):
        constants = _size_rows(width)
        warps = constants.pop("num_warps")
        kernel = getattr(norms, f"{name}_kernel")
        return compile_kernel(kernel, dtypes | {"eps": "fp32"}, constants, (), architecture, num_warps=warps)
    constants = {"ELEMENTS": elementwise.ELEMENTS.value} | ({"SCALED": True} if name.startswith("merge") else {})
    return compile_kernel(getattr(elementwise, f"{name}_kernel"), dtypes, constants, (), architecture)


def choose_compiler(name: str) -> Any:
    """Return what compiles a kernel of a name."""
    if name in ("forward", "backward"):
        return compile_scan
    return compile_sum if name in ("layout", "parts", "images") else compile_neighbour


if __name__ == "__main__":
    answers = {}
    for argument in sys.argv[1:]:
        name, architecture, rank, dtype = argument.split(":")
        answers[argument] = resources(choose_compiler(name)(name, int(architecture), int(rank), dtype))
    print(json.dumps(answers))
