// TensorRT-LLM's expert statistics: a folder with meta_info.json and a rank{r}.safetensors of every
// rank, each with a tensor "{iteration}_{layer}": how many of the rank's tokens every expert got.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "placement/base/checked_sizes.hpp"
#include "placement/encodings/elements.hpp"
#include "placement/encodings/safetensors.hpp"
#include "placement/files/input_file.hpp"
#include "placement/recordings/formats.hpp"
#include "placement/recordings/step_batches.hpp"

namespace gembench::inline recordings {
namespace {

namespace fs = std::filesystem;
constexpr std::uintmax_t kMaxMeta = 1 << 20;  // bytes
constexpr int kMaxRanks = 4096;

/// The position of a layer's counts in an iteration.
struct Place {
  std::int32_t iteration = 0;
  std::int32_t layer = 0;
  std::uint64_t offset = 0;
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

/// The whole of `text` as a number that is not negative; -1 where it is none.
std::int32_t number(std::string_view text) {
  std::int32_t value = -1;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && stop == text.data() + text.size() && value >= 0 ? value : -1;
}

std::vector<Place> places_of(const RandomAccessFile& file, std::int64_t experts) {
  std::vector<Place> places;
  for (const auto& tensor : read_safetensors_header(file)) {
    const auto shown = tensor.name.substr(0, 64);
    const auto middle = tensor.name.find('_');
    const auto iteration = number(std::string_view(tensor.name).substr(0, middle));
    const auto layer =
        middle == std::string::npos ? -1 : number(std::string_view(tensor.name).substr(middle + 1));
    if (iteration < 0 || layer < 0)
      file.refuse(fmt::format("has a tensor {} where iteration_layer belongs", shown));
    if (tensor.type != "I64" || tensor.shape != std::vector{experts} ||
        tensor.bytes != static_cast<std::uint64_t>(experts) * sizeof(std::int64_t))
      file.refuse(fmt::format("has a tensor {} that is no I64 [{}], the experts of meta_info.json",
                              shown, experts));
    places.push_back({iteration, layer, tensor.offset});
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

/// Files of counts; rank{r}_raw.safetensors hold something else.
std::size_t count_rank_files(const fs::path& folder) {
  std::size_t count = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const auto stem = entry.path().stem().string();
    if (entry.path().extension() == ".safetensors" && stem.starts_with("rank") &&
        number(std::string_view(stem).substr(4)) >= 0)
      ++count;
  }
  return count;
}

std::vector<RankFile> open_ranks(const fs::path& folder, std::int64_t experts) {
  std::vector<RankFile> ranks;
  for (int rank = 0; rank < kMaxRanks; ++rank) {
    const auto path = folder / fmt::format("rank{}.safetensors", rank);
    std::error_code error;
    if (!fs::exists(path, error)) break;
    RandomAccessFile file(path);
    auto places = places_of(file, experts);
    ranks.push_back({std::move(file), std::move(places)});
    if (!(ranks.back().places == ranks.front().places))
      ranks.back().file.refuse(
          "has other iterations or layers than rank 0; recordings of all ranks "
          "belong together");
  }
  if (ranks.size() != count_rank_files(folder) || ranks.empty())
    throw usage_error(
        fmt::format("{} has no rank{}.safetensors; a recording has a file of every rank",
                    folder.string(), ranks.size()));
  return ranks;
}

std::vector<std::string> read(const RecordingInput& input, StepPass& pass) {
  const auto& folder = only_path(input);
  auto shape = read_meta(folder);
  const auto ranks = open_ranks(folder, shape.experts);
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
      for (const auto& rank : ranks) {
        rank.file.read_at(rank.places[first + layer].offset,
                          std::as_writable_bytes(to.first(experts)));
        to = to.subspan(experts);
      }
    batches.add(counts);
  }
  return batches.finish();
}

bool recognise(const RecordingInput& input) {
  std::error_code error;
  return input.paths.size() == 1 && fs::exists(input.paths[0] / "meta_info.json", error) &&
         fs::exists(input.paths[0] / "rank0.safetensors", error);
}

}  // namespace

const RecordingFormat kTrtllmStatistics{
    "trtllm-statistics", "TensorRT-LLM: folder of meta_info.json and rank*.safetensors", recognise,
    read};

}  // namespace gembench::inline recordings
