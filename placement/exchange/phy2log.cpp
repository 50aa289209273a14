// DeepSeek EPLB's phy2log [MoE layer][slot], the expert that each slot holds, as people keep it
// with numpy.save or torch.save. Slots are numbered across all ranks.
// https://github.com/deepseek-ai/EPLB, eplb.py, rebalance_experts

#include <fmt/format.h>

#include "placement/base/error.hpp"
#include "placement/encodings/npy.hpp"
#include "placement/exchange/format_table.hpp"
#include "placement/exchange/slot_arrays.hpp"
#include "placement/exchange/slot_rows.hpp"

namespace gembench::inline exchange {
namespace {

constexpr const char* kName = "phy2log";
constexpr const char* kTorch = "the torch file";

bool recognise(std::string_view content) {
  try {
    if (is_torch(content))
      return TorchFile(content, kTorch).root().kind == PickleValue::Kind::tensor;
    if (!is_npy(content.substr(0, kNpyPrefix))) return false;
    const auto begin = npy_header_bytes(content.substr(0, kNpyPrefix), kName);
    return begin <= content.size() &&
           parse_npy_header(content.substr(0, begin), kName).shape.size() == 2;
  } catch (const Error&) {
    return false;
  }
}

PlacementFile read(std::string_view content, const StatedShape& stated) {
  if (!is_torch(content)) return placement_of_rows(npy_rows(content), stated, kName);
  TorchFile file(content, kTorch);
  return placement_of_rows(torch_rows(file, &file.root(), "at its root"), stated, kName);
}

std::string write(const PlacementFile& file) {
  require_full(file.placement, kName);
  const auto& placement = file.placement;
  auto content = npy_content(
      "<i4", fmt::format("({}, {})", placement.layers, slots_of_layer(placement, 0).size()));
  for (int layer = 0; layer < placement.layers; ++layer) {
    const auto row = slots_of_layer(placement, layer);
    content.append(reinterpret_cast<const char*>(row.data()), row.size() * sizeof row[0]);
  }
  return content;
}

std::string usage(const PlacementFile& /*file*/, const std::string& path) {
  return fmt::format("phy2log = numpy.load(\"{}\")", path);
}

}  // namespace

const PlacementFormat kPhy2logFormat = {kName,
                                        "DeepSeek EPLB's phy2log, a .npy or .pt map of slots",
                                        "ranks; which layers are dense; where it comes from",
                                        recognise,
                                        read,
                                        write,
                                        usage,
                                        {},
                                        "numpy, or what takes the result of DeepSeek's EPLB"};

}  // namespace gembench::inline exchange
