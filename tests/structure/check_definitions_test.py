"""The check of definitions must find what it looks for: plants pairs of every kind, and what is none."""

import pathlib
import tempfile
import unittest

import check_definitions

# What is written into one file and into another, and what of it is found.
PAIRS = [
    ("struct Drift { int step = 0; };", "struct Drift { double share = 1; };", "type gembench::Drift"),
    ("struct Drift { enum class Kind { slow }; Kind kind; };",
     "/// How much it is.\nstruct Drift final : Base<int> { int from; } drift;", "type gembench::Drift"),
    ("class A { public: A() {} };", "struct A;\nclass [[nodiscard]] A { int x; };", "type gembench::A"),
    ("enum class Kind : std::uint8_t { a, b };", "enum Kind { a };", "type gembench::Kind"),
    ("union Word { int i; };", "struct alignas(16) Word { int i; };", "type gembench::Word"),
    ("template <class T, int n = (3 > 2)> struct Box { T t; };", "template <class U> class Box {};",
     "type gembench::Box"),
    ("template <> struct Box<int> {};", "template <> struct Box<int> { int i; };",
     "type gembench::Box < int >"),
    ("inline int twice(int n) { return 2 * n; }", "inline int twice(int value) { return value; }",
     "function gembench::twice(int)"),
    ("inline int sum(const std::vector<int>& v = {1, 2}) { return v[0]; }",
     "int sum(const std::vector<int>& values) { return 0; }",
     "function gembench::sum(const std :: vector < int > &)"),
    ("template <class F> void each(F f) { f(); }", "template <class F> auto each(F run) -> int { return 1; }",
     "function gembench::each(F)"),
    ("constexpr double half(double x) { return x / 2; }", "inline double half(double) { return 0; }",
     "function gembench::half(double)"),
    ("inline bool operator==(const A& a, const A& b) { return true; }",
     "bool operator==(const A& x, const A& y) { return false; }",
     "function gembench::operator==(const A &, const A &)"),
    ("void stop() { done({1, 2}); }", "int stop(void) noexcept { return 1; }", "function gembench::stop()"),
    ("inline constexpr int kMost = 4;", "inline constexpr long kMost = 5;", "variable gembench::kMost"),
    ("inline constexpr int kAll[] = {1, 2};", "inline const std::array kAll = {1};",
     "variable gembench::kAll"),
]
# No pairs at all.
APART = [
    ("struct A { int x; };", "struct A;"),
    ("struct A { int x; };", "namespace { struct A { int y; }; }"),
    ("struct A { int x; };", "namespace cuda { struct A { int y; }; }"),
    ("struct A { int x; };", "// struct A { int y; };\n/* struct A {}; */\nconst char* a = \"struct A {};\";"),
    ("struct A { int x; };", "const char* a = R\"(struct A { int y; };)\";"),
    ("struct A { int x; };", "#define MAKE_A \\\n  struct A { int y; };\n"),
    ("struct A { int x; };", "struct B { struct A { int y; }; };"),
    ("struct A { int x; };", "void f(struct A { } *);\nint g() { struct A { int y; }; return 0; }"),
    ("template <> struct Box<int> {};", "template <> struct Box<long> {};"),
    ("inline int f(int n) { return n; }", "inline int f(long n) { return 1; }"),
    ("inline int f(int n) { return n; }", "int f(int n);"),
    ("inline int f(int n) { return n; }", "namespace { int f(int n) { return n; } }"),
    ("inline int f(int n) { return n; }", "static int f(int n) { return n; }"),
    ("inline int f(const A& a) { return 1; }", "inline int f(A& a) { return 1; }"),
    ("A::A(int n) : n_{n}, m_(n) { go(); }", "B::B(int n) : n_{n} {}"),
    ("constexpr int kMost = 4;", "constexpr int kMost = 5;"),
    ("extern \"C\" { int one(); }", "extern \"C\" int one();"),
    ("using A = int;", "struct A { int x; };"),
]


class FindsPairs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.top = pathlib.Path(folder.name)
        for name in ("placement", "harness", "tests"):
            (self.top / name).mkdir()

    def found(self, one, other, where=("placement/a.hpp", "harness/b.hpp")):
        for path, text in zip(where, (one, other)):
            (self.top / path).write_text(text)
        return list(check_definitions.pairs(self.top))

    @staticmethod
    def inside(text):
        return f"#pragma once\n#include <map>\nnamespace gembench {{\n{text}\n}}  // namespace gembench\n"

    def test_every_kind_of_pair(self):
        for one, other, what in PAIRS:
            with self.subTest(what=what):
                found = self.found(self.inside(one), self.inside(other))
                self.assertEqual(len(found), 1, found)
                self.assertIn(f"{what} is defined in harness/b.hpp, placement/a.hpp", found[0])
                # The other way round, and where only one of them is in a header.
                self.assertEqual(len(self.found(self.inside(other), self.inside(one))), 1)
                (self.top / "placement/a.hpp").unlink()
                (self.top / "harness/b.hpp").unlink()
                self.assertEqual(len(self.found(self.inside(one), self.inside(other),
                                                ("placement/a.hpp", "tests/b.cpp"))), 1)
                (self.top / "tests/b.cpp").unlink()

    def test_what_is_no_pair(self):
        for one, other in APART:
            with self.subTest(other=other):
                self.assertEqual(self.found(self.inside(one), self.inside(other)), [])
                self.assertEqual(self.found(self.inside(other), self.inside(one)), [])

    def test_namespaces_however_they_are_written(self):
        self.assertEqual(len(self.found("namespace a { namespace b { struct A {}; } }",
                                        "namespace a::b { struct A { int x; }; }")), 1)
        self.assertEqual(len(self.found("namespace a::inline b { struct A {}; }",
                                        "namespace a { inline namespace b { struct A {}; } }")), 1)
        self.assertEqual(self.found("namespace a { struct A {}; }", "struct A {};"), [])

    def test_a_definition_is_found_behind_anything(self):
        before = """
            struct S { S() : a{1}, b(2) {} int a = {3}; bool operator()(int x) const { return x > 2; } };
            S::S(int n) : a{n}, b(std::vector<int>{1, 2}.size()) { if (n < 2) { go(); } }
            std::map<int, std::function<void(int)>> table = {{1, [](int) {}}, {2, {}}};
            constexpr Row kRows[] = {{"a", [](const O& o) { return o.x < 2; }, "it's"}, {"b", f, "'"}};
            template <class T> requires(sizeof(T) > 2) auto f(T t) -> std::vector<T> { return {t}; }
            const char quote = '"'; const int big = 1'000'000; const char* text = "\\"{";
            extern "C" int c_function(int);
            enum { unnamed };
            static_assert(1 < 2, "{");
            [[nodiscard]] inline bool S::is(char c) const { return c == '{' || c == '\\''; }
            #if defined(X) && \\
                !defined(Y)
            #endif
        """.replace("\\\\", "\\")
        self.assertEqual(len(self.found(self.inside(before + "struct Last {};"),
                                        self.inside("struct Last { int x; };"))), 1)


if __name__ == "__main__":
    unittest.main()
