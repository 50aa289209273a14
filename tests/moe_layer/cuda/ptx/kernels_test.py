#!/usr/bin/env python3
"""The kernels as nvcc compiles them, run by the PTX machine and compared with references in numpy; and that
this finds what is planted."""

import os
import pathlib
import re
import tempfile
import unittest

import cases
import host
import module
import other_cases

TOP = pathlib.Path(os.environ["GEMBENCH_TOP"])
# Others' copies of the sources, with something changed: mutations.py.
SOURCES = pathlib.Path(os.environ.get("GEMBENCH_KERNELS", TOP / "moe_layer/cuda"))
CALLS = sorted((TOP / "moe_layer/cuda").glob("*kernels.hpp"))
HEADERS = [*CALLS, TOP / "moe_layer/device/device_calls.hpp", TOP / "placement/cost/placement.hpp"]
CASES = {**cases.CASES, **other_cases.CASES}

# What is planted: name, function that finds it, kernel, text of its PTX, what it becomes, which occurrence.
PLANTED = [
    ("a sum becomes a difference", "norm_rows", "norm_kernel<float>",
     r"add\.f32", "sub.f32", 0),
    ("a barrier is gone", "norm_rows", "norm_kernel<float>",
     r"bar\.sync 0;", "", 0),
    ("a root is left out", "norm_rows", "norm_kernel<__nv_bfloat16>",
     r"sqrt\.rn\.f32 ([^;]*);", r"mov.f32 \1;", 0),
    ("a lane asks the wrong one", "norm_rows", "norm_kernel<__nv_bfloat16>",
     r"mov\.u32 (%r\d+), 16;", r"mov.u32 \1, 8;", 0),
    ("a store is gone", "fill_inputs", "fill_kernel",
     r"st\.global\.f32 [^;]*;", "", 1),
    ("the other half of a hash", "fill_inputs", "fill_kernel",
     r"(shr\.u64 %rd\d+, %rd\d+), 32", r"\1, 31", 0),
    ("ties go the other way", "choose_experts", "choose_kernel",
     r"setp\.lt\.s32 (%p\d+, %r\d+, %r\d+)", r"setp.gt.s32 \1", 1),
    ("a maximum becomes a minimum", "choose_experts", "choose_kernel",
     r"max\.f32", "min.f32", 0),
    ("an address leaves the row", "choose_experts", "choose_kernel",
     r"(ld\.global\.f32 [^\]]*)\+128\]", r"\1+132]", 0),
    ("atomics become stores", "count_pairs", "count_kernel",
     r"atom\.global\.add\.u32 %r\d+, (\[[^\]]*\], [^;]*);", r"st.global.u32 \1;", 0),
    ("memory is used again too early", "count_pairs", "count_kernel",
     r"bar\.sync 0;", "", 1),
    ("a bound is one too large", "place_pairs", "place_kernel",
     r"setp\.ge\.s32", "setp.gt.s32", 0),
    ("a lane adds the wrong neighbour", "place_pairs", "place_kernel",
     r"shfl\.sync\.up", "shfl.sync.down", 0),
    ("a row too many", "copy_rows", "copy_kernel<uint4>",
     r"setp\.ge\.u32", "setp.gt.u32", 0),
    ("a word moves to its neighbour's place", "copy_rows", "copy_kernel<unsigned int>",
     r"(st\.global\.u32 \[%rd\d+\+)128\]", r"\g<1>132]", 0),
    ("a vector at half its alignment", "copy_rows", "copy_kernel<uint4>",
     r"(ld\.global\.nc\.v4\.u32 [^\]]*)\+512\]", r"\1+520]", 0),
    ("counts of the wrong slot", "sort_pairs", "slot_kernel",
     r"mad\.lo\.s32 (%r\d+), (%r\d+), (%r\d+), (%r\d+)", r"mad.lo.s32 \1, \2, \4, \3", 0),
    ("a comparison with equality", "sort_pairs", "sort_kernel",
     r"setp\.eq\.s32", "setp.ne.s32", 1),
    ("a register before anyone wrote it", "sort_pairs", "sort_kernel",
     r"mov\.u32 %r\d+, %ctaid\.x;", "", 0),
    ("a sign is lost", "swiglu", "swiglu_kernel<float, 4>",
     r"neg\.f32", "abs.f32", 0),
    ("a product becomes a sum", "swiglu", "swiglu_kernel<__nv_bfloat16, 1>",
     r"mul\.f32", "add.f32", -1),
    ("a product without its sum", "weigh_rows", "weigh_kernel<float, 4>",
     r"fma\.rn\.f32 (%f\d+), (%f\d+), (%f\d+), %f\d+", r"mul.f32 \1, \2, \3", 0),
    ("elements exchanged", "weigh_rows", "weigh_kernel<__nv_bfloat16, 4>",
     r"(st\.global\.v4\.u16 [^{]*\{)(%rs\d+), (%rs\d+)", r"\1\3, \2", 0),
    ("a branch the other way", "add_rows", "add_kernel<float, 1>",
     r"@%p", "@!%p", 2),
    ("a step backwards", "add_rows", "add_kernel<__nv_bfloat16, 4>",
     r"add\.s32", "sub.s32", 0),
    ("a spin that never ends", "spin", "spin_kernel",
     r"setp\.lt\.u64", "setp.ge.u64", 0),
]


