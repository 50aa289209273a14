#!/usr/bin/env python3
"""The PTX machine by itself: arithmetic against exact numbers, and every error that it is to report."""

import fractions
import random
import unittest

import numpy as np

import arithmetic
import machine
import module
from memory import INPUT, SET, DeviceMemory

START = """.visible .entry kernel(
    .param .u64 at
)
{
    .reg .pred %p<9>;
    .reg .b16 %rs<9>;
    .reg .b32 %r<9>;
    .reg .b64 %rd<9>;
    .shared .align 4 .b8 words[256];
    ld.param.u64 %rd1, [at];
    mov.u32 %r1, %tid.x;
    mov.u32 %r2, %ctaid.x;
    mad.lo.s32 %r3, %r2, 4, %r1;
    mul.wide.s32 %rd2, %r1, 4;
    add.s64 %rd3, %rd1, %rd2;
"""


def run(body, blocks=1, threads=32, words=64, state=SET):
    """Executes PTX with a word of memory for every thread, whose numbers they hold; returns them."""
    (kernel,) = module.read_module(START + body + "\n    ret;\n}\n").values()
    device = DeviceMemory(1 << 14)
    at = device.put(np.arange(words, dtype=np.uint32), state)
    machine.run_kernel(kernel, machine.Launch((blocks, 1, 1), (threads, 1, 1), 0, [np.uint64(at).tobytes()]), device)
    return device.get(at)


# What is wrong, PTX, blocks, threads, part of the message.
ERRORS = [
    ("an unknown opcode", "frobnicate.s32 %r1, %r2;", 1, 1, "frobnicate.s32 is not known"),
    ("an unknown modifier", "add.sat.s32 %r1, %r1, %r1;", 1, 1, "add.sat.s32 is not known"),
    ("an unknown operand", "mov.u32 %r4, %smid;", 1, 1, "%smid is not known"),
    ("behind the end", "ld.global.u32 %r4, [%rd3+256];", 1, 1, "reads outside of every allocation"),
    ("far away", "st.global.u32 [%rd2], %r1;", 1, 1, "outside of device memory"),
    ("a generic address of shared memory", "cvta.shared.u64 %rd4, %rd1;", 1, 1, "cvta.shared.u64 is not known"),
    ("half a word on", "ld.global.u32 %r4, [%rd3+2];", 1, 2, "is no multiple of the access's 4 bytes"),
    ("a vector on a word's border", "ld.global.v2.u32 {%r4, %r5}, [%rd3];", 1, 2, "is no multiple of the access's 8"),
    ("shared memory nobody wrote", "ld.shared.u32 %r4, [words];", 1, 1, "reads what nobody wrote"),
    ("behind shared memory", "st.shared.u32 [words+256], %r1;", 1, 1, "writes outside of every allocation"),
    ("two threads at one word", "st.global.u32 [%rd1], %r1;", 1, 2, "a race: two threads write"),
    ("a neighbour's word", "st.global.u32 [%rd3], %r1;\nld.global.u32 %r4, [%rd3+4];", 1, 33, "a race"),
    ("two blocks at one word", "st.global.u32 [%rd3], %r1;", 2, 1, "a race: two threads write"),
    ("what another block reads",
     "ld.global.u32 %r4, [%rd1];\n@%p1 bra L;\nst.global.u32 [%rd3], %r1;\nL:", 2, 1, "a race"),
    ("an atomic's word is read", "red.global.add.u32 [%rd1], 1;\nld.global.u32 %r4, [%rd1];", 1, 2, "a race"),
    ("a barrier that some miss", "setp.eq.s32 %p1, %r1, 0;\n@%p1 bra L;\nbar.sync 0;\nL:", 1, 32, "wait for ever"),
    ("a barrier that some left", "setp.eq.s32 %p1, %r1, 0;\n@%p1 ret;\nbar.sync 0;", 1, 32, "have left before"),
    ("two barriers",
     "setp.eq.s32 %p1, %r1, 0;\n@%p1 bra L;\nbar.sync 0;\nbra M;\nL: bar.sync 0;\nM:", 1, 32, "for ever"),
    ("a shuffle that a lane misses", "setp.eq.s32 %p1, %r1, 3;\n@%p1 ret;\n"
     "shfl.sync.bfly.b32 %r4|%p2, %r1, 1, 31, -1;", 1, 32, "wait for ever"),
    ("half a warp shuffles", "shfl.sync.bfly.b32 %r4|%p2, %r1, 1, 31, -1;", 1, 16, "wait for ever"),
    ("a lane outside of its mask", "shfl.sync.bfly.b32 %r4|%p2, %r1, 1, 31, 7;", 1, 32, "not in its own mask"),
    ("a division by zero", "div.u32 %r4, %r1, 0;", 1, 1, "divides by zero"),
    ("no end", "L: bra L;", 1, 1, "does not end"),
    ("a register without a value", "add.s32 %r4, %r8, 1;", 1, 1, "reads register"),
]


