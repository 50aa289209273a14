#include "placement/encodings/pickle.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "placement/base/error.hpp"

namespace gembench::inline encodings {
namespace {

using Kind = PickleValue::Kind;

constexpr std::size_t kMaxValues = std::size_t{1} << 22;
// Values may be used in a million places, so the search at each of them must be short.
constexpr std::size_t kMaxDimensions = 64, kMaxKeys = 64;
constexpr std::string_view kRebuild = "torch._utils _rebuild_tensor_v2";
constexpr std::string_view kOrderedDict = "collections OrderedDict";
constexpr std::array<std::string_view, 10> kStorages{
    "torch ByteStorage",   "torch CharStorage", "torch ShortStorage",    "torch IntStorage",
    "torch LongStorage",   "torch HalfStorage", "torch BFloat16Storage", "torch FloatStorage",
    "torch DoubleStorage", "torch BoolStorage"};

/// Names of opcodes in other pickles, for the error message.
std::string name_of_opcode(unsigned char opcode) {
  constexpr std::pair<unsigned char, const char*> kNames[] = {{'i', "INST"},
                                                              {'o', "OBJ"},
                                                              {'b', "BUILD"},
                                                              {0x81, "NEWOBJ"},
                                                              {0x92, "NEWOBJ_EX"},
                                                              {0x93, "STACK_GLOBAL"},
                                                              {0x82, "EXT1"},
                                                              {0x83, "EXT2"},
                                                              {0x84, "EXT4"},
                                                              {'P', "PERSID"},
                                                              {'S', "STRING"},
                                                              {'T', "BINSTRING"},
                                                              {'U', "SHORT_BINSTRING"},
                                                              {'V', "UNICODE"},
                                                              {'B', "BINBYTES"},
                                                              {'C', "SHORT_BINBYTES"},
                                                              {0x8c, "SHORT_BINUNICODE"},
                                                              {0x8d, "BINUNICODE8"},
                                                              {0x8e, "BINBYTES8"},
                                                              {0x8f, "EMPTY_SET"},
                                                              {0x90, "ADDITEMS"},
                                                              {0x91, "FROZENSET"},
                                                              {0x94, "MEMOIZE"},
                                                              {0x95, "FRAME"},
                                                              {0x96, "BYTEARRAY8"},
                                                              {0x97, "NEXT_BUFFER"},
                                                              {0x98, "READONLY_BUFFER"},
                                                              {0x8b, "LONG4"},
                                                              {'I', "INT"},
                                                              {'L', "LONG"},
                                                              {'F', "FLOAT"},
                                                              {'d', "DICT"},
                                                              {'l', "LIST"},
                                                              {'g', "GET"},
                                                              {'p', "PUT"},
                                                              {'0', "POP"},
                                                              {'1', "POP_MARK"},
                                                              {'2', "DUP"}};
  for (const auto& [code, name] : kNames)
    if (code == opcode) return name;
  return "unknown";
}

class Machine {
 public:
  Machine(std::string_view bytes, const std::string& name) : rest_(bytes), name_(name) {}

  Pickle run() {
    while (step()) {
    }
    return std::move(pickle_);
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    throw usage_error(fmt::format("{} {}", name_, why));
  }
  [[noreturn]] void refuse_malformed() const { refuse("holds a malformed pickle; save it again"); }

