#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>

#include "placement/base/checked_sizes.hpp"
#include "placement/encodings/base64.hpp"
#include "placement/encodings/bounded_json.hpp"
#include "placement/encodings/byte_stream.hpp"
#include "placement/encodings/inflater.hpp"
#include "placement/recordings/formats.hpp"
#include "placement/recordings/step_batches.hpp"

namespace gembench::inline recordings {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxText = std::size_t{512} << 20;
constexpr std::int64_t kMaxValues = std::int64_t{1} << 25;
constexpr std::int64_t kMaxTokens = std::int64_t{1} << 20;  // of a rank in one chunk
constexpr std::size_t kMostInflation = 1040;                // deflate's best is 1032
constexpr int kMaxTopk = 1024;
constexpr int kMaxLayers = 1 << 16;

/// TensorRT-LLM's calibration_data.json: for every rank and iteration the slots of its tokens,
/// base64 of zlib of 32-bit numbers. A layer may come in several chunks.
struct Chunk {
  std::int32_t layer = 0;  // of the model
  std::int64_t tokens = 0;
};

struct Shapes {
  std::int64_t slots = 0;
  std::int64_t topk = 0;
};

/// What a rank's record of an iteration consists of; its shapes must be `shapes`, which the first
/// chunk of all sets.
std::vector<Chunk> chunks_of(const json& record, Shapes& shapes) {
  std::vector<Chunk> chunks;
  const auto same = [](std::int64_t& has, std::int64_t given, const char* what) {
    if (has == 0) has = given;
    if (has != given)
      throw usage_error(fmt::format("{} is {} where it was {} before", what, given, has));
  };
  const auto& metadata = field(record, "metadata");
  if (!metadata.is_array()) throw usage_error("'metadata' is no list");
  for (const auto& entry : metadata) {
    const auto& shape = field(entry, "token_selected_slots_shape");
    if (!shape.is_array() || shape.size() != 2)
      throw usage_error("'token_selected_slots_shape' is not [tokens, k]");
    Chunk chunk;
    chunk.layer = static_cast<std::int32_t>(
        whole_between(field(entry, "layer_idx"), 0, kMaxLayers, "'layer_idx'"));
    chunk.tokens = whole_between(shape[0], 0, kMaxTokens, "tokens of 'token_selected_slots_shape'");
    same(shapes.topk, whole_between(shape[1], 1, kMaxTopk, "k of 'token_selected_slots_shape'"),
         "k");
    same(shapes.slots, whole_between(field(entry, "num_slots"), 1, kMaxExperts, "'num_slots'"),
         "'num_slots'");
    chunks.push_back(chunk);
  }
  return chunks;
}

class Calibration {
 public:
  Calibration(const RecordingInput& input, json document)
      : input_(input), document_(std::move(document)) {
    const auto& ranks = field(document_, "all_ranks_records");
    if (!ranks.is_array() || ranks.empty() || !ranks[0].is_array() || ranks[0].empty())
      throw usage_error("'all_ranks_records' must be lists of records, one a rank");
    const auto size = whole_between(field(document_, "world_size"), 1, 1 << 20, "'world_size'");
    if (static_cast<std::size_t>(size) != ranks.size())
      throw usage_error(
          fmt::format("it has records of {} ranks where 'world_size' is {}", ranks.size(), size));
    for (const auto& chunk : chunks_of(ranks[0][0], shapes_)) rows_.emplace(chunk.layer, 0);
    if (rows_.empty()) throw usage_error("its first record has no layers in 'metadata'");
    if (input.experts > 0 && input.experts != shapes_.slots)
      throw usage_error(
          fmt::format("it names slots, {} of them, not experts, of which {} were stated: only a "
                      "calibration without redundant slots can be read",
                      shapes_.slots, input.experts));
    RecordedShape shape;
    for (auto& [layer, row] : rows_) {
      row = shape.layer_ids.size();
      shape.layer_ids.push_back(layer);
    }
    shape.layers = static_cast<std::int64_t>(rows_.size());
    shape.experts = shapes_.slots;
    shape.topk = static_cast<int>(shapes_.topk);
    shape.sources = static_cast<int>(size);
    shape_ = shape;
  }

