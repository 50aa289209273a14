// TensorRT-LLM's expert statistics: a folder with meta_info.json and a rank{r}.safetensors of every
// rank, each with a tensor "{iteration}_{layer}": how many of the rank's tokens every expert got.
// Beside them, or alone, may be rank{r}_raw.safetensors with the ids of each token, [token][k].
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "placement/base/checked_sizes.hpp"
#include "placement/encodings/elements.hpp"
#include "placement/encodings/safetensors.hpp"
#include "placement/files/input_file.hpp"
#include "placement/recordings/formats.hpp"
#include "placement/recordings/pass_tokens.hpp"
#include "placement/recordings/step_batches.hpp"
#include "placement/recordings/token_sieve.hpp"

namespace gembench::inline recordings {
namespace {

namespace fs = std::filesystem;
constexpr std::uintmax_t kMaxMeta = 1 << 20;  // bytes
constexpr int kMaxRanks = 4096;

/// A layer of an iteration in a file: its counts, or the ids of its tokens [token][k].
struct Place {
  std::int32_t iteration = 0;
  std::int32_t layer = 0;
  std::uint64_t offset = 0;
  std::int64_t tokens = 0;  ///< of ids
  Element element = Element::int64;
  friend bool operator<(const Place& a, const Place& b) {
    return a.iteration != b.iteration ? a.iteration < b.iteration : a.layer < b.layer;
  }
  friend bool operator==(const Place& a, const Place& b) {
    return a.iteration == b.iteration && a.layer == b.layer;
  }
};

struct RankFile {
  RandomAccessFile file;
  std::vector<Place> places;  ///< ascending
};

/// Files of all ranks with counts, with ids, or with both; each empty or with equal places.
struct Recorded {
  std::vector<RankFile> counts, ids;
  [[nodiscard]] const std::vector<RankFile>& any() const { return counts.empty() ? ids : counts; }
};

constexpr const char* kOfCounts = "";
constexpr const char* kOfIds = "_raw";  // what names of files with ids end with

/// The whole of `text` as a number that is not negative; -1 where it is none.
std::int32_t number(std::string_view text) {
  std::int32_t value = -1;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && stop == text.data() + text.size() && value >= 0 ? value : -1;
}

/// Sets what a tensor of ids has. Refuses any other.
void take_ids(const RandomAccessFile& file, const SafeTensor& tensor, const RecordedShape& shape,
              Place& place) {
  place.element = tensor.type == "I32" ? Element::int32 : Element::int64;
  const auto token = static_cast<std::uint64_t>(shape.topk) * size_of(place.element);
  const bool known = tensor.type == "I32" || tensor.type == "I64";
  if (!known || tensor.shape.size() != 2 || tensor.shape[1] != shape.topk ||
      tensor.bytes % token != 0 ||
      tensor.bytes / token != static_cast<std::uint64_t>(tensor.shape[0]))
    file.refuse(fmt::format(
        "has a tensor {} that is no I32 or I64 [tokens][{}], the top-k of meta_info.json",
        shown(tensor.name), shape.topk));
  place.tokens = tensor.shape[0];
}

std::vector<Place> places_of(const RandomAccessFile& file, const RecordedShape& shape,
                             bool of_ids) {
  std::vector<Place> places;
  for (const auto& tensor : read_safetensors_header(file)) {
    const auto middle = tensor.name.find('_');
    Place place;
    place.iteration = number(std::string_view(tensor.name).substr(0, middle));
    place.layer =
        middle == std::string::npos ? -1 : number(std::string_view(tensor.name).substr(middle + 1));
    place.offset = tensor.offset;
    if (place.iteration < 0 || place.layer < 0)
      file.refuse(fmt::format("has a tensor {} where iteration_layer belongs", shown(tensor.name)));
    if (of_ids) {
      take_ids(file, tensor, shape, place);
    } else if (tensor.type != "I64" || tensor.shape != std::vector{shape.experts} ||
               tensor.bytes != static_cast<std::uint64_t>(shape.experts) * sizeof(std::int64_t)) {
      file.refuse(fmt::format("has a tensor {} that is no I64 [{}], the experts of meta_info.json",
                              shown(tensor.name), shape.experts));
    }
    places.push_back(place);
  }
  if (places.empty()) file.refuse("holds no counts; record some iterations");
  std::sort(places.begin(), places.end());
  if (const auto twice = std::adjacent_find(places.begin(), places.end()); twice != places.end())
    file.refuse(fmt::format("has tensor {}_{} twice", twice->iteration, twice->layer));
  return places;
}

/// Layers of the first iteration; all must have the same and follow one another.
std::vector<std::int32_t> layers_of(const RankFile& rank) {
  const auto& places = rank.places;
  std::vector<std::int32_t> layers;
  for (const auto& place : places) {
    if (place.iteration != places[0].iteration) break;
    layers.push_back(place.layer);
  }
  for (std::size_t i = 0; i < places.size(); ++i) {
    const auto& expected_layer = layers[i % layers.size()];
    const auto expected = places[0].iteration + static_cast<std::int64_t>(i / layers.size());
    if (places[i].iteration != expected || places[i].layer != expected_layer)
      rank.file.refuse(
          fmt::format("has no counts of layer {} in iteration {}; recordings have no "
                      "gaps",
                      expected_layer, expected));
  }
  if (places.size() % layers.size() != 0) rank.file.refuse("lacks layers in its last iteration");
  return layers;
}

RecordedShape read_meta(const fs::path& folder) {
  const auto path = folder / "meta_info.json";
  const auto meta = nlohmann::json::parse(read_input_file(path, kMaxMeta), nullptr, false);
  const auto get = [&](const char* key, int most) {
    const auto found = meta.is_object() ? meta.find(key) : meta.end();
    if (!meta.is_object() || found == meta.end() || !found->is_number_unsigned() ||
        found->get<std::uint64_t>() < 1 ||
        found->get<std::uint64_t>() > static_cast<std::uint64_t>(most))
      throw usage_error(fmt::format("{} has no {} between 1 and {}", path.string(), key, most));
    return found->get<int>();
  };
  RecordedShape shape;
  shape.experts = get("num_experts", kMaxExperts);
  shape.topk = get("num_experts_per_token", static_cast<int>(shape.experts));
  return shape;
}

std::size_t count_rank_files(const fs::path& folder, std::string_view end) {
  std::size_t count = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const auto stem = entry.path().stem().string();
    if (entry.path().extension() != ".safetensors" || !stem.starts_with("rank") ||
        !stem.ends_with(end))
      continue;
    const auto rank = std::string_view(stem).substr(4);
    if (rank.size() > end.size() && number(rank.substr(0, rank.size() - end.size())) >= 0) ++count;
  }
  return count;
}

/// Of every rank; empty where there is none.
std::vector<RankFile> open_ranks(const fs::path& folder, const RecordedShape& shape,
                                 const char* end) {
  std::vector<RankFile> ranks;
  for (int rank = 0; rank < kMaxRanks; ++rank) {
    const auto path = folder / fmt::format("rank{}{}.safetensors", rank, end);
    std::error_code error;
    if (!fs::exists(path, error)) break;
    RandomAccessFile file(path);
    auto places = places_of(file, shape, end == kOfIds);
    ranks.push_back({std::move(file), std::move(places)});
    if (!(ranks.back().places == ranks.front().places))
      ranks.back().file.refuse(
          "has other iterations or layers than rank 0; recordings of all ranks "
          "belong together");
  }
  if (ranks.size() != count_rank_files(folder, end))
    throw usage_error(
        fmt::format("{} has no rank{}{}.safetensors; a recording has a file of every rank",
                    folder.string(), ranks.size(), end));
  return ranks;
}

Recorded open_all(const fs::path& folder, const RecordedShape& shape) {
  Recorded all{open_ranks(folder, shape, kOfCounts), open_ranks(folder, shape, kOfIds)};
  if (all.any().empty())
    throw usage_error(fmt::format(
        "{} has no rank0.safetensors; a recording has a file of every rank", folder.string()));
  if (all.counts.empty() || all.ids.empty()) return all;
  if (all.counts.size() != all.ids.size())
    throw usage_error(fmt::format(
        "{} has counts of {} ranks and ids of {}; give both of every rank, or move one away",
        folder.string(), all.counts.size(), all.ids.size()));
  if (!(all.counts[0].places == all.ids[0].places))
    all.ids[0].file.refuse("has other iterations or layers than the file of counts beside it");
  return all;
}

/// [token][k]; negative: no route.
void read_ids(const RankFile& from, const Place& place, std::int64_t topk,
              std::vector<std::int64_t>& ids) {
  ids.resize(static_cast<std::size_t>(place.tokens * topk));
  std::vector<char> bytes(ids.size() * size_of(place.element));
  from.file.read_at(place.offset, std::as_writable_bytes(std::span(bytes)));
  if (!to_integers(place.element, bytes, ids)) from.file.refuse("holds ids that are no numbers");
}

/// The counts of a place by its ids.
void count_ids(const RankFile& from, const Place& place, const RecordedShape& shape,
               std::span<std::int64_t> counts) {
  std::vector<std::int64_t> ids;
  read_ids(from, place, shape.topk, ids);
  std::fill(counts.begin(), counts.end(), 0);
  for (const auto id : ids) {
    if (id >= shape.experts)
      from.file.refuse(fmt::format("names expert {} of {} in tensor {}_{}", id, shape.experts,
                                   place.iteration, place.layer));
    if (id >= 0) ++counts[static_cast<std::size_t>(id)];
  }
}

/// The counts of a rank's place: as recorded, as its ids tell, and if both are there they agree.
void read_counts(const Recorded& all, std::size_t rank, std::size_t at, const RecordedShape& shape,
                 std::span<std::int64_t> counts) {
  if (all.counts.empty()) return count_ids(all.ids[rank], all.ids[rank].places[at], shape, counts);
  const auto& place = all.counts[rank].places[at];
  all.counts[rank].file.read_at(place.offset, std::as_writable_bytes(counts));
  if (all.ids.empty()) return;
  std::vector<std::int64_t> of_ids(counts.size());
  count_ids(all.ids[rank], all.ids[rank].places[at], shape, of_ids);
  const auto [counted, listed] = std::mismatch(counts.begin(), counts.end(), of_ids.begin());
  if (counted != counts.end())
    all.ids[rank].file.refuse(fmt::format(
        "lists {} tokens of expert {} in layer {} of iteration {} where the file beside it counts "
        "{}; give files of one recording",
        *listed, counted - counts.begin(), place.layer, place.iteration, *counted));
}

std::vector<std::string> read(const RecordingInput& input, StepPass& pass) {
  const auto& folder = only_path(input);
  auto shape = read_meta(folder);
  const auto all = open_all(folder, shape);
  const auto& ranks = all.any();
  shape.layer_ids = layers_of(ranks[0]);
  shape.layers = static_cast<std::int64_t>(shape.layer_ids.size());
  shape.sources = static_cast<int>(ranks.size());
  StepBatches batches(input, shape, pass);
  const auto experts = static_cast<std::size_t>(shape.experts);
  const auto layers = shape.layer_ids.size();
  std::vector<std::int64_t> counts(batches.step_size());
  for (std::size_t first = 0; first < ranks[0].places.size(); first += layers) {
    auto to = std::span(counts);
    for (std::size_t layer = 0; layer < layers; ++layer)
      for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
        read_counts(all, rank, first + layer, shape, to.first(experts));
        to = to.subspan(experts);
      }
    batches.add(counts);
  }
  return batches.finish();
}

