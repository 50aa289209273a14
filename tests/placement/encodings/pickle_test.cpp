#include "placement/encodings/pickle.hpp"

#include "tests/placement/recordings/made_recordings.hpp"

namespace gembench {
namespace {

using namespace testing;
using namespace pickled;
using Kind = PickleValue::Kind;

Pickle read(const std::string& bytes) {
  return read_pickle(bytes, "a.pt");
}

TEST(Pickle, PlainValues) {
  const auto value = [](const std::string& opcodes) {
    const auto pickle = read(kStart + opcodes + ".");
    return pickle.at(pickle.root);
  };
  EXPECT_EQ(value("N").kind, Kind::none);
  EXPECT_EQ(value("\x88").integer, 1);
  EXPECT_EQ(value("\x89").integer, 0);
  EXPECT_EQ(value("K\xff").integer, 255);
  EXPECT_EQ(value("M\x01\x02").integer, 0x201);
  EXPECT_EQ(value(integer(-3)).integer, -3);
  EXPECT_EQ(value(std::string("\x8a\x00", 2)).integer, 0);
  EXPECT_EQ(value("\x8a\x01\xff").integer, -1);
  EXPECT_EQ(value(std::string("\x8a\x03\x00\x00\x80", 5)).integer, -8388608);
  EXPECT_EQ(value("\x8a\x08" + raw(INT64_MIN)).integer, INT64_MIN);
  EXPECT_EQ(value("G" + std::string("\xbf\xf8\0\0\0\0\0\0", 8)).real, -1.5);
  EXPECT_EQ(value(text("räk")).text, "räk");
  EXPECT_EQ(value("K\1K\2\x86").items.size(), 2u);
  EXPECT_EQ(value("]K\1a").kind, Kind::list);
  EXPECT_EQ(value("}" + text("a") + "K\1s").items.size(), 2u);
}

TEST(Pickle, MemosShareValuesEvenInCircles) {
  // a = []; a.append(a)
  const auto circle =
      read(kStart + "]q" + std::string(1, '\0') + "h" + std::string(1, '\0') + "a.");
  EXPECT_EQ(circle.at(circle.root).items, std::vector<std::uint32_t>{circle.root});
  const auto twice = read(kStart + text("x") + "r" + raw(std::uint32_t{0}) + "j" +
                          raw(std::uint32_t{0}) + "\x86.");
  EXPECT_EQ(twice.at(twice.root).items[0], twice.at(twice.root).items[1]);
}

TEST(Pickle, NothingIsExecuted) {
  const auto refuse = [](const char* part, const std::string& opcodes) {
    SCOPED_TRACE(part);
    expect_refused(part, [&] { (void)read(kStart + opcodes + "."); });
  };
  refuse("names os system", global("os", "system") + tuple(text("true")) + "R");
  refuse("names builtins eval", global("builtins", "eval"));
  refuse("names torch._utils _rebuild_de..",
         global("torch._utils", "_rebuild_device_tensor_from_numpy"));
  refuse("names a?b c", global("a\tb", "c"));
  refuse("0x93 (STACK_GLOBAL)", text("os") + text("system") + "\x93");
  refuse("0x81 (NEWOBJ)", "\x81");
  refuse("0x62 (BUILD)", "}}b");
  refuse("0x69 (INST)", "(ios\nsystem\n");
  refuse("0x6f (OBJ)", "(o");
  refuse("0x82 (EXT1)", "\x82\x01");
  refuse("0x50 (PERSID)", "P1\n");
  refuse("0xff (unknown)", "\xff");
  refuse("another protocol than 2", "\x80\x04");
  refuse("malformed", global("torch", "IntStorage") + ")R");
  refuse("malformed", global("collections", "OrderedDict") + tuple("K\1") + "R");
  refuse("malformed", global("torch._utils", "_rebuild_tensor_v2") + ")R");
  refuse("malformed", "K\1)R");
}

TEST(Pickle, RefusesWhatIsMalformed) {
  const auto refuse = [](const std::string& opcodes) {
    expect_refused("malformed", [&] { (void)read(kStart + opcodes); });
  };
  refuse(".");
  refuse("K\1K\1.");
  refuse("(K\1.");
  refuse("t.");
  refuse("K\1\x86.");
  refuse("K\1(\x85.");
  refuse("}K\1s.");
  refuse("}(K\1u.");
  refuse("}(K\1e.");
  refuse("K\1(K\1u.");
  refuse("a.");
  refuse("K\1a.");
  refuse("h\5.");
  refuse("j\xff\xff\xff\xff.");
  refuse(std::string("q\0.", 3));
  refuse("K\1Q.");
  refuse(tuple("K\1K\1K\1K\1K\1") + "Q.");
  refuse(tuple(text("storage") + text("torch IntStorage") + text("0") + text("cpu") + "K\1") +
         "Q.");
  refuse("cos");
  expect_refused("memo has gaps", [] { (void)read(kStart + "K\1r\xff\xff\xff\xff."); });
  expect_refused("more than 64 bits",
                 [] { (void)read(kStart + "\x8a\x09" + std::string(9, '\1') + "."); });
  expect_refused("cut off", [] { (void)read(kStart + "X\xff\xff\xff\xff" + "abc."); });
  expect_refused("cut off", [] { (void)read(kStart); });
  expect_refused("cut off", [] { (void)read(""); });
  // "storage" as a number of a wrong kind, a negative size
  const Tensor negative{"IntStorage", "0", "cpu", -1, 0, {1}, {1}};
  refuse(tensor(negative) + ".");
}

TEST(Pickle, IsBounded) {
  const auto many = [](const std::string& opcode) {
    return kStart + std::string(5'000'000, opcode[0]);
  };
  expect_refused("more than 4194304 values", [&] { (void)read(many("N")); });
  expect_refused("malformed", [&] { (void)read(many("(")); });
  // A list in a list in a list ...: nothing here follows them down.
  std::string deep = kStart;
  for (int i = 0; i < 1'000'000; ++i) deep += "]";
  deep += std::string(999'999, 'a') + ".";
  const auto pickle = read(deep);
  EXPECT_EQ(pickle.at(pickle.root).items.size(), 1u);
  // One value on the stack again and again.
  std::string again = kStart + "Nq" + std::string(1, '\0');
  for (int i = 0; i < 5'000'000; ++i) again += std::string("h\0", 2);
  expect_refused("malformed", [&] { (void)read(again); });
}

/// What stands in many places must not be looked through at each: that would take days.
TEST(Pickle, SharedValuesAreShort) {
  const auto wide = tuple(std::vector<std::int32_t>(65, 1));
  const auto storage =
      tuple(text("storage") + global("torch", "IntStorage") + text("0") + text("cpu") + "K\1") +
      "Q";
  expect_refused("malformed", [&] {
    (void)read(kStart + global("torch._utils", "_rebuild_tensor_v2") +
               tuple(storage + "K\1" + wide + wide) + "R.");
  });
  std::string keys;
  for (int i = 0; i < 65; ++i) keys += text(std::to_string(i)) + "N";
  const auto pickle = read(kStart + "}(" + keys + "u.");
  EXPECT_EQ(pickle.find(pickle.at(pickle.root), "7"), nullptr);
}

}  // namespace
}  // namespace gembench
