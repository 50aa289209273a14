#!/usr/bin/env python3
"""The one-definition rule over the whole tree: no type, function or inline variable of one qualified
name may be defined in two files, outside unnamed namespaces. Compilers and linkers keep one of the
two and say nothing. Prints every pair; exit 1."""

import collections
import pathlib
import re
import sys

from check_structure import files_of

FOLDERS = ("placement", "results", "moe_layer", "harness", "tests")
SUFFIXES = {".hpp", ".cpp", ".cu"}
TOKEN = re.compile(r"""
    (?P<comment>//[^\n]*|/\*.*?\*/)
  | (?P<directive>^[ \t]*\#(?:[^\n\\]|\\.)*(?:\\\n(?:[^\n\\]|\\.)*)*)
  | (?P<raw>(?:u8|[uUL])?R"(?P<mark>[^(\s\\]*)\(.*?\)(?P=mark)")
  | (?P<text>(?:u8|[uUL])?"(?:[^"\\\n]|\\.)*")
  | (?P<char>(?:u8|[uUL])?'(?:[^'\\\n]|\\.)+')
  | (?P<number>\.?\d(?:[\w.']|[eEpP][+-])*)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<sign>::|->|[^\s\w])
""", re.VERBOSE | re.DOTALL | re.MULTILINE)
TYPES = {"struct", "class", "union", "enum"}
# Words before a parenthesis that is no list of parameters.
NOT_A_NAME = {"alignas", "decltype", "noexcept", "requires", "__attribute__", "explicit", "sizeof"}
# gtest's macros: each makes a class of another name.
TESTS = {"TEST", "TEST_F", "TEST_P", "TYPED_TEST", "INSTANTIATE_TEST_SUITE_P"}
BUILT_IN = {"int", "char", "bool", "float", "double", "long", "short", "unsigned", "signed", "void",
            "auto", "const", "volatile"}
PAIRS = {"(": ")", "[": "]", "{": "}"}


def tokens_of(text):
    return [match[0] if match.lastgroup in ("word", "sign", "number") else '""'
            for match in TOKEN.finditer(text)
            if match.lastgroup not in ("comment", "directive")]


def skip(tokens, at):
    """Behind the bracket that closes the one at `at`."""
    depth = 0
    while at < len(tokens):
        depth += tokens[at] in PAIRS
        depth -= tokens[at] in PAIRS.values()
        at += 1
        if depth == 0:
            break
    return at


def skip_angles(tokens, at):
    """The same for < >, in which brackets may hold comparisons."""
    depth = 0
    while at < len(tokens):
        if tokens[at] in PAIRS:
            at = skip(tokens, at)
            continue
        depth += {"<": 1, ">": -1}.get(tokens[at], 0)
        at += 1
        if depth == 0:
            break
    return at


def split_arguments(tokens):
    parts, at = [[]], 0
    while at < len(tokens):
        end = at + 1
        if tokens[at] in PAIRS:
            end = skip(tokens, at)
        elif tokens[at] == "<":
            end = skip_angles(tokens, at)
        if tokens[at] == ",":
            parts.append([])
        else:
            parts[-1] += tokens[at:end]
        at = end
    return parts


def parameter_type(tokens):
    """Without default and name."""
    if "=" in tokens:
        tokens = tokens[:tokens.index("=")]
    named = (len(tokens) > 1 and re.fullmatch(r"[A-Za-z_]\w*", tokens[-1])
             and tokens[-1] not in BUILT_IN and tokens[-2] not in {"::", "const", "struct", "typename"})
    return " ".join(tokens[:-1] if named else tokens)


def type_name(head):
    """Of the head of a struct, class, union or enum; None for an unnamed one, or none at all."""
    at = next((i for i, token in enumerate(head) if token in TYPES), None)
    if at is None:
        return None
    at += 1
    while at < len(head) and (head[at] in TYPES or head[at] in ("[", "alignas", "__attribute__")):
        at = skip(head, at + (head[at] in ("alignas", "__attribute__"))) \
            if head[at] not in TYPES else at + 1
    name = []
    while at < len(head) and head[at] not in (":", "final"):
        name.append(head[at])
        at += 1
    return " ".join(name) or None


def function_of(head):
    """Name and parameters, where the head is one of a function; None otherwise."""
    at = 0
    while at < len(head):
        if head[at] == "(" and at and head[at - 1] not in NOT_A_NAME:
            name = head[at - 1]
            if not re.match(r"operator|[A-Za-z_]\w*$", name):
                return None
            if at > 1 and head[at - 2] == "::":
                return "", ""  # a member, or declared elsewhere: its class or header counts
            inside = head[at + 1:skip(head, at) - 1]
            types = ", ".join(parameter_type(part) for part in split_arguments(inside))
            return name, "" if types == "void" else types
        if head[at] in PAIRS:
            at = skip(head, at)
        elif head[at] == "=":
            return None
        else:
            at += 1
    return None


def is_value(head):
    """Whether the head is one of a variable that is given a value."""
    at = 0
    while at < len(head) and head[at] != "=":
        at = skip(head, at) if head[at] in PAIRS else at + 1
    return at < len(head)


