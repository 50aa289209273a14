#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "placement/encodings/torch_file.hpp"
#include "placement/exchange/slot_rows.hpp"

namespace gembench::inline exchange {

/// Maps [layer][slot] in binary files as rows. Usage errors; sizes are checked before anything of
/// that size is allocated.
[[nodiscard]] std::vector<SlotRow> torch_rows(TorchFile& file, const PickleValue* value,
                                              const std::string& what);
[[nodiscard]] std::vector<SlotRow> npy_rows(std::string_view content);

}  // namespace gembench::inline exchange
