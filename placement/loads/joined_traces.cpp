#include "placement/loads/joined_traces.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <utility>

#include "placement/base/error.hpp"

namespace gembench::inline loads {
namespace {

constexpr std::size_t kMostSource = 8192;  // bytes of text

void require_same(std::span<const Trace> traces, std::span<const std::string> names) {
  const auto& first = traces[0];
  const Trace* known = nullptr;  // the first that knows the layers of the model
  for (std::size_t i = 0; i < traces.size(); ++i) {
    const auto& trace = traces[i];
    const auto same = [&](const char* what, int has, int others, const std::string& other) {
      if (has != others)
        throw usage_error(fmt::format("{} has {} {} where {} has {}; join traces of one model",
                                      names[i], what, has, other, others));
    };
    same("layers =", trace.layers, first.layers, names[0]);
    same("experts =", trace.experts, first.experts, names[0]);
    same("top-k", trace.topk, first.topk, names[0]);
    for (int layer = 0; layer < trace.layers; ++layer)
      same(fmt::format("as its layer {} the model's", layer).c_str(), trace.layer_id(layer),
           first.layer_id(layer), names[0]);
    if (trace.model_layers == 0) continue;
    if (!known) known = &trace;
    same("model layers =", trace.model_layers, known->model_layers,
         names[static_cast<std::size_t>(known - traces.data())]);
  }
}

/// Tokens of a step with ids; 0 without ids.
std::size_t tokens_with_ids(const Trace& trace) {
  const auto each = static_cast<std::size_t>(trace.steps) * static_cast<std::size_t>(trace.layers) *
                    static_cast<std::size_t>(trace.topk);
  return trace.has_ids() ? trace.topk_ids.size() / each : 0;
}

std::string joined_source(std::span<const Trace> traces, std::span<const std::string> names) {
  std::string text;
  for (std::size_t i = 0; i < traces.size(); ++i) {
    const auto part = fmt::format("{}{} ({} steps of {})", i == 0 ? "joined: " : ", ", names[i],
                                  traces[i].steps, traces[i].source);
    if (text.size() + part.size() > kMostSource)
      return fmt::format("{} and {} more", text, traces.size() - i);
    text += part;
  }
  return text;
}

}  // namespace

std::vector<std::string> make_alike(std::span<Trace> traces, std::span<const std::string> names) {
  if (traces.empty()) throw usage_error("there are no traces to join; name some");
  require_same(traces, names);
  std::vector<std::string> notes;
  // What `value` is not the same for, and not empty, in all traces is left out of all.
  const auto keep_common = [&](const char* what, auto value, auto leave_out) {
    const auto common = value(traces[0]);
    const bool all = std::all_of(traces.begin(), traces.end(),
                                 [&](const Trace& trace) { return value(trace) == common; });
    if (all) return;
    for (auto& trace : traces) leave_out(trace);
    notes.push_back(fmt::format("left out {}, which not all of the traces have alike", what));
  };
  keep_common(
      "tasks", [](const Trace& t) { return t.task.empty(); }, [](Trace& t) { t.task.clear(); });
  keep_common(
      "phases", [](const Trace& t) { return t.phase.empty(); }, [](Trace& t) { t.phase.clear(); });
  keep_common(
      "the ids of tokens", [](const Trace& t) { return tokens_with_ids(t); },
      [](Trace& t) { t.topk_ids.clear(); });
  keep_common(
      "loads by source", [](const Trace& t) { return t.sources; },
      [](Trace& t) {
        t.sources = 0;
        t.source_tokens.clear();
      });
  const auto numbered = std::find_if(traces.begin(), traces.end(),
                                     [](const Trace& trace) { return !trace.layer_ids.empty(); });
  const auto layer_ids =
      numbered == traces.end() ? std::vector<std::int32_t>{} : numbered->layer_ids;
  const auto model_layers =
      std::max_element(traces.begin(), traces.end(), [](const Trace& a, const Trace& b) {
        return a.model_layers < b.model_layers;
      })->model_layers;
  const bool requests_known = std::all_of(traces.begin(), traces.end(),
                                          [](const Trace& trace) { return trace.requests > 0; });
  const auto requests =
      requests_known ? std::accumulate(traces.begin(), traces.end(), std::int64_t{0},
                                       [](auto sum, const Trace& t) { return sum + t.requests; })
                     : 0;
  const auto source = joined_source(traces, names);
  for (auto& trace : traces) {
    trace.layer_ids = layer_ids;
    trace.model_layers = model_layers;
    trace.requests = requests;
    trace.source = source;
  }
  return notes;
}

Trace joined(Trace first, Trace then) {
  std::array<Trace, 2> parts{std::move(first), std::move(then)};
  make_alike(parts, std::array<std::string, 2>{"the steps before", "the steps after"});
  auto& [all, more] = parts;
  const auto append = [](auto& to, const auto& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  all.steps += more.steps;
  append(all.tokens, more.tokens);
  append(all.topk_ids, more.topk_ids);
  append(all.task, more.task);
  append(all.phase, more.phase);
  append(all.source_tokens, more.source_tokens);
  return std::move(all);
}

}  // namespace gembench::inline loads
