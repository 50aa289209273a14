#include "harness/cli/option_builder.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "harness/cli/option_values.hpp"

namespace po = boost::program_options;

namespace gembench::inline cli {
namespace {

/// "warmup" of "warmup,w"
std::string bare(const std::string& name) {
  return name.substr(0, name.find(','));
}

}  // namespace

void OptionBuilder::text(Group& group, const char* name, std::string& to, const char* value,
                         const char* help) {
  auto* semantic = po::value(&to)->value_name(value);
  if (!to.empty()) semantic->default_value(to);
  group.add_options()(name, semantic, help);
  setting(name, [&to] { return to.empty() ? Json() : Json(to); });
}

void OptionBuilder::names(Group& group, const char* name, std::vector<std::string>& to,
                          const char* help) {
  call(
      group, name, "A,B,..", help, [&to](const std::string& v) { to = split_list(v); },
      [&to] { return Json(to); }, fmt::format("{}", fmt::join(to, ",")));
}

void OptionBuilder::real(Group& group, const char* name, double& to, const char* value,
                         const std::string& help) {
  group.add_options()(name,
                      po::value(&to)->value_name(value)->default_value(to, fmt::format("{:g}", to)),
                      help.c_str());
  setting(name, [&to] { return Json(to); });
}

void OptionBuilder::number(Group& group, const char* name, int& to, const std::string& help) {
  call(
      group, name, "N", help,
      [&to, bare = bare(name)](const std::string& v) { to = parse_count(bare, v); },
      [&to] { return Json(to); }, fmt::format("{}", to));
}

void OptionBuilder::count(Group& group, const char* name, std::optional<int>& to,
                          const char* help) {
  call(
      group, name, "N", help,
      [&to, bare = bare(name)](const std::string& v) { to = parse_count(bare, v); },
      [&to] { return to ? Json(*to) : Json(); });
}

void OptionBuilder::amount(Group& group, const char* name, std::optional<double>& to,
                           const char* value, const char* help) {
  group.add_options()(
      name, po::value<double>()->value_name(value)->notifier([&to](double given) { to = given; }),
      help);
  setting(name, [&to] { return to ? Json(*to) : Json(); });
}

void OptionBuilder::flag(Group& group, const char* name, bool& to, const char* help) {
  group.add_options()(name, po::bool_switch(&to), help);
  setting(name, [&to] { return Json(to); });
}

void OptionBuilder::call(Group& group, const char* name, const char* value, const std::string& help,
                         const std::function<void(const std::string&)>& set,
                         const std::function<Json()>& get, const std::string& initial) {
  auto* semantic = po::value<std::string>()->value_name(value)->notifier(set);
  if (!initial.empty()) semantic->default_value(initial);
  group.add_options()(name, semantic, help.c_str());
  setting(name, get);
}

void OptionBuilder::setting(const std::string& name, std::function<Json()> value) {
  settings_.push_back({bare(name), shapes_result_, std::move(value)});
}

OptionBuilder::Group token_recording_options(OptionBuilder& build, Options& o) {
  OptionBuilder::Group group("Import of recordings of tokens (how they become steps)");
  build.count(group, "window", o.window,
              "a step is N consecutive tokens of a request (--tokens N says the same)");
  build.count(group, "batch", o.batch,
              "continuous batching: N requests decode at once, one token each a step; with "
              "--arrivals: at most N at once");
  build.flag(group, "shuffle", o.shuffle,
             "with --batch: admit requests in random order, by --seed");
  build.text(group, "arrivals", o.arrivals, "FILE",
             "serve these requests (CSV of Azure or Mooncake): decode is as recorded, prompts are "
             "drawn from recorded tokens");
  build.real(group, "step-seconds", o.step_seconds, "S",
             "with --arrivals: seconds that a step takes");
  build.real(group, "token-seconds", o.token_seconds, "S",
             "with --arrivals: seconds that each of its tokens adds");
  build.number(group, "max-batch-tokens", o.max_batch_tokens,
               "with --arrivals: tokens of a step, in which prompts are cut into chunks");
  build.number(group, "max-steps", o.max_steps,
               "with --batch or --arrivals: end after N steps (0 = all)");
  build.flag(group, "counts-only", o.counts_only, "keep counts of tokens, not the ids of each");
  build.text(group, "requests", o.requests, "FILE",
             "of ids: CSV that cuts them into requests (decode_tokens or tokens; token_offset, "
             "recorded_prompt_tokens, task)");
  build.number(group, "id-bytes", o.id_bytes, "of raw ids: bytes of an id, 1 or 2");
  return group;
}

}  // namespace gembench::inline cli