  std::vector<std::string> read(StepPass& pass) {
    StepBatches batches(input_, shape_, pass);
    const auto& ranks = document_["all_ranks_records"];
    for (std::size_t step = 0; step < ranks[0].size(); ++step) {
      counts_.assign(batches.step_size(), 0);
      for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
        if (!ranks[rank].is_array() || ranks[rank].size() != ranks[0].size())
          throw usage_error(fmt::format("rank {} has another number of records than rank 0", rank));
        try {
          add(ranks[rank][step], ranks[0][step], rank);
        } catch (const Error& error) {
          throw usage_error(fmt::format("rank {}, record {}: {}", rank, step, error.what()));
        }
      }
      batches.add(counts_);
    }
    return batches.finish();
  }

 private:
  /// One rank's tokens of a step.
  void add(const json& record, const json& of_rank_0, std::size_t rank) {
    const auto iteration = [](const json& of) {
      return whole_between(field(of, "iteration"), 0, std::numeric_limits<std::int64_t>::max(),
                           "'iteration'");
    };
    if (iteration(record) != iteration(of_rank_0))
      throw usage_error(fmt::format("it is of iteration {} where rank 0 has {}", iteration(record),
                                    iteration(of_rank_0)));
    const auto chunks = chunks_of(record, shapes_);
    const auto& data = field(record, "raw_data");
    if (!data.is_string()) throw usage_error("'raw_data' is no text");
    const auto packed = decode_base64(data.get_ref<const std::string&>());
    Inflater unpacked(packed);
    for (const auto& chunk : chunks) {
      const auto row = rows_.find(chunk.layer);
      if (row == rows_.end())
        throw usage_error(fmt::format("layer {} is not in the first record", chunk.layer));
      if (static_cast<std::size_t>(chunk.tokens * shapes_.topk) * sizeof(ids_[0]) >
          packed.size() * kMostInflation)
        throw usage_error("its zlib data is too short for its shapes");
      ids_.resize(checked_product({chunk.tokens, shapes_.topk}, "a chunk"));
      unpacked.read_exactly({reinterpret_cast<char*>(ids_.data()), ids_.size() * sizeof(ids_[0])});
      auto* counts =
          counts_.data() + (row->second * static_cast<std::size_t>(shape_.sources) + rank) *
                               static_cast<std::size_t>(shapes_.slots);
      for (const auto id : ids_) {
        if (id < 0 || id >= shapes_.slots)
          throw usage_error(fmt::format("layer {}: slot {} of {}", chunk.layer, id, shapes_.slots));
        ++counts[id];
      }
    }
    unpacked.expect_end();
  }

  const RecordingInput& input_;
  json document_;
  Shapes shapes_;
  RecordedShape shape_;
  std::map<std::int32_t, std::size_t> rows_;  // of layers of the model
  std::vector<std::int64_t> counts_;          // [row][rank][slot]
  std::vector<std::int32_t> ids_;
};

std::vector<std::string> read(const RecordingInput& input, StepPass& pass) {
  ByteStream in(only_path(input));
  const auto name = name_of(input);
  try {
    // Depth: document, ranks, records, record, metadata, entry, shape.
    json document = parse_bounded_json(in.read_rest(kMaxText), kMaxValues);
    return Calibration(input, std::move(document)).read(pass);
  } catch (const Error& error) {
    const std::string why = error.what();
    if (error.code() != ExitCode::usage || why.starts_with(name)) throw;
    throw usage_error(fmt::format("{}: {}", name, why));
  }
}

bool recognise(const RecordingInput& input) {
  return input.paths.size() == 1 &&
         first_bytes(input.paths[0], 4096).find("\"all_ranks_records\"") != std::string::npos;
}

}  // namespace

const RecordingFormat kTrtllmCalibration{"trtllm-calibration",
                                         "TensorRT-LLM's calibration_data.json", recognise, read};

}  // namespace gembench::inline recordings