class Machine(unittest.TestCase):
    def test_errors_are_found(self):
        body = "setp.eq.s32 %p1, %r2, 0;\n"
        for what, text, blocks, threads, expected in ERRORS:
            with self.subTest(what), self.assertRaisesRegex(module.PtxError, expected):
                run(body + text, blocks, threads)
        with self.assertRaisesRegex(module.PtxError, "writes an input"):
            run("st.global.u32 [%rd1], %r1;", 1, 1, state=INPUT)
        # Names kernel, block, thread and line.
        with self.assertRaisesRegex(module.PtxError, r"kernel, block 1, thread 2, PTX line 19 \(ld.global.u32 "):
            run("setp.eq.s32 %p2, %r3, 6;\n@!%p2 ret;\n\nld.global.u32 %r4, [%rd3+1024];", 2, 4)

    def test_barriers_and_atomics_order(self):
        turned = run("st.global.u32 [%rd3], %r1;\nbar.sync 0;\nxor.b32 %r4, %r1, 63;\nmul.wide.s32 %rd4, %r4, 4;\n"
                     "add.s64 %rd4, %rd1, %rd4;\nld.global.u32 %r5, [%rd4];\nbar.sync 0;\nst.global.u32 [%rd3], %r5;",
                     threads=64)
        self.assertEqual(list(turned), list(range(63, -1, -1)))
        self.assertEqual(run("atom.global.add.u32 %r4, [%rd1], 2;", blocks=3, threads=50)[0], 300)
        self.assertEqual(run("atom.relaxed.gpu.global.max.u32 %r4, [%rd1], %r3;", blocks=3, threads=4)[0], 11)
        self.assertEqual(list(run("atom.global.cas.b32 %r4, [%rd3], 3, 77;", threads=5)[:5]), [0, 1, 2, 77, 4])

    def test_threads_meet_again_after_branches(self):
        """Odd lanes go another way, and all shuffle together afterwards."""
        got = run("and.b32 %r4, %r1, 1;\nsetp.eq.s32 %p1, %r4, 0;\n@%p1 bra L;\nadd.s32 %r5, %r1, 100;\nbra M;\n"
                  "L: mov.u32 %r5, 7;\nM: shfl.sync.bfly.b32 %r6|%p2, %r5, 1, 31, -1;\nst.global.u32 [%rd3], %r6;")
        self.assertEqual(list(got[:4]), [101, 7, 103, 7])

    def test_shuffles(self):
        for how, by, source in [("up", 3, lambda i: i - 3 if i >= 3 else i),
                                ("down", 5, lambda i: i + 5 if i < 27 else i),
                                ("bfly", 9, lambda i: i ^ 9), ("idx", 4, lambda i: 4)]:
            got = run(f"shfl.sync.{how}.b32 %r6|%p2, %r1, {by}, {0 if how == 'up' else 31}, -1;\n"
                      "st.global.u32 [%rd3], %r6;")
            self.assertEqual(list(got[:32]), [source(i) for i in range(32)], how)

    def test_whole_numbers(self):
        """Against Python's, which have no width."""
        rng = random.Random(1)
        mask = (1 << 32) - 1

        def signed(a):
            return a - (1 << 32) if a >> 31 else a
        expected = {
            "add.s32": lambda a, b: a + b, "sub.s32": lambda a, b: a - b, "mul.lo.s32": lambda a, b: a * b,
            "mul.hi.s32": lambda a, b: signed(a) * signed(b) >> 32, "mul.hi.u32": lambda a, b: a * b >> 32,
            "min.s32": lambda a, b: min(signed(a), signed(b)), "max.u32": max,
            "div.u32": lambda a, b: a // b, "rem.u32": lambda a, b: a % b,
            "div.s32": lambda a, b: int(fractions.Fraction(signed(a), signed(b))),
            "rem.s32": lambda a, b: signed(a) - signed(b) * int(fractions.Fraction(signed(a), signed(b))),
            "shl.b32": lambda a, b: a << b if b < 32 else 0, "shr.u32": lambda a, b: a >> b if b < 32 else 0,
            "shr.s32": lambda a, b: signed(a) >> min(b, 31), "xor.b32": lambda a, b: a ^ b,
        }
        for opcode, function in expected.items():
            for _ in range(3):
                a, b = rng.getrandbits(32), rng.getrandbits(32) | 1
                if opcode.startswith("sh"):
                    b = rng.choice([0, 1, 31, 32, 1 << 31])
                got = run(f"mov.u32 %r4, {a};\nmov.u32 %r5, {b};\n{opcode} %r6, %r4, %r5;\nst.global.u32 [%rd3], %r6;",
                          threads=1)
                self.assertEqual(int(got[0]), function(a, b) & mask, (opcode, a, b))

    def test_one_rounding(self):
        """fma and its directions against exact fractions, where f64 alone would round twice."""
        rng = np.random.default_rng(2)
        bits = rng.integers(0, 1 << 32, (3, 4000), np.uint32)
        bits[2, ::3] = bits[2, ::3] & 0x007FFFFF | 0x3F800000  # sums of like size
        bits[:2, ::3] = bits[:2, ::3] & 0x807FFFFF | 0x3F800000
        bits[2, 1::3] &= 0x80FFFFFF  # tiny
        a, b, c = bits.view(np.float32)
        real = np.isfinite(a) & np.isfinite(b) & np.isfinite(c)
        with np.errstate(all="ignore"):
            results = {mode: arithmetic.fused(a, b, c, mode) for mode in ("rn", "rm", "rp", "rz")}
        for i in np.flatnonzero(real):
            exact = fractions.Fraction(float(a[i])) * fractions.Fraction(float(b[i])) + fractions.Fraction(float(c[i]))
            near = results["rn"][i]
            if not np.isfinite(near):
                continue
            for side in (-np.inf, np.inf):
                other = np.nextafter(near, np.float32(side))
                if np.isfinite(other):
                    self.assertLessEqual(abs(fractions.Fraction(float(near)) - exact),
                                         abs(fractions.Fraction(float(other)) - exact))
            if np.isfinite(results["rm"][i]) and np.isfinite(results["rp"][i]):
                low, high = (fractions.Fraction(float(results[mode][i])) for mode in ("rm", "rp"))
                self.assertTrue(low <= exact <= high)
                self.assertIn(float(results["rz"][i]), (float(low), float(high)))
                if low != exact:
                    self.assertEqual(np.nextafter(results["rm"][i], np.float32(np.inf)), results["rp"][i])

    def test_bf16(self):
        values = np.array([1.0, 1.00390625, 1.01171875, -1.00390625, 3.4e38, np.inf, -0.0, 1e-40, np.nan], np.float32)
        # 1 + 2^-8 lies between 1 and 1 + 2^-7: to even; 1 + 3 * 2^-8 to 1 + 2^-6.
        self.assertEqual([hex(bits) for bits in arithmetic.to_bf16(values)],
                         ["0x3f80", "0x3f80", "0x3f82", "0xbf80", "0x7f80", "0x7f80", "0x8000", "0x1", "0x7fff"])

    def test_comparisons_with_nan(self):
        for how, expected in [("lt", 0), ("ltu", 1), ("eq", 0), ("ne", 0), ("neu", 1), ("num", 0), ("nan", 1)]:
            got = run(f"setp.{how}.f32 %p1, 0f7FC00000, 0f3F800000;\nselp.u32 %r4, 1, 0, %p1;\n"
                      "st.global.u32 [%rd3], %r4;", threads=1)
            self.assertEqual(got[0], expected, how)


if __name__ == "__main__":
    unittest.main()
