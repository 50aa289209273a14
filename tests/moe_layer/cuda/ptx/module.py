"""PTX as text, read into kernels: parameters, registers, shared memory, and instructions with their labels
resolved. Every statement must be understood: what is not is an error that names it."""

import dataclasses
import re
import subprocess

REGISTER_BYTES = {"pred": 0, "b8": 1, "b16": 2, "b32": 4, "f32": 4, "b64": 8, "f64": 8}
SKIPPED = (".loc", ".pragma", ".file", ".maxntid", ".minnctapersm", ".reqntid", ".maxnreg")


class PtxError(Exception):
    """What a GPU would reject, do wrong, or do undefined; or what this interpreter does not know."""


@dataclasses.dataclass
class Instruction:
    opcode: str
    operands: list
    guard: str = ""  # predicate register, or ""
    guarded_by: bool = True  # the value of the guard with which the instruction is executed
    line: int = 0
    text: str = ""
    target: int = -1  # of a branch: index of an instruction


@dataclasses.dataclass
class Kernel:
    name: str  # as written in C++, with template arguments
    symbol: str
    parameters: dict = dataclasses.field(default_factory=dict)  # name -> bytes, in order
    registers: dict = dataclasses.field(default_factory=dict)  # prefix -> type: %r -> b32
    shared: dict = dataclasses.field(default_factory=dict)  # name -> (begin, bytes); -1: at the launch
    shared_bytes: int = 0
    code: list = dataclasses.field(default_factory=list)
    labels: dict = dataclasses.field(default_factory=dict)
    operations: list = None  # made by machine.py when it is first run
    executed: set = dataclasses.field(default_factory=set)  # indices of instructions, by any thread
    text: str = ""  # PTX of this kernel alone, and of what the module declares for all

    def register_type(self, operand):
        """Of a register, None for other operands."""
        found = re.fullmatch(r"(%[a-zA-Z_]+)\d+", operand)
        return self.registers.get(found.group(1)) if found else None


def demangled(symbols):
    done = subprocess.run(["c++filt"], input="\n".join(symbols), capture_output=True, text=True, check=True)
    return [name.removeprefix("void ") for name in done.stdout.splitlines()]


def short(name):
    """norm_kernel<float> of a kernel's whole name."""
    found = re.search(r"(\w+(?:<[^()]*>)?)\(", name.replace("(anonymous namespace)::", ""))
    return found.group(1) if found else name


def split_operands(text):
    """At the commas that are in no brackets."""
    return [part.strip() for part in re.findall(r"(?:[^,{\[]|\{[^}]*\}|\[[^\]]*\])+", text)]


def read_instruction(text, line):
    found = re.fullmatch(r"(?:@(!?)(%\w+)\s+)?([\w.:]+)\s*(.*)", text)
    if not found:
        raise PtxError(f"PTX line {line} cannot be read: {text}")
    negated, guard, opcode, rest = found.groups()
    return Instruction(opcode, split_operands(rest), guard or "", not negated, line, text)


def place_shared(kernel, declaration):
    """`.align 4 .b8 name[128]`, of a kernel or of the whole module."""
    found = re.fullmatch(r"\.shared\s+(?:\.align (\d+)\s+)?\.[bfus](\d+)\s+(\w+)(?:\[(\d*)\])?", declaration)
    if not found:
        raise PtxError(f"the declaration of shared memory cannot be read: {declaration}")
    alignment, bits, name, count = found.groups()
    size = int(bits) // 8
    alignment = int(alignment or size)
    begin = -(-kernel.shared_bytes // alignment) * alignment
    if count == "":  # dynamic: behind all others
        kernel.shared[name] = (-1, alignment)
        return
    kernel.shared[name] = (begin, size * int(count or 1))
    kernel.shared_bytes = begin + size * int(count or 1)


def read_parameter(kernel, declaration):
    found = re.fullmatch(r"\.param\s+(?:\.align \d+\s+)?\.[bfus](\d+)\s+(\w+)(?:\[(\d+)\])?", declaration)
    if not found:
        raise PtxError(f"a parameter cannot be read: {declaration}")
    bits, name, count = found.groups()
    kernel.parameters[name] = int(bits) // 8 * int(count or 1)


def read_statement(kernel, text, line):
    """One statement of a body, without its semicolon."""
    if text.startswith(".reg"):
        kind, prefix = re.fullmatch(r"\.reg\s+\.(\w+)\s+(%\w+)<\d+>", text).groups()
        kernel.registers[prefix] = kind
    elif text.startswith(".shared"):
        place_shared(kernel, text)
    elif text.startswith("."):
        if not text.startswith(SKIPPED):
            raise PtxError(f"PTX line {line} is not known: {text}")
    else:
        kernel.code.append(read_instruction(text, line))


def read_body(kernel, lines, first):
    for number, raw in enumerate(lines, first):
        text = raw.split("//")[0].strip()
        # Inline assembly may stand in braces; those of vectors stand after an opcode.
        if text.startswith("{") and text.endswith("}"):
            text = text[1:-1].strip()
        label = re.match(r"(\$?\w+):(?!:)\s*", text)
        if label:
            kernel.labels[label.group(1)] = len(kernel.code)
            text = text[label.end():]
        if text.startswith(SKIPPED):
            continue
        for statement in text.split(";"):
            if statement.strip():
                read_statement(kernel, re.sub(r"\s+", " ", statement.strip()), number)
    for instruction in kernel.code:
        if instruction.opcode.split(".")[0] == "bra":
            instruction.target = kernel.labels[instruction.operands[0]]


def read_module(text):
    """Name -> Kernel, for every `.entry`."""
    common = re.findall(r"^(?:\.extern )?(\.shared [^;]*);", text, re.M)
    declared = "".join(declaration + ";\n" for declaration in common)
    entries = list(re.finditer(r"^(?:\.visible )?\.entry (\w+)\((.*?)\)\s*(?:^\.[^\n]*\n)*^\{\n(.*?)^\}", text,
                               re.M | re.S))
    if len(entries) != len(re.findall(r"\.entry", text)):
        raise PtxError("not every .entry of the PTX can be read")
    kernels = {}
    for entry, name in zip(entries, demangled([found.group(1) for found in entries])):
        symbol, parameters, body = entry.groups()
        kernel = Kernel(name, symbol, text=declared + entry.group())
        for declaration in parameters.split(","):
            if declaration.strip():
                read_parameter(kernel, declaration.strip())
        for declaration in common:
            place_shared(kernel, declaration)
        read_body(kernel, body.split("\n"), text.count("\n", 0, entry.start(3)) + 1)
        kernels[name] = kernel
    return kernels


def compile_module(nvcc, tops, source, folder):
    """The PTX of a source for sm_90, with the flags of compiled_test.py; headers are looked for in `tops`."""
    made = folder / (source.stem + ".ptx")
    subprocess.run([nvcc, "-std=c++20", "-O3", "-arch=sm_90", "--expt-relaxed-constexpr",
                    *[f"-I{top}" for top in tops], "-ptx", "-o", made, source], check=True)
    return made.read_text()