  std::string_view take(std::size_t count) {
    if (count > rest_.size()) refuse("holds a pickle that ends too early; it was cut off");
    const auto taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string_view line() {
    const auto end = rest_.find('\n');
    if (end == std::string_view::npos) refuse_malformed();
    const auto found = take(end);
    (void)take(1);
    return found;
  }

  std::uint32_t make(PickleValue value) {
    if (pickle_.values.size() == kMaxValues)
      refuse(fmt::format("holds a pickle of more than {} values; record less", kMaxValues));
    pickle_.values.push_back(std::move(value));
    return static_cast<std::uint32_t>(pickle_.values.size() - 1);
  }
  void push(PickleValue value) { stack_.push_back(make(std::move(value))); }
  void push_integer(std::int64_t value) { push({Kind::integer, value, 0, {}, {}}); }
  std::uint32_t pop() {
    if (stack_.size() <= floor()) refuse_malformed();
    const auto top = stack_.back();
    stack_.pop_back();
    return top;
  }
  [[nodiscard]] std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  /// What was pushed since the last mark, which goes with it.
  std::vector<std::uint32_t> pop_mark() {
    if (marks_.empty()) refuse_malformed();
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<std::uint32_t> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }
  std::vector<std::uint32_t> pop_several(std::size_t count) {
    std::vector<std::uint32_t> items(count);
    for (std::size_t left = count; left > 0; --left) items[left - 1] = pop();
    return items;
  }
  void push_tuple(std::vector<std::uint32_t> items) {
    push({Kind::tuple, 0, 0, {}, std::move(items)});
  }
  /// Into the container on top of the stack.
  void add(Kind kind, const std::vector<std::uint32_t>& items) {
    if (stack_.size() <= floor() || pickle_.values[stack_.back()].kind != kind ||
        (kind == Kind::dict && items.size() % 2 != 0))
      refuse_malformed();
    auto& to = pickle_.values[stack_.back()].items;
    to.insert(to.end(), items.begin(), items.end());
  }
  void put(std::uint32_t at) {
    if (stack_.size() <= floor()) refuse_malformed();
    if (at > memo_.size()) refuse("holds a pickle whose memo has gaps; save it again");
    if (at == memo_.size()) memo_.push_back(0);
    memo_[at] = stack_.back();
  }
  void get(std::uint32_t at) {
    if (at >= memo_.size()) refuse_malformed();
    if (stack_.size() == kMaxValues) refuse_malformed();
    stack_.push_back(memo_[at]);
  }

  void push_global() {
    const auto module = line();
    const auto name = fmt::format("{} {}", module.substr(0, 64), line().substr(0, 64));
    if (name != kRebuild && name != kOrderedDict &&
        std::find(kStorages.begin(), kStorages.end(), name) == kStorages.end())
      refuse(fmt::format("names {}, which is no number, container or tensor: save plain tensors",
                         shown(name)));
    push({Kind::global, 0, 0, name, {}});
  }

  /// ("storage", type, key, device, elements)
  void push_storage() {
    const auto& id = pickle_.values[pop()];
    if (id.kind != Kind::tuple || id.items.size() != 5) refuse_malformed();
    const auto& type = pickle_.values[id.items[1]];
    const auto& key = pickle_.values[id.items[2]];
    const auto& elements = pickle_.values[id.items[4]];
    if (pickle_.values[id.items[0]].text != "storage" || type.kind != Kind::global ||
        !type.text.ends_with("Storage") || key.kind != Kind::text ||
        elements.kind != Kind::integer || elements.integer < 0)
      refuse_malformed();
    push({Kind::storage, elements.integer, 0, key.text, {id.items[1]}});
  }
  /// _rebuild_tensor_v2(storage, offset, sizes, strides, requires_grad, hooks), OrderedDict().
  void reduce() {
    const auto arguments = pop();
    const auto function = pop();
    const auto& given = pickle_.values[arguments];
    const auto& called = pickle_.values[function];
    if (called.kind != Kind::global || given.kind != Kind::tuple) refuse_malformed();
    if (called.text == kOrderedDict && given.items.empty()) return push({Kind::dict, 0, 0, {}, {}});
    if (called.text != kRebuild || given.items.size() < 4) refuse_malformed();
    const auto& offset = pickle_.values[given.items[1]];
    const auto whole = [&](std::uint32_t index) {
      const auto& value = pickle_.values[index];
      return value.kind == Kind::tuple && value.items.size() <= kMaxDimensions &&
             std::all_of(value.items.begin(), value.items.end(), [&](std::uint32_t item) {
               return pickle_.values[item].kind == Kind::integer;
             });
    };
    if (pickle_.values[given.items[0]].kind != Kind::storage || offset.kind != Kind::integer ||
        !whole(given.items[2]) || !whole(given.items[3]))
      refuse_malformed();
    push({Kind::tensor, offset.integer, 0, {}, {given.items[0], given.items[2], given.items[3]}});
  }
  void push_long(std::size_t count) {
    const auto bytes = take(count);
    if (count > 8) refuse("holds a pickle with a number of more than 64 bits");
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < count; ++i)
      value |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    if (count > 0 && count < 8 && (static_cast<unsigned char>(bytes[count - 1]) & 0x80) != 0)
      value |= ~std::uint64_t{0} << (8 * count);
    push_integer(static_cast<std::int64_t>(value));
  }

