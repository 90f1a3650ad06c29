"""The kernels compile for GPUs, registers and all, as the launches here would have them: no GPU is needed for that.

The interpreter forgives what the compiler does not (types that change in a loop, mixed constants, unknown functions).
"""

import os
import subprocess
import sys
from pathlib import Path

# In a process without TRITON_INTERPRET: what this one has imported triton as is not known. Argument: the module and
# a launch, a line of Python; printed are the kernel's name and the widths of its loads from global memory.
COMPILE = '''
import sys
import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

NAMES = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16", torch.int32: "i32", torch.int64: "i64",
         torch.uint8: "u8", torch.int8: "i8", torch.bool: "i1"}

def launch(kernel, grid, *arguments, **constants):
    """Compile instead of launching, specialised to the arguments as a launch would be: 1 is a constant, multiples of
    16 are known as such."""
    values = dict(zip(kernel.arg_names, arguments)) | constants
    signature, known, attributes = {}, {}, {}
    for place, name in enumerate(kernel.arg_names):
        value, plain = values[name], kernel.params[place].do_not_specialize
        if name in constants or (isinstance(value, int) and value == 1 and not plain):
            signature[name], known[name] = "constexpr", value
            continue
        tensor = isinstance(value, torch.Tensor)
        signature[name] = "*" + NAMES[value.dtype] if tensor else "i32" if abs(value) < 2**31 else "i64"
        if (value.data_ptr() if tensor else value) % 16 == 0 and not plain:
            attributes[(place,)] = [["tt.divisibility", 16]]
    compiled = triton.compile(ASTSource(kernel, signature, known, attributes), target=GPUTarget("cuda", 90, 32))
    assert len(compiled.asm["cubin"]) > 1000
    print(kernel.__name__, *sorted(set(line.split()[-1] for line in WIDTHS(compiled.asm["ptx"]))))

import re
WIDTHS = lambda ptx: re.findall(r"ld\\.global\\.((?:v\\d\\.)?[bfsu]\\d+)", ptx)
JITFunction.__getitem__ = lambda kernel, grid: lambda *a, **k: launch(kernel, grid, *a, **k)
exec(sys.argv[1])
'''

REDUCE = """
from maia.kernels.reduce_triton import reduce_cells
from maia.kernels.sketch import BINS
x = torch.zeros({shape}, dtype=torch.{dtype}){view}
counts = torch.zeros(x.shape[3], BINS, dtype=torch.int32)
valid = torch.ones(len(x), dtype=torch.bool)
reduce_cells(x, counts, torch.zeros(len(x), dtype=torch.int64), {stride}, valid, True)
reduce_cells(x, None, None, 1, None, False)
"""
TOPK = """
from maia.kernels.topk import empty_topk
from maia.kernels.topk_triton import merge
merge(*empty_topk(64, 15), torch.zeros(128, 64), torch.arange(128))
merge(*empty_topk(1, 1), torch.zeros(1, 1), torch.arange(1))
"""
MASK = """
from maia.kernels.mask_triton import paint
paint(torch.zeros(2, 64, 48, 3).byte(), torch.zeros(2, 7, 7), torch.zeros(2), torch.zeros(256).byte(), (255, 214, 0), 2)
paint(torch.zeros(2, 64, 48, 3).byte(), torch.zeros(2, 1, 1), torch.zeros(2), torch.zeros(256).byte(), (255, 214, 0), 2)
"""
NCHW = ".permute(0, 2, 3, 1)"


def test_all_kernels_compile(tmp_path: Path) -> None:
    """And the reduction reads 16 bytes at a time along the innermost dimension: its bandwidth rests on that."""
    launches = [
        REDUCE.format(shape=(64, 56, 56, 64), dtype="float32", view="", stride=196),
        REDUCE.format(shape=(2, 64, 112, 112), dtype="bfloat16", view=NCHW, stride=784),
        REDUCE.format(shape=(2, 8, 30, 30), dtype="float16", view=NCHW + "[:, 1:, ::2]", stride=3),
        REDUCE.format(shape=(1, 1, 1, 1), dtype="float32", view="", stride=1),
        TOPK,
        MASK,
    ]
    kept = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-c", COMPILE, "".join(launches)]
    done = subprocess.run(command, env=kept | {"TRITON_CACHE_DIR": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    loads = [line.split() for line in done.stdout.splitlines()]
    names = {"_reduce_kernel", "_join_kernel", "_merge_kernel", "_region_kernel", "_paint_kernel"}
    assert {name for name, *_ in loads} == names
    contiguous = [widths for name, *widths in loads if name == "_reduce_kernel"][:4]
    assert all("v4.b32" in widths for widths in contiguous), contiguous
