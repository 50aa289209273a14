"""The host functions of moe_layer/cuda/kernels.hpp, called from Python by the names of their arguments. Their
own code, compiled for the host, decides what is launched; the launches run on the PTX machine."""

import ctypes
import enum
import re
import subprocess

import machine
from memory import DeviceMemory
from module import PtxError

MEMORY = 1 << 22  # bytes of a device
SCALARS = {"int": ctypes.c_int, "unsigned": ctypes.c_uint, "float": ctypes.c_float, "double": ctypes.c_double,
           "bool": ctypes.c_bool,
           "std::int32_t": ctypes.c_int32, "std::uint32_t": ctypes.c_uint32, "std::uint16_t": ctypes.c_uint16,
           "std::int64_t": ctypes.c_int64, "std::uint64_t": ctypes.c_uint64, "std::size_t": ctypes.c_size_t,
           "unsigned long long": ctypes.c_ulonglong, "cudaStream_t": ctypes.c_void_p}


class DType(enum.IntEnum):
    """As in moe_layer/model/shape.hpp."""
    f32 = 0
    bf16 = 1


class Declarations:
    """Structs and functions of headers, without their comments."""

    def __init__(self, *headers):
        self.text = "\n".join(re.sub(r"//.*", "", header.read_text()) for header in headers)
        self.structs = {}

    def type_of(self, name):
        """(ctypes type, whether it is passed by address)."""
        alias = re.search(rf"using {re.escape(name)} = ([^;]*);", self.text)
        name = alias.group(1) if alias else name
        if "*" in name:
            return ctypes.c_void_p, False
        plain = name.replace("const ", "").strip()
        if plain.endswith("&"):
            return self.type_of(plain[:-1].strip())[0], True
        if plain == "DType":
            return ctypes.c_int, False
        return SCALARS.get(plain) or self.struct(plain), False

    def declared(self, text):
        """(name, type, by address, default) of `const float* x` or `int n = 0`. Pointers are null by default."""
        declaration, _, default = (part.strip() for part in text.partition("="))
        kind, name = re.fullmatch(r"(.*[ *&])(\w+)", declaration).groups()
        made, by_address = self.type_of(kind.strip())
        if re.fullmatch(r"-?\d\w*", default):
            return name, made, by_address, int(default, 0)
        return name, made, by_address, 0 if default or made is ctypes.c_void_p else None

    def struct(self, name):
        """A struct with the fields and defaults of the header's."""
        if name in self.structs:
            return self.structs[name]
        found = re.search(rf"struct\s+(?:alignas\((\d+)\)\s+)?{name}\s*\{{(.*?)\n\}};", self.text, re.S)
        if not found:
            raise PtxError(f"no header that was read declares {name}")
        fields, defaults = [], {}
        for statement in found.group(2).split(";"):
            first, *more = " ".join(statement.split()).split(",")
            if not first:
                continue
            kind = self.declared(first)[1]
            for field, _, _, default in [self.declared(first)] + [self.declared(f"int {other}") for other in more]:
                fields.append((field, kind))
                if default is not None:
                    defaults[field] = default
        made = type(name, (ctypes.Structure,), {"_fields_": fields, "defaults": defaults})
        self.structs[name] = made
        return made

    def function(self, name):
        """[(argument, type, by address, default or None)], without the stream."""
        found = re.search(rf"cudaError_t\s+{name}\((.*?)\);", self.text, re.S)
        if not found:
            raise PtxError(f"kernels.hpp declares no {name}")
        arguments = [self.declared(text) for text in " ".join(found.group(1).split()).split(",")]
        return [argument for argument in arguments if argument[0] != "stream"]

    def has(self, function, field):
        """Whether a call takes this argument, or its struct has this field."""
        arguments = self.function(function)
        fields = [name for _, kind, *_ in arguments for name, *_ in getattr(kind, "_fields_", [])]
        return field in [name for name, *_ in arguments] + fields

    def functions(self):
        return re.findall(r"cudaError_t\s+(\w+)\(", self.text)


def symbols_of(library):
    """C++ name -> address in the file."""
    lines = subprocess.run(["nm", "-C", "--defined-only", library], capture_output=True, text=True,
                           check=True).stdout.splitlines()
    found = {}
    for line in lines:
        address, _, name = line.split(" ", 2)
        found[name.removeprefix("void ")] = int(address, 16)
    return found


class Host:
    """A library of host functions, and the kernels of PTX that their launches run."""

    def __init__(self, library, kernels, declarations):
        self.kernels, self.declarations = kernels, declarations
        self.library = ctypes.CDLL(library)
        self.symbols = symbols_of(library)
        loaded = ctypes.cast(self.library.gembench_record, ctypes.c_void_p).value
        self.moved = loaded - self.symbols["gembench_record"]  # from addresses in the file to real ones
        self.names = {address + self.moved: name for name, address in self.symbols.items() if name in kernels}
        self.launched = set()  # names
        self.changed = {}  # kernels to be run instead of those of their names
        self.callbacks = (
            ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint), ctypes.c_size_t,
                             ctypes.POINTER(ctypes.c_void_p))(self.on_launch),
            ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)(self.on_fill))
        self.library.gembench_record(*self.callbacks)
        self.device, self.problem = DeviceMemory(MEMORY), None

    def start_over(self):
        """Nothing is allocated, nothing went wrong."""
        self.device.free_all()
        self.problem = None

    def on_launch(self, address, sizes, shared_bytes, arguments):
        # An exception cannot cross the library's C++: call() throws it.
        try:
            if self.problem:
                return
            name = self.names.get(address)
            if name is None:
                raise PtxError("a kernel is launched that the PTX does not hold")
            kernel = self.changed.get(name, self.kernels[name])
            self.launched.add(name)
            parameters = [ctypes.string_at(arguments[number], size)
                          for number, size in enumerate(kernel.parameters.values())]
            machine.run_kernel(kernel, machine.Launch(tuple(sizes[0:3]), tuple(sizes[3:6]), shared_bytes, parameters),
                               self.device)
        except Exception as problem:  # pylint: disable=broad-except
            self.problem = problem

    def on_fill(self, to, value, size):
        try:
            self.device.fill(to or 0, value, size)
        except Exception as problem:  # pylint: disable=broad-except
            self.problem = self.problem or problem

    def call(self, name, **values):
        """Calls a function of kernels.hpp. Fields of its struct are given like arguments; what has a default
        may be left out, and pointers that are null."""
        arguments = [ctypes.c_void_p(None)]  # the stream
        for argument, kind, by_address, default in self.declarations.function(name):
            if not issubclass(kind, ctypes.Structure):
                given = values.pop(argument) if default is None else values.pop(argument, default)
                arguments.append(kind(given))
                continue
            struct = kind()
            for field, _ in kind._fields_:
                if field in values or field not in kind.defaults:
                    setattr(struct, field, values.pop(field))
                elif kind.defaults[field]:
                    setattr(struct, field, kind.defaults[field])
            arguments.append(ctypes.byref(struct) if by_address else struct)
        if values:
            raise PtxError(f"{name} has no argument {', '.join(values)}")
        (address,) = [where for symbol, where in self.symbols.items() if symbol.startswith(f"gembench::cuda::{name}(")]
        function = ctypes.CFUNCTYPE(ctypes.c_int, *(type(argument) if not hasattr(argument, "_obj") else
                                                    ctypes.c_void_p for argument in arguments))(address + self.moved)
        result = function(*arguments)
        if self.problem:
            raise self.problem
        if result != 0:
            raise PtxError(f"{name} returns error {result}")
