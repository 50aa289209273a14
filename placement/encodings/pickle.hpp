#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gembench::inline encodings {

/// A value of a pickle: plain data and torch's storages and tensors. Values refer to each other by
/// index, so a value may be used several times, even within itself.
struct PickleValue {
  enum class Kind : std::uint8_t {
    none,
    boolean,
    integer,
    real,
    text,
    global,
    tuple,
    list,
    dict,
    storage,
    tensor
  };
  Kind kind = Kind::none;
  std::int64_t integer = 0;  ///< also 0 or 1 of boolean; a tensor's offset; a storage's elements
  double real = 0;
  /// Of text; "module name" of global; a storage's key.
  std::string text;
  /// Items; a dict's keys and values in turn; a storage's type; a tensor's storage, sizes, strides.
  std::vector<std::uint32_t> items;
};

/// A whole pickle: its values, by index.
struct Pickle {
  std::vector<PickleValue> values;
  std::uint32_t root = 0;

  [[nodiscard]] const PickleValue& at(std::uint32_t index) const { return values[index]; }
  /// The value of a text key of a dict; null if there is none, and for dicts with more than 64
  /// keys.
  [[nodiscard]] const PickleValue* find(const PickleValue& dict, std::string_view key) const;
};

/// Reads what torch.save(..., pickle_protocol=2) writes of numbers, texts, containers and tensors.
/// Nothing is executed: of globals only torch's storages, _rebuild_tensor_v2 and OrderedDict are
/// known, and these only as names. Usage error naming `name`, and the opcode or global, for
/// anything else; stack, memo and values are bounded.
[[nodiscard]] Pickle read_pickle(std::string_view bytes, const std::string& name);

}  // namespace gembench::inline encodings
