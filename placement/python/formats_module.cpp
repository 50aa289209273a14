// gembench._formats: placements in the formats of serving engines.

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "placement/base/error.hpp"
#include "placement/exchange/model_config.hpp"
#include "placement/exchange/placement_formats.hpp"

namespace nb = nanobind;

namespace gembench::inline python {
namespace {

std::string convert(const std::string& path, const std::string& to, int ranks, int layers,
                    int experts) {
  try {
    const auto& format = find_placement_format(to);
    return checked_text(format, read_any_placement(path, {ranks, layers, experts}));
  } catch (const Error& error) {
    throw nb::value_error(error.what());
  }
}

/// Type, MoE layers, all layers, experts, top-k, shared experts, hidden, ffn.
std::tuple<std::string, std::vector<std::int32_t>, int, int, int, int, int, int> read_model(
    const std::string& path) {
  try {
    const ModelConfig model = read_model_file(path);
    return {model.type, model.moe_layers, model.model_layers, model.experts,
            model.topk, model.shared,     model.hidden,       model.ffn};
  } catch (const Error& error) {
    throw nb::value_error(error.what());
  }
}

}  // namespace
}  // namespace gembench::inline python

NB_MODULE(_formats, module) {
  module.def("convert", &gembench::convert);
  module.def("read_model", &gembench::read_model);
}