/// Adds a rank's tokens of the iteration whose places begin at `first`.
void add_tokens(const RankFile& from, std::size_t first, TokenRecording& recording) {
  std::vector<std::int64_t> all, ids;
  const auto& head = from.places[first];
  for (std::size_t layer = 0; layer < static_cast<std::size_t>(recording.layers); ++layer) {
    const auto& place = from.places[first + layer];
    if (place.tokens != head.tokens)
      from.file.refuse(fmt::format("has {} tokens in layer {} of iteration {} and {} in layer {}",
                                   place.tokens, place.layer, place.iteration, head.tokens,
                                   head.layer));
    read_ids(from, place, recording.topk, ids);
    all.insert(all.end(), ids.begin(), ids.end());
  }
  add_pass(recording, all, static_cast<std::size_t>(recording.topk), 0);
}

/// The tokens of every iteration, rank by rank.
TokenRecording read_tokens(const RecordingInput& input) {
  const auto& folder = only_path(input);
  const auto shape = read_meta(folder);
  const auto all = open_all(folder, shape);
  if (all.ids.empty())
    throw usage_error(fmt::format(
        "{} has no rank0_raw.safetensors with the ids of tokens: drop --window", folder.string()));
  TokenRecording recording;
  recording.source = name_of(input);
  recording.layer_ids = layers_of(all.ids[0]);
  recording.layers = static_cast<int>(recording.layer_ids.size());
  recording.experts = static_cast<int>(shape.experts);
  recording.topk = shape.topk;
  recording.requests_known = false;
  require_stated(name_of(input), "layers", recording.layers, input.layers);
  require_stated(name_of(input), "experts", recording.experts, input.experts);
  require_stated(name_of(input), "topk", recording.topk, input.topk);
  std::vector<std::int64_t> counts(static_cast<std::size_t>(shape.experts));
  const auto layers = recording.layer_ids.size();
  for (std::size_t first = 0; first < all.ids[0].places.size(); first += layers)
    for (std::size_t rank = 0; rank < all.ids.size(); ++rank) {
      for (std::size_t layer = 0; layer < layers; ++layer)
        read_counts(all, rank, first + layer, shape, counts);  // for its checks
      add_tokens(all.ids[rank], first, recording);
    }
  sift(recording);
  validate(recording);
  return recording;
}

bool recognise(const RecordingInput& input) {
  std::error_code error;
  return input.paths.size() == 1 && fs::exists(input.paths[0] / "meta_info.json", error) &&
         (fs::exists(input.paths[0] / "rank0.safetensors", error) ||
          fs::exists(input.paths[0] / "rank0_raw.safetensors", error));
}

}  // namespace

const RecordingFormat kTrtllmStatistics{
    "trtllm-statistics", "TensorRT-LLM: folder of meta_info.json and rank*.safetensors", recognise,
    read, read_tokens};

}  // namespace gembench::inline recordings
