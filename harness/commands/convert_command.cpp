#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <optional>

#include "harness/cli/printing.hpp"
#include "harness/cli/version.hpp"
#include "harness/commands/commands.hpp"
#include "harness/run/byte_costs.hpp"
#include "harness/run/model_file.hpp"
#include "harness/run/workload.hpp"
#include "moe_layer/model/shape.hpp"
#include "placement/base/error.hpp"
#include "placement/exchange/pair_traffic.hpp"
#include "placement/exchange/placement_formats.hpp"
#include "placement/exchange/traffic_formats.hpp"
#include "placement/files/whole_file.hpp"
#include "results/trace_file.hpp"

namespace gembench::inline commands {
namespace {

/// The positions of a model's MoE layers, as far as stated.
struct LayersStated {
  int first = 0;         ///< those before are dense
  int model_layers = 0;  ///< 0 = not stated
  int layers = 0;        ///< with experts; 0 = not stated
  std::string by;        ///< whose word it is, for errors
};

/// The shape that --model names, or else the file: "deepseek-v3/8 bf16". None for the latter's
/// unknown names, and for runs of fewer layers than the model's.
std::optional<ModelShape> shape_of(const ConvertCommand& options, const PlacementFile& file) {
  if (!options.model.empty()) return model_named(options.model);
  const auto name = file.model.substr(0, file.model.find_first_of(" /("));
  const auto presets = model_presets();
  const auto found = std::ranges::find(presets, name, &ModelShape::name);
  if (found == presets.end() || found->layers != file.placement.layers) return std::nullopt;
  return *found;
}

std::optional<LayersStated> layers_stated(const ConvertCommand& options,
                                          const PlacementFile& file) {
  if (options.first_layer || options.model_layers) {
    return LayersStated{options.first_layer.value_or(0), options.model_layers.value_or(0), 0,
                        "--first-layer and --model-layers"};
  }
  if (const auto model = shape_of(options, file)) {
    return LayersStated{model->dense, model->dense + model->layers, model->layers, model->name};
  }
  return std::nullopt;
}

/// Gives layers their indices in the model, and leaves dense ones out.
PlacementFile with_layers(const PlacementFile& file, const LayersStated& stated) {
  std::vector<std::int32_t> ids;
  if (file.layer_ids.empty()) {
    for (int layer = 0; layer < file.placement.layers; ++layer) ids.push_back(stated.first + layer);
  } else {
    std::ranges::copy_if(file.layer_ids, std::back_inserter(ids),
                         [&](int id) { return id >= stated.first; });
  }
  const int end = stated.model_layers > 0 ? stated.model_layers : file.model_layers;
  if (ids.empty() || (end > 0 && ids.back() >= end)) {
    throw usage_error(fmt::format("{} layers do not fit {}, by which MoE layers are {} to {}",
                                  file.placement.layers, stated.by, stated.first, end - 1));
  }
  if (stated.layers > 0 && ids.size() != static_cast<std::size_t>(stated.layers)) {
    throw usage_error(
        fmt::format("{} layers are placed but {} has {} with experts, and engines need all of "
                    "them: plan them all, or add --first-layer to convert these",
                    ids.size(), stated.by, stated.layers));
  }
  PlacementFile result = file;
  if (file.layer_ids.empty()) result.layer_ids = ids;
  result = select_layers(result, ids);
  result.model_layers = end;
  return result;
}

/// "0-2, 61": layers of the model that are not in the placement; empty if there are none.
std::string missing_layers(const PlacementFile& file) {
  std::vector<std::string> parts;
  int next = 0;
  const auto up_to = [&](int id) {
    if (id > next)
      parts.push_back(id - 1 == next ? fmt::format("{}", next)
                                     : fmt::format("{}-{}", next, id - 1));
    next = id + 1;
  };
  for (int layer = 0; layer < file.placement.layers; ++layer) up_to(file.layer_id(layer));
  up_to(std::max(file.model_layers, next));
  return fmt::format("{}", fmt::join(parts, ", "));
}

/// The layers of the placement as they lie in the model, and of a trace those it has.
void place_in_model(const ConvertCommand& options, const std::optional<Trace>& trace,
                    PlacementFile& file) {
  try {
    if (const auto layers = layers_stated(options, file)) file = with_layers(file, *layers);
    if (!trace) return;
    file.placement = fit_to_trace(file, *trace, file.placement.ranks);
    if (!trace->layer_ids.empty()) file.layer_ids = trace->layer_ids;
    file.model_layers = std::max(file.model_layers, trace->model_layers);
  } catch (const Error& error) {
    throw usage_error(fmt::format("{}: {}", options.files[0], error.what()));
  }
}

PlacementFile read_input(const ConvertCommand& options, const std::optional<Trace>& trace) {
  const std::string& path = options.files[0];
  StatedShape stated{options.ranks.value_or(0), options.layers.value_or(0),
                     options.experts.value_or(0)};
  if (trace && stated.layers == 0) stated.layers = trace->layers;
  if (trace && stated.experts == 0) stated.experts = trace->experts;
  PlacementFile file = read_any_placement(path, stated, options.from_format);
  const Placement& placement = file.placement;
  const auto agree = [&](const char* name, std::optional<int> said, int found) {
    if (said && *said != found) {
      throw usage_error(fmt::format("{} has {} {}: correct --{}", path, found, name, name));
    }
  };
  agree("ranks", options.ranks, placement.ranks);
  agree("experts", options.experts, placement.experts);
  if (const auto repeats = count_repeats(placement); repeats > 0 && !options.quiet) {
    tell(
        fmt::format("{} slots of {} repeat an expert of their rank, which then gets a share of "
                    "tokens for each; plans by gembench use such slots for other experts",
                    repeats, path));
  }
  place_in_model(options, trace, file);
  agree("layers", options.layers, placement.layers);
  if (file.program.empty()) file.program = program_version();
  return file;
}

std::string shape_line(const PlacementFile& file) {
  const Placement& p = file.placement;
  return fmt::format("{} layers, {} ranks with {} slots, {} experts, {} replicas", p.layers,
                     p.ranks, p.slots, p.experts, count_duplicates(p));
}

void convert_traffic(const ConvertCommand& options, const TrafficFormat& format,
                     const PlacementFile& file, const std::optional<Trace>& trace) {
  if (!trace || !options.layer) {
    throw usage_error(fmt::format(
        "{} is about the tokens of one layer: add --trace FILE and --layer L", options.to));
  }
  const Placement& placement = file.placement;
  const auto text =
      format.write({placement, *trace, *options.layer, options.step,
                    token_bytes(options.token_bytes, file.model), split_rule(options.token_split)});
  write_whole_file(options.output, text, options.overwrite);
  if (options.quiet) return;
  const bool expected = !trace->has_ids() && !format.of_counts.empty();
  print_result("# {}: {}; layer {}, {}; {}\n# {}{}{}\n# use: {}\n", options.output, format.name,
               *options.layer,
               options.step ? fmt::format("step {}", *options.step)
                            : fmt::format("mean of {} steps", trace->steps),
               shape_line(file), traffic_basis(*trace, placement.ranks), expected ? "; " : "",
               expected ? format.of_counts : "", format.usage(placement, options.output));
}

void convert_placement(const ConvertCommand& options, const PlacementFile& file) {
  const PlacementFormat& format = find_placement_format(options.to);
  std::string text;
  try {
    text = checked_text(format, file);
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("{}: {}", options.files[0], error.what()));
  }
  write_whole_file(options.output, text, options.overwrite);
  if (options.quiet) return;
  print_result("# {}: {}; {}\n", options.output, format.name, shape_line(file));
  const auto missing = missing_layers(file);
  if (!missing.empty()) {
    print_result("# layers {} of the model have no experts placed: treated as dense\n", missing);
  } else if (!layers_stated(options, file)) {
    print_result(
        "# every layer of the model is treated as a MoE layer: if not, add --first-layer\n");
  }
  print_result("# use: {}\n# loaded by: {}\n# not in the file: {}\n",
               format.usage(file, options.output), format.loaded_by, format.loses);
}

}  // namespace

void execute(const ConvertCommand& options) {
  if (options.files.size() != 1) throw usage_error("convert takes one file: a placement");
  if (options.to.empty()) {
    throw usage_error("convert needs --to FORMAT: see the formats in gembench list");
  }
  if (options.output.empty()) throw usage_error("convert needs --output FILE");
  const TrafficFormat* traffic = find_traffic_format(options.to);
  if (!traffic) static_cast<void>(find_placement_format(options.to));
  std::optional<Trace> trace;
  if (!options.trace.empty()) trace = read_trace(options.trace);
  const PlacementFile file = read_input(options, trace);
  if (traffic) {
    convert_traffic(options, *traffic, file, trace);
  } else {
    convert_placement(options, file);
  }
}

}  // namespace gembench::inline commands
