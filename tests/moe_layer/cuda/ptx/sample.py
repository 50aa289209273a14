#!/usr/bin/env python3
"""Changes instructions of the kernels' PTX at random, one at a time, and says which changes no case finds.
sample.py [COUNT [SEED [KERNEL]]], with the environment of the test; by hand, since it takes minutes. Some
changes change nothing: a bound of a loop that was unrolled, a barrier before the end."""

import random
import re
import sys
import time

import kernels_test
import module

# Opcode, and what may take its place: the same operands, another result. "" is no instruction.
OTHERS = [(r"add\.([sf]\d+)", [r"sub.\1"]), (r"sub\.([sf]\d+)", [r"add.\1"]), (r"mul\.([lo.sf\d]+)", [r"add.\1"]),
          (r"mul\.lo\.s(\d+)", [r"add.s\1"]), (r"setp\.lt\.(\w+)", [r"setp.le.\1", r"setp.ge.\1"]),
          (r"setp\.ge\.(\w+)", [r"setp.gt.\1", r"setp.lt.\1"]), (r"setp\.gt\.(\w+)", [r"setp.ge.\1", r"setp.le.\1"]),
          (r"setp\.le\.(\w+)", [r"setp.lt.\1", r"setp.gt.\1"]), (r"setp\.eq\.(\w+)", [r"setp.ne.\1"]),
          (r"setp\.ne\.(\w+)", [r"setp.eq.\1"]), (r"and\.(\w+)", [r"or.\1"]), (r"or\.(\w+)", [r"and.\1"]),
          (r"shl\.(\w+)", [r"shr.\1"]), (r"shr\.u(\d+)", [r"shl.b\1"]), (r"max\.f32", ["min.f32"]), (r"st\..*", [""]),
          (r"atom\..*", [""]), (r"bar\.sync", [""]), (r"shfl\.sync\.up\.b32", ["shfl.sync.down.b32"]),
          (r"shfl\.sync\.bfly\.b32", ["shfl.sync.up.b32"]), (r"div\.rn\.f32", ["mul.f32"]), (r"neg\.f32", ["mov.f32"])]


def possible(kernels):
    """(kernel, index of an instruction that some case executes, its opcode's replacement)"""
    for kernel in kernels:
        for index in sorted(kernel.executed):
            code = kernel.code[index]
            for pattern, others in OTHERS:
                if re.fullmatch(pattern, code.opcode):
                    for other in others:
                        yield kernel, index, re.sub(pattern, other, code.opcode)


def with_opcode(kernel, index, opcode):
    """A copy with another opcode, or none."""
    (made,) = module.read_module(kernel.text).values()
    if opcode:
        made.code[index].opcode = opcode
    else:
        code = made.code[index]
        code.opcode, code.operands, code.target = "bra", [], index + 1
    return made


def main():
    words = sys.argv[1:]
    count, seed = int(words[0]) if words else 200, int(words[1]) if len(words) > 1 else 1
    test = kernels_test.Kernels
    test.setUpClass()
    bench = test()
    users = {}
    for function in kernels_test.host.Declarations(*kernels_test.CALLS).functions():
        bench.host.launched = set()
        for arguments in kernels_test.CASES[function][1]:
            bench.run_case(function, arguments)
        for name in bench.host.launched:
            users.setdefault(name, []).append(function)
    wanted = [kernel for kernel in bench.host.kernels.values()
              if len(words) < 3 or re.search(words[2], module.short(kernel.name))]
    for kernel in wanted:
        idle = [code.line for index, code in enumerate(kernel.code) if index not in kernel.executed]
        print(f"{module.short(kernel.name)}: {len(idle)} of {len(kernel.code)} instructions are executed by no case: "
              f"{idle}")
    chosen = list(possible(wanted))
    random.Random(seed).shuffle(chosen)
    missed, begin = 0, time.monotonic()
    for kernel, index, opcode in chosen[:count]:
        changed = with_opcode(kernel, index, opcode)
        if not any(bench.finds(function, changed) for function in users[kernel.name][:1]):
            missed += 1
            print(f"{module.short(kernel.name)}, PTX line {kernel.code[index].line}: {kernel.code[index].text} "
                  f"becomes {opcode or 'nothing'}: NOBODY", flush=True)
    print(f"{missed} of {min(count, len(chosen))} missed ({len(chosen)} possible), "
          f"{time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
