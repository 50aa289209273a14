// SGLang's expert distribution `per_pass`: a .pt file of every rank, each with a record of every
// pass that counts the rank's tokens by physical expert, and a map of those to logical ones. Files
// of `per_token` also tell the pass's phase and list the experts of its tokens.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "placement/base/checked_sizes.hpp"
#include "placement/encodings/torch_file.hpp"
#include "placement/recordings/formats.hpp"
#include "placement/recordings/pass_tokens.hpp"
#include "placement/recordings/step_batches.hpp"
#include "placement/recordings/token_sieve.hpp"

namespace gembench::inline recordings {
namespace {

using Kind = PickleValue::Kind;
constexpr const char* kRecords = "records";
constexpr const char* kCounts = "global_physical_count";
constexpr const char* kIds = "topk_ids_of_layer";  // of per_token: [layer][token][at most k]
constexpr const char* kMode = "forward_mode";
constexpr std::int64_t kExtends = 1, kDecodes = 2, kMixes = 3, kIdles = 4;  // its values
constexpr const char* kLengths = "extend_seq_lens";                         // of its sequences
constexpr const char* kMap = "last_physical_to_logical_map";
constexpr std::size_t kMaxCells = std::size_t{1} << 24;

struct RankFile {
  TorchFile file;
  std::int64_t rank = 0;
  std::vector<const PickleValue*> records;  ///< of passes, in order
  std::int64_t layers = 0, slots = 0;       ///< physical experts a layer
  std::vector<std::int64_t> map;            ///< [layer][slot] logical expert
};

std::int64_t integer(const RankFile& from, const PickleValue& record, const char* key) {
  const auto* value = from.file.pickle().find(record, key);
  if (!value || value->kind != Kind::integer)
    from.file.refuse(fmt::format("has a record without {}", key));
  return value->integer;
}

/// Records of other gatherers than the model's own (of its draft model, say) are left out.
bool is_primary(const Pickle& pickle, const PickleValue& record) {
  const auto* key = pickle.find(record, "gatherer_key");
  return !key || key->text == "primary";
}

RankFile open_rank(const std::filesystem::path& path) {
  RankFile from{TorchFile(path), 0, {}, 0, 0, {}};
  const auto& pickle = from.file.pickle();
  const auto* records = pickle.find(from.file.root(), kRecords);
  if (!records || records->kind != Kind::list)
    from.file.refuse("has no list of records; name the files of SGLang's per_pass recording");
  for (const auto index : records->items)
    if (is_primary(pickle, pickle.at(index))) from.records.push_back(&pickle.at(index));
  if (from.records.empty()) from.file.refuse("holds no pass; record some traffic");
  from.rank = integer(from, *from.records.front(), "rank");
  std::int64_t last = -1;
  for (const auto* record : from.records) {
    const auto pass = integer(from, *record, "forward_pass_id");
    if (pass <= last) from.file.refuse(fmt::format("has pass {} after pass {}", pass, last));
    last = pass;
  }
  const auto map = from.file.tensor(pickle.find(from.file.root(), kMap), kMap, 2, 2);
  from.layers = map.shape[0];
  from.slots = map.shape[1];
  if (from.layers > static_cast<std::int64_t>(kMaxCells) / from.slots)
    from.file.refuse("has too many layers and experts");
  from.map.resize(static_cast<std::size_t>(from.layers * from.slots));
  from.file.open(map);
  from.file.read(from.map);
  for (const auto expert : from.map)
    if (expert < 0 || expert >= kMaxExperts)
      from.file.refuse(fmt::format("maps a physical expert to {}, which is no expert", expert));
  return from;
}

/// In the order of ranks, and of the same passes.
std::vector<RankFile> open_ranks(const RecordingInput& input) {
  std::vector<RankFile> ranks;
  for (const auto& path : input.paths) ranks.push_back(open_rank(path));
  std::sort(ranks.begin(), ranks.end(), [](auto& a, auto& b) { return a.rank < b.rank; });
  const auto twice = std::adjacent_find(ranks.begin(), ranks.end(),
                                        [](auto& a, auto& b) { return a.rank == b.rank; });
  if (twice != ranks.end())
    twice->file.refuse(
        fmt::format("is of rank {}, like another file; name each once", twice->rank));
  const auto& first = ranks.front();
  for (const auto& from : ranks) {
    if (from.layers != first.layers || from.slots != first.slots || from.map != first.map)
      from.file.refuse("has another map of physical experts than the other ranks");
    const auto same_pass = [&](const auto* a, const auto* b) {
      return integer(from, *a, "forward_pass_id") == integer(first, *b, "forward_pass_id");
    };
    if (!std::equal(from.records.begin(), from.records.end(), first.records.begin(),
                    first.records.end(), same_pass))
      from.file.refuse("has other passes than the other ranks; give files of one recording");
  }
  return ranks;
}

/// A rank's counts of a pass, [layer][slot].
void read_counts(RankFile& from, const PickleValue& record, std::vector<std::int64_t>& physical) {
  const auto tensor = from.file.tensor(from.file.pickle().find(record, kCounts), kCounts, 2, 2);
  if (tensor.shape[0] != from.layers || tensor.shape[1] != from.slots)
    from.file.refuse(fmt::format(
        "counts {} x {} experts in pass {} where its map has {} x {}", tensor.shape[0],
        tensor.shape[1], integer(from, record, "forward_pass_id"), from.layers, from.slots));
  from.file.open(tensor);
  from.file.read(physical);
}

/// Adds a rank's counts of a pass to [layer][source][expert].
void add_counts(RankFile& from, std::size_t pass, std::size_t source, std::size_t sources,
                std::size_t experts, std::vector<std::int64_t>& physical,
                std::vector<std::int64_t>& counts) {
  const auto& record = *from.records[pass];
  read_counts(from, record, physical);
  const auto slots = static_cast<std::size_t>(from.slots);
  for (std::size_t i = 0; i < physical.size(); ++i) {
    // Before sums could hide or overflow it.
    if (physical[i] < 0 || physical[i] > std::numeric_limits<std::int32_t>::max())
      from.file.refuse(fmt::format("counts {} tokens of an expert in pass {}", physical[i],
                                   integer(from, record, "forward_pass_id")));
    counts[(i / slots * sources + source) * experts + static_cast<std::size_t>(from.map[i])] +=
        physical[i];
  }
}

bool is_empty(const RankFile& from, const PickleValue& tensor) {
  const auto& sizes = from.file.pickle().at(tensor.items[1]).items;
  return std::any_of(sizes.begin(), sizes.end(),
                     [&](auto at) { return from.file.pickle().at(at).integer == 0; });
}

/// Experts of a token: the entries of a row that are not -1, which fills it. 0 where the records do
/// not list tokens, or all have other numbers.
int topk_of(std::vector<RankFile>& ranks) {
  std::vector<std::int64_t> ids;
  std::int64_t topk = 0;
  for (auto& from : ranks)
    for (const auto* record : from.records) {
      const auto* value = from.file.pickle().find(*record, kIds);
      if (!value || value->kind != Kind::tensor) return 0;
      if (is_empty(from, *value)) continue;  // a pass without tokens
      const auto tensor = from.file.tensor(value, kIds, 3, 3);
      const auto width = tensor.shape[2];
      if (width > kMaxExperts) return 0;
      ids.resize(static_cast<std::size_t>(width));
      from.file.open(tensor);
      for (std::int64_t row = 0; row < tensor.shape[0] * tensor.shape[1]; ++row) {
        from.file.read(ids);
        const auto chosen = std::count_if(ids.begin(), ids.end(), [](auto id) { return id >= 0; });
        if (chosen == 0) continue;  // a dense layer, or a token that is none
        if (topk != 0 && chosen != topk) return 0;
        topk = chosen;
      }
      if (topk > 0) break;  // one pass of each rank is enough
    }
  return static_cast<int>(topk);
}

/// A step's phase by the modes of all ranks' passes; -1: unknown.
std::int32_t phase_of(const std::vector<RankFile>& ranks, std::size_t pass) {
  bool prompts = false, decodes = false;
  for (const auto& from : ranks) {
    const auto* mode = from.file.pickle().find(*from.records[pass], kMode);
    if (!mode || mode->kind != Kind::integer || mode->integer < kExtends || mode->integer > kIdles)
      return -1;
    prompts = prompts || mode->integer == kExtends || mode->integer == kMixes;
    decodes = decodes || mode->integer == kDecodes || mode->integer == kMixes;
  }
  return prompts && decodes ? kMixed : prompts ? kPrefill : decodes ? kDecode : -1;
}

/// Of all steps, or -1 for all.
std::vector<std::int32_t> phases_of(const std::vector<RankFile>& ranks) {
  std::vector<std::int32_t> phases;
  for (std::size_t pass = 0; pass < ranks[0].records.size(); ++pass)
    phases.push_back(phase_of(ranks, pass));
  if (std::find(phases.begin(), phases.end(), -1) != phases.end()) phases.assign(phases.size(), -1);
  return phases;
}

std::int64_t experts_of(const RankFile& from) {
  return *std::max_element(from.map.begin(), from.map.end()) + 1;
}

/// How many of a pass's tokens are of prompts; -1: unknown. Where both phases mix, prompts come
/// first, and the sequences that decode have one token each.
std::int64_t prompt_tokens(const RankFile& from, const PickleValue& record, std::int64_t tokens) {
  const auto& pickle = from.file.pickle();
  const auto* mode = pickle.find(record, kMode);
  if (!mode || mode->kind != Kind::integer) return -1;
  if (mode->integer == kExtends) return tokens;
  if (mode->integer == kDecodes) return 0;
  const auto* lengths = pickle.find(record, kLengths);
  if (mode->integer != kMixes || !lengths || lengths->kind != Kind::list) return -1;
  std::int64_t sum = 0, prompt = 0;
  for (const auto at : lengths->items) {
    const auto& length = pickle.at(at);
    if (length.kind != Kind::integer || length.integer < 0 || length.integer > tokens - sum)
      return -1;
    sum += length.integer;
    if (length.integer != 1) prompt = sum;
  }
  return sum == tokens ? prompt : -1;
}

/// Adds a rank's tokens of a pass, whose ids name slots. They must be as many as were counted.
void add_tokens(RankFile& from, const PickleValue& record, TokenRecording& recording) {
  const auto* value = from.file.pickle().find(record, kIds);
  if (value && value->kind == Kind::tensor && is_empty(from, *value)) return;
  const auto tensor = from.file.tensor(value, kIds, 3, 3);
  const auto pass = integer(from, record, "forward_pass_id");
  if (tensor.shape[0] != from.layers)
    from.file.refuse(fmt::format("lists {} layers in pass {} where its map has {}", tensor.shape[0],
                                 pass, from.layers));
  const auto tokens = tensor.shape[1], columns = tensor.shape[2];
  std::vector<std::int64_t> ids(static_cast<std::size_t>(from.layers * tokens * columns));
  from.file.open(tensor);
  from.file.read(ids);
  std::vector<std::int64_t> found(from.map.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0) continue;
    if (ids[i] >= from.slots)
      from.file.refuse(
          fmt::format("names physical expert {} of {} in pass {}", ids[i], from.slots, pass));
    const auto slot =
        i / static_cast<std::size_t>(tokens * columns) * static_cast<std::size_t>(from.slots) +
        static_cast<std::size_t>(ids[i]);
    ++found[slot];
    ids[i] = from.map[slot];
  }
  std::vector<std::int64_t> counts(found.size());
  read_counts(from, record, counts);
  if (counts != found)
    from.file.refuse(fmt::format("counts other tokens than it lists in pass {}", pass));
  const auto prompt = prompt_tokens(from, record, tokens);
  recording.phases_known = recording.phases_known && prompt >= 0;
  add_pass(recording, ids, static_cast<std::size_t>(columns),
           static_cast<std::size_t>(std::max<std::int64_t>(prompt, 0)));
}

/// The tokens of every pass, rank by rank.
TokenRecording read_tokens(const RecordingInput& input) {
  auto ranks = open_ranks(input);
  TokenRecording recording;
  recording.source = name_of(input);
  recording.layers = static_cast<int>(ranks[0].layers);
  recording.experts = static_cast<int>(experts_of(ranks[0]));
  recording.topk = topk_of(ranks);
  recording.requests_known = false;
  recording.phases_known = true;
  if (recording.topk == 0)
    throw usage_error(
        fmt::format("{} does not list tokens with their experts, equally many each: drop --window, "
                    "or record with per_token",
                    name_of(input)));
  require_stated(name_of(input), "experts", recording.experts, input.experts);
  require_stated(name_of(input), "topk", recording.topk, input.topk);
  for (std::size_t pass = 0; pass < ranks[0].records.size(); ++pass)
    for (auto& from : ranks) add_tokens(from, *from.records[pass], recording);
  drop_dense_layers(recording);
  require_stated(name_of(input), "layers", recording.layers, input.layers);
  sift(recording);
  try {
    validate(recording);
  } catch (const Error& error) {
    throw usage_error(fmt::format(
        "{}; its map of physical experts is that of the last pass: record without a rebalance",
        error.what()));
  }
  return recording;
}

std::vector<std::string> read(const RecordingInput& input, StepPass& pass) {
  auto ranks = open_ranks(input);
  const auto phases = phases_of(ranks);
  const auto& map = ranks[0].map;
  const auto experts = experts_of(ranks[0]);
  const auto sources = ranks.size();
  StepBatches batches(input,
                      {ranks[0].layers,
                       experts,
                       topk_of(ranks),
                       sources > 1 ? static_cast<int>(sources) : 0,
                       {},
                       static_cast<int>(ranks[0].layers)},
                      pass);
  std::vector<std::int64_t> counts(batches.step_size()), physical(map.size());
  for (std::size_t at = 0; at < ranks[0].records.size(); ++at) {
    std::fill(counts.begin(), counts.end(), 0);
    for (std::size_t source = 0; source < sources; ++source)
      add_counts(ranks[source], at, source, sources, static_cast<std::size_t>(experts), physical,
                 counts);
    batches.add(counts, phases[at]);
  }
  return batches.finish();
}

bool recognise(const RecordingInput& input) {
  if (input.paths.empty() || !is_torch(first_bytes(input.paths[0], 2))) return false;
  try {
    const TorchFile file(input.paths[0]);
    const auto& pickle = file.pickle();
    const auto* records = pickle.find(file.root(), kRecords);
    return records && records->kind == Kind::list && !records->items.empty() &&
           pickle.find(pickle.at(records->items[0]), kCounts);
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

const RecordingFormat kSglangPerPass{
    "sglang-per-pass", "SGLang: expert distribution `per_pass`, a .pt file of every rank",
    recognise, read, read_tokens};

}  // namespace gembench::inline recordings