def changed(kernel, pattern, replacement, which):
    """A kernel with one occurrence of a pattern in its instructions replaced."""
    text = re.sub(r"[ \t]+", " ", kernel.text)
    begin = text.index("\n{")
    found = list(re.finditer(pattern, text[begin:]))
    if not found:
        raise AssertionError(f"{kernel.name} holds nothing like {pattern}")
    at = found[which]
    text = text[:begin + at.start()] + at.expand(replacement) + text[begin + at.end():]
    (made,) = module.read_module(text).values()
    return made


class Kernels(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        kernels = {}
        with tempfile.TemporaryDirectory() as folder:
            for source in sorted(SOURCES.glob("*.cu")):
                text = module.compile_module(os.environ["GEMBENCH_NVCC"], [SOURCES.parents[1], TOP], source,
                                             pathlib.Path(folder))
                kernels.update(module.read_module(text))
        cls.declarations = host.Declarations(*HEADERS)
        cls.host = host.Host(os.environ["GEMBENCH_LAUNCHES"], kernels, cls.declarations)

    def run_case(self, function, arguments):
        self.host.start_over()
        CASES[function][0](self.host, *arguments)

    def test_kernels_give_what_is_documented(self):
        declared = host.Declarations(*CALLS).functions()
        # Whoever adds a kernel or a call adds its cases: README.md.
        self.assertEqual(set(CASES), set(declared), "calls and cases are not of the same names")
        done = []  # the two halves of packing have the same cases, which call both
        for function in declared:
            if CASES[function] in done:
                continue
            done.append(CASES[function])
            for arguments in CASES[function][1]:
                with self.subTest(f"{function}{arguments}"):
                    self.run_case(function, arguments)
        self.assertEqual([name for name in self.host.kernels if name not in self.host.launched], [],
                         "kernels that no case launches: add one to cases.py")

    def finds(self, function, kernel):
        """What is said of a changed kernel, None if nothing is."""
        self.host.changed = {kernel.name: kernel}
        try:
            for arguments in CASES[function][1]:
                self.run_case(function, arguments)
        except (module.PtxError, AssertionError) as found:
            return str(found)
        finally:
            self.host.changed = {}
        return None

    def test_what_is_planted_is_found(self):
        for name, function, kernel, pattern, replacement, which in PLANTED:
            with self.subTest(name):
                (of,) = [made for made in self.host.kernels.values() if module.short(made.name) == kernel]
                found = self.finds(function, changed(of, pattern, replacement, which))
                self.assertIsNotNone(found)
                self.assertNotIn("is not known", found)  # what is planted could be compiled


if __name__ == "__main__":
    unittest.main()