  bool step() {
    const auto opcode = number<unsigned char>();
    switch (opcode) {
      case 0x80:  // PROTO
        if (number<unsigned char>() != 2)
          refuse("holds a pickle of another protocol than 2, torch.save's default");
        break;
      case '(':  // MARK
        if (marks_.size() == kMaxValues) refuse_malformed();
        marks_.push_back(stack_.size());
        break;
      case '}':
        push({Kind::dict, 0, 0, {}, {}});
        break;
      case ']':
        push({Kind::list, 0, 0, {}, {}});
        break;
      case ')':
        push_tuple({});
        break;
      case 't':
        push_tuple(pop_mark());
        break;
      case 0x85:  // TUPLE1, TUPLE2, TUPLE3
      case 0x86:
      case 0x87:
        push_tuple(pop_several(opcode - 0x84u));
        break;
      case 'a':
        add(Kind::list, pop_several(1));
        break;
      case 'e':
        add(Kind::list, pop_mark());
        break;
      case 's':
        add(Kind::dict, pop_several(2));
        break;
      case 'u':
        add(Kind::dict, pop_mark());
        break;
      case 'N':
        push({});
        break;
      case 0x88:  // NEWTRUE, NEWFALSE
      case 0x89:
        push({Kind::boolean, opcode == 0x88 ? 1 : 0, 0, {}, {}});
        break;
      case 'K':
        push_integer(number<std::uint8_t>());
        break;
      case 'M':
        push_integer(number<std::uint16_t>());
        break;
      case 'J':
        push_integer(number<std::int32_t>());
        break;
      case 0x8a:  // LONG1
        push_long(number<std::uint8_t>());
        break;
      case 'G':  // big-endian
        push({Kind::real,
              0,
              std::bit_cast<double>(__builtin_bswap64(number<std::uint64_t>())),
              {},
              {}});
        break;
      case 'X':
        push({Kind::text, 0, 0, std::string(take(number<std::uint32_t>())), {}});
        break;
      case 'c':
        push_global();
        break;
      case 'q':
        put(number<std::uint8_t>());
        break;
      case 'r':
        put(number<std::uint32_t>());
        break;
      case 'h':
        get(number<std::uint8_t>());
        break;
      case 'j':
        get(number<std::uint32_t>());
        break;
      case 'Q':
        push_storage();
        break;
      case 'R':
        reduce();
        break;
      case '.':
        pickle_.root = pop();
        if (!stack_.empty() || !marks_.empty()) refuse_malformed();
        return false;
      default:
        refuse(
            fmt::format("holds a pickle with the opcode {:#04x} ({}), which plain tensors do not "
                        "need",
                        opcode, name_of_opcode(opcode)));
    }
    return true;
  }

  std::string_view rest_;
  const std::string& name_;
  Pickle pickle_;
  std::vector<std::uint32_t> stack_, memo_;
  std::vector<std::size_t> marks_;
};

}  // namespace

const PickleValue* Pickle::find(const PickleValue& dict, std::string_view key) const {
  if (dict.kind != Kind::dict || dict.items.size() > 2 * kMaxKeys) return nullptr;
  for (std::size_t i = 0; i + 1 < dict.items.size(); i += 2)
    if (at(dict.items[i]).kind == Kind::text && at(dict.items[i]).text == key)
      return &at(dict.items[i + 1]);
  return nullptr;
}

Pickle read_pickle(std::string_view bytes, const std::string& name) {
  return Machine(bytes, name).run();
}

}  // namespace gembench::inline encodings
