#include "harness/option_groups.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <functional>
#include <utility>

#include "placement/error.hpp"

namespace po = boost::program_options;

namespace gembench {
namespace {

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::string part;
  for (const char c : text + ",") {
    if (c != ',') {
      part += c;
    } else if (!part.empty()) {
      parts.push_back(std::exchange(part, {}));
    }
  }
  return parts;
}

/// "1024", "16K", "2M": binary multiples, as in nccl-tests.
int parse_count(const std::string& name, const std::string& text) {
  std::size_t used = 0;
  long long value = -1;
  try {
    value = std::stoll(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  const std::string unit = text.substr(used);
  const int shift = unit == "K" || unit == "k" ? 10 : unit == "M" || unit == "m" ? 20 : 0;
  if (used == 0 || (shift == 0 && !unit.empty()) || value < 0 || value > (2147483647LL >> shift)) {
    throw usage_error(
        fmt::format("--{} '{}' is not a count: give a number such as 1024 or 16K", name, text));
  }
  return static_cast<int>(value << shift);
}

std::vector<double> parse_slowdown(const std::string& text) {
  std::vector<double> values;
  for (const std::string& part : split(text)) {
    std::size_t used = 0;
    double value = NAN;
    try {
      value = std::stod(part, &used);
    } catch (const std::exception&) {
    }
    if (used != part.size() || !std::isfinite(value) || value < 1 || value > 1000) {
      throw usage_error(fmt::format(
          "--slowdown '{}' is not a factor of 1 to 1000 (1 = reference speed, larger = slower)",
          part));
    }
    values.push_back(value);
  }
  return values;
}

/// Adds the options of one group that write into `o`.
class Builder {
 public:
  explicit Builder(Options& o) : o_(o) {}

  po::options_description model() {
    po::options_description d("Model");
    text(d, "model", o_.model, "NAME", "shape preset; see 'gembench list'");
    real(d, "scale", o_.scale, "F", "divide hidden and ffn by F");
    count(d, "layers", o_.layers, "MoE layers to run (default: the model's)");
    count(d, "experts", o_.experts, "experts a layer (default: the model's)");
    count(d, "topk", o_.topk, "experts a token (default: the model's)");
    count(d, "hidden", o_.hidden, "width of a token (default: the model's / F)");
    count(d, "ffn", o_.ffn, "inner width of an expert (default: the model's / F)");
    count(d, "weight-layers", o_.weight_layers,
          "distinct sets of weights, shared by layers in turn (default: all)");
    text(d, "dtype", o_.dtype, "T", "auto, f32 or bf16; auto = bf16 where the device has it");
    return d;
  }
  po::options_description routing() {
    po::options_description d("Routing");
    count(d, "tokens", o_.tokens,
          "tokens of a step, all ranks together (default: 1024, or as traced)");
    text(d, "routing", o_.routing, "KIND", "synthetic, trace, or gate (the router decides)");
    text(d, "preset", o_.preset, "NAME", "synthetic loads: serving or even");
    text(d, "trace", o_.trace, "FILE", "trace.h5 of 'gembench trace'; implies --routing trace");
    return d;
  }
  po::options_description planning() {
    po::options_description d("Placement");
    names(d, "placements", o_.placements, "A,B,..",
          "strategies to compare, the first is the reference");
    text(d, "profile", o_.profile, "FILE", "profile.h5 to plan with (default: measure one first)");
    count(d, "plan-steps", o_.plan_steps,
          "steps that are planned on, before the measured ones (default: 1024 synthetic, 32 gate, "
          "all earlier steps of a trace)");
    flag(d, "in-sample", o_.in_sample,
         "plan on the measured steps themselves (stated in the header)");
    return d;
  }
  po::options_description schedule() {
    po::options_description d("Measurement");
    number(d, "steps", o_.steps, "measured steps of every placement");
    number(d, "warmup,w", o_.warmup, "steps run and discarded after every switch of placement");
    number(d, "block", o_.block, "steps of a placement in a row, at least");
    flag(d, "resident", o_.resident, "keep the experts of all placements in memory: no moves");
    text(d, "check", o_.check, "WHEN", "compare outputs with a reference: none, last or all steps");
    real(d, "non-moe-time", o_.non_moe_time, "S",
         "seconds a layer added for attention and the rest");
    return d;
  }
  po::options_description ranks() {
    po::options_description d("Ranks");
    text(d, "device", o_.device, "KIND", "cpu");
    text(d, "clock", o_.clock, "KIND", "auto, wall, or cpu-time (ranks share CPUs)");
    call(d, "slowdown", "S,S,..", "emulated slowdown of every rank, 1 = none",
         [&o = o_](const std::string& v) { o.slowdown = parse_slowdown(v); });
    text(d, "variability", o_.variability, "KIND",
         "emulated spread of rank speeds: none, low (7.7 %) or high (27.7 %)");
    real(d, "profile-seconds", o_.profile_seconds, "S", "time to spend on measuring a profile");
    return d;
  }
  po::options_description offline() {
    po::options_description d("Planning without MPI");
    count(d, "ranks", o_.ranks, "ranks to place on (default: the profile's)");
    text(d, "trace", o_.trace, "FILE", "trace.h5 to plan on");
    text(d, "profile", o_.profile, "FILE", "profile.h5 (default: equally fast ranks)");
    count(d, "plan-steps", o_.plan_steps,
          "plan on the first N steps only; score then judges on the others (default: all)");
    call(d, "slowdown", "S,S,..", "slowdown of every rank, on top of the profile",
         [&o = o_](const std::string& v) { o.slowdown = parse_slowdown(v); });
    text(d, "variability", o_.variability, "KIND", "none, low (7.7 %) or high (27.7 %)");
    return d;
  }
  po::options_description output(bool with_file) {
    po::options_description d("Output");
    if (with_file) {
      text(d, "output,o", o_.output, "FILE", "file to write");
      flag(d, "overwrite", o_.overwrite, "replace an existing file");
    }
    text(d, "format", o_.format, "KIND", "table, csv or json, on standard output");
    flag(d, "quiet,q", o_.quiet, "no progress on standard error");
    return d;
  }
  po::options_description seed() {
    po::options_description d("Other");
    d.add_options()("seed", po::value(&o_.seed)->value_name("N")->default_value(o_.seed),
                    "of weights, inputs, synthetic loads and the order of blocks");
    d.add_options()("help,h", "this text");
    return d;
  }
  void text(po::options_description& d, const char* name, std::string& to, const char* value,
            const char* help) {
    auto* semantic = po::value(&to)->value_name(value);
    if (!to.empty()) semantic->default_value(to);
    d.add_options()(name, semantic, help);
  }
  void names(po::options_description& d, const char* name, std::vector<std::string>& to,
             const char* value, const char* help) {
    call(d, name, value,
         to.empty() ? help : fmt::format("{} (default: {})", help, fmt::join(to, ",")),
         [&to](const std::string& v) { to = split(v); });
  }

 private:
  void real(po::options_description& d, const char* name, double& to, const char* value,
            const char* help) {
    d.add_options()(
        name, po::value(&to)->value_name(value)->default_value(to, fmt::format("{:g}", to)), help);
  }
  void number(po::options_description& d, const char* name, int& to, const char* help) {
    const std::string bare = std::string(name).substr(0, std::string(name).find(','));
    call(d, name, "N", fmt::format("{} (default: {})", help, to),
         [&to, bare](const std::string& v) { to = parse_count(bare, v); });
  }
  void count(po::options_description& d, const char* name, std::optional<int>& to,
             const char* help) {
    call(d, name, "N", help,
         [&to, name = std::string(name)](const std::string& v) { to = parse_count(name, v); });
  }
  void flag(po::options_description& d, const char* name, bool& to, const char* help) {
    d.add_options()(name, po::bool_switch(&to), help);
  }
  void call(po::options_description& d, const char* name, const char* value,
            const std::string& help, const std::function<void(const std::string&)>& set) {
    d.add_options()(name, po::value<std::string>()->value_name(value)->notifier(set), help.c_str());
  }

  Options& o_;
};

}  // namespace

po::options_description options_of(const std::string& command, Options& o) {
  Builder build(o);
  // The help stays within 100 columns.
  po::options_description all(100, 60);
  if (command == "run" || command == "profile") {
    all.add(build.model()).add(build.routing());
    if (command == "run") all.add(build.planning()).add(build.schedule());
    all.add(build.ranks()).add(build.output(true));
  } else if (command == "trace") {
    po::options_description steps("Synthetic loads");
    build.text(steps, "preset", o.preset, "NAME", "serving or even");
    steps.add_options()("steps", po::value(&o.steps)->value_name("N")->default_value(o.steps),
                        "steps to make");
    po::options_description tokens("Shape");
    tokens.add_options()("tokens",
                         po::value<std::string>()->value_name("N")->notifier(
                             [&o](const std::string& v) { o.tokens = parse_count("tokens", v); }),
                         "tokens of a step");
    all.add(build.model()).add(tokens).add(steps).add(build.output(true));
  } else if (command == "plan" || command == "score") {
    all.add(build.offline());
    po::options_description which("Placement");
    if (command == "plan") {
      build.text(which, "strategy", o.strategy, "NAME", "see 'gembench list'");
    } else {
      build.names(which, "strategies", o.strategies, "A,B,..", "plan these and judge them");
    }
    all.add(which).add(build.output(command == "plan"));
  } else if (command == "compare") {
    all.add(build.output(false));
  }
  all.add(build.seed());
  return all;
}

}  // namespace gembench
