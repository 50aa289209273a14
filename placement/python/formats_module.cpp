// gembench._formats: placements in the formats of serving engines.

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <string>

#include "placement/base/error.hpp"
#include "placement/exchange/placement_formats.hpp"

namespace nb = nanobind;

namespace gembench::inline python {
namespace {

std::string convert(const std::string& path, const std::string& to, int ranks, int layers,
                    int experts) {
  try {
    const auto& format = find_placement_format(to);
    return checked_text(format, read_any_placement(path, {ranks, layers, experts}).file);
  } catch (const Error& error) {
    throw nb::value_error(error.what());
  }
}

}  // namespace
}  // namespace gembench::inline python

NB_MODULE(_formats, module) {
  module.def("convert", &gembench::convert);
}
