// One libFuzzer target for every reader of files that are not HDF5: --reader=NAME chooses, and
// names are listed without it. Whatever the bytes, a reader gives a sound value or a usage error.

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "placement/base/error.hpp"
#include "placement/exchange/placement_formats.hpp"
#include "placement/recordings/arrivals.hpp"
#include "placement/recordings/batching.hpp"
#include "placement/recordings/formats.hpp"
#include "placement/recordings/layer_sums.hpp"
#include "placement/recordings/requests_file.hpp"

namespace {

using namespace gembench;

/// A folder of this process that is gone when it ends.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "gembench-fuzz-XXXXXX").string();
    if (!mkdtemp(name.data())) std::abort();
    path_ = name;
  }
  ~Folder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::filesystem::path write(const std::string& name, std::string_view content) const {
    const auto path = path_ / name;
    std::ofstream(path, std::ios::binary).write(content.data(), std::streamsize(content.size()));
    return path;
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

const Folder& folder() {
  static const Folder one;
  return one;
}

using Reader = std::function<void(std::string_view content)>;

void require(bool holds) {
  if (!holds) std::abort();  // libFuzzer keeps the input
}

/// Steps as `trace import` takes them.
void read_steps(const RecordingFormat& format, const RecordingInput& input) {
  LayerSums sums;
  (void)format.read(input, [&](Trace steps) {
    equalise_layers(steps, sums);
    validate(steps);
  });
}

void read_tokens(const RecordingFormat& format, const RecordingInput& input) {
  const TokenRecording recording = format.read_tokens(input);
  validate(recording);
  const KeepSteps keep = [](const Trace& steps) { validate(steps); };
  batch_windows(recording, 2, true, keep);
  batch_continuously(recording, {.batch = 2, .shuffle = true}, true, keep);
}

/// The required name of a format's file, and other files that must be in its folder.
std::filesystem::path place(std::string_view format, std::string_view content) {
  if (format == "omni") return folder().write("activation_counts_recordstep_1_rank_0.txt", content);
  if (format == "trtllm-statistics") {
    folder().write("meta_info.json", R"({"num_experts": 4, "num_experts_per_token": 2})");
    // Counts are of 64 bits, ids of tokens may be of 32.
    const bool ids = content.find("\"I32\"") != std::string_view::npos;
    std::filesystem::remove(folder().path() /
                            (ids ? "rank0.safetensors" : "rank0_raw.safetensors"));
    folder().write(ids ? "rank0_raw.safetensors" : "rank0.safetensors", content);
    return folder().path();
  }
  return folder().write("input", content);
}

std::map<std::string, Reader, std::less<>> readers() {
  std::map<std::string, Reader, std::less<>> all;
  for (const RecordingFormat& format : recording_formats()) {
    all[fmt::format("recording:{}", format.name)] = [&format](std::string_view content) {
      const RecordingInput input{{place(format.name, content)}, 2, 4, 2};
      (void)format.recognise(input);
      if (format.read_pass) read_steps(format, input);
      if (format.read_tokens) read_tokens(format, input);
    };
  }
  for (const PlacementFormat& format : placement_formats()) {
    all[fmt::format("placement:{}", format.name)] = [&format](std::string_view content) {
      (void)format.recognise(content);
      const PlacementFile found = format.read(content, {2, 2, 4});
      validate(found.placement);
    };
  }
  all["requests"] = [](std::string_view content) {
    TokenRecording recording{.layers = 1, .experts = 2, .topk = 1};
    recording.ids.assign(64, 1);
    cut_into_requests(recording, place("", content), recording.tokens());
    validate(recording);
  };
  all["arrivals"] = [](std::string_view content) {
    const auto arrivals = read_arrivals(place("", content));
    for (std::size_t i = 1; i < arrivals.size(); ++i)
      require(arrivals[i - 1].seconds <= arrivals[i].seconds);
  };
  return all;
}

Reader chosen;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  constexpr std::string_view kOption = "--reader=";  // libFuzzer leaves what begins with -- alone
  const auto all = readers();
  for (int i = 1; i < *argc; ++i) {
    const std::string_view word = (*argv)[i];
    if (!word.starts_with(kOption)) continue;
    const auto found = all.find(word.substr(kOption.size()));
    if (found != all.end()) chosen = found->second;
  }
  if (chosen) return 0;
  for (const auto& [name, reader] : all) fmt::print("{}\n", name);
  std::exit(0);
}

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  try {
    chosen({reinterpret_cast<const char*>(data), size});
  } catch (const Error& error) {
    require(error.code() == ExitCode::usage);
    require(std::string_view(error.what()).find('\n') == std::string_view::npos);
  }
  return 0;
}