class Reader:
    """Collects the definitions of one file, which other files must not repeat."""

    def __init__(self, text):
        self.tokens = tokens_of(text)
        self.found = set()
        self.scope(0, len(self.tokens), ())

    def scope(self, at, end, names):
        while at < end:
            if self.tokens[at] == "namespace":
                at = self.namespace(at, names)
            elif self.tokens[at] == "extern" and self.tokens[at + 1:at + 3] == ['""', "{"]:
                close = skip(self.tokens, at + 2)
                self.scope(at + 3, close - 1, names)
                at = close
            elif self.tokens[at] in (";", "}") or self.tokens[at:at + 2] == ["inline", "namespace"]:
                at += 1
            else:
                at = self.declaration(at, end, names)

    def namespace(self, at, names):
        start = at + 1
        at = start
        while self.tokens[at] not in ("{", ";", "="):
            at += 1
        name = [token for token in self.tokens[start:at] if token not in ("::", "inline")]
        if self.tokens[at] != "{":
            while self.tokens[at] != ";":
                at += 1
            return at + 1
        close = skip(self.tokens, at)
        if name:  # what is in an unnamed one, every file has for itself
            self.scope(at + 1, close - 1, names + tuple(name))
        return close

    def declaration(self, at, end, names):
        """One declaration, up to its ; or the body of its function."""
        head = []
        initialisers = False  # of a constructor
        while at < end:
            token = self.tokens[at]
            if token == "template" and self.tokens[at + 1] == "<":
                after = skip_angles(self.tokens, at + 1)
                head.append("template" if after > at + 3 else "template<>")
                at = after
            elif token == "operator":  # one word with its signs
                last = at + 3 if self.tokens[at + 1:at + 3] == ["(", ")"] else at + 1
                while self.tokens[last] != "(":
                    last += 1
                head.append("".join(self.tokens[at:last]))
                at = last
            elif token == ";":
                self.add_variable(head, names)
                return at + 1
            elif token == "{":
                close = skip(self.tokens, at)
                if initialisers and head[-1] not in (")", "}"):
                    head += ["{", "}"]
                    at = close
                    continue
                if not is_value(head) and function_of(head) is not None:
                    self.add_function(head, names)
                    return close
                if not is_value(head) and any(token in TYPES for token in head):
                    self.add_type(head, names)
                    return self.behind(close, end)
                head += ["=", "{", "}"]  # the value of a variable
                at = close
            elif token in ("(", "["):
                close = skip(self.tokens, at)
                head += self.tokens[at:close]
                at = close
            else:
                initialisers |= token == ":" and ")" in head
                head.append(token)
                at += 1
        return at

    def behind(self, at, end):
        """Behind the ; of a type."""
        while at < end and self.tokens[at] != ";":
            at = skip(self.tokens, at) if self.tokens[at] in PAIRS else at + 1
        return at + 1

    def add_type(self, head, names):
        name = type_name(head)
        if name and "typedef" not in head:
            self.found.add(("type", "::".join(names + (name,))))

    def add_function(self, head, names):
        name, types = function_of(head)
        if name and name not in TESTS and "static" not in head:
            self.found.add(("function", f"{'::'.join(names + (name,))}({types})"))

    def add_variable(self, head, names):
        """Inline ones: others that are constant are every file's own, and a linker finds the rest."""
        if "inline" in head and "=" in head and head[0] != "using":
            at = head.index("=")
            at = at - 3 if head[at - 1] == "]" else at - 1
            self.found.add(("variable", "::".join(names + (head[at],))))


# Defined twice on purpose: in programs, or libraries of which a process loads one, or of which a build
# takes one (with CUTLASS, without, and the tests' simulation).
TWICE = {"main(int, char * *)", "gembench_cuda_commit()",
         # What takes launches of the simulation: tests/cuda_simulation/README.md.
         "cudaLaunchKernelExC(const cudaLaunchConfig_t *, const void *, void * *)",
         "cudaMemsetAsync(void *, int, std :: size_t, cudaStream_t)",
         "gembench::simulation::register_kernel(const void *, Bind)", "gembench::simulation::read_clock()",
         "gembench::cuda::has_cutlass()", "gembench::cuda::cutlass_workspace_bytes(int)",
         "gembench::cuda::run_cutlass(cudaStream_t, const CutlassGroup &)"}


def pairs(top):
    where = collections.defaultdict(list)
    for path in files_of(top):
        relative = path.relative_to(top)
        if path.suffix in SUFFIXES and relative.parts[0] in FOLDERS:
            for what in Reader(path.read_text(errors="replace")).found:
                where[what].append(str(relative))
    for (kind, name), files in sorted(where.items()):
        if len(files) > 1 and name not in TWICE:
            yield f"{kind} {name} is defined in {', '.join(sorted(files))}: rename one"


def main():
    found = list(pairs(pathlib.Path(sys.argv[1]).resolve()))
    print("\n".join(found) or "every name is defined once")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
