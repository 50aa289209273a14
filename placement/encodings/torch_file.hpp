#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "placement/encodings/elements.hpp"
#include "placement/encodings/pickle.hpp"

namespace gembench::inline encodings {

/// A tensor of a TorchFile, row-major without gaps, completely in the file.
struct TorchTensor {
  std::string entry;  ///< of the archive, that holds its storage
  Element element = Element::int32;
  std::uint64_t offset = 0;  ///< bytes of the storage before it
  std::vector<std::int64_t> shape;
};

/// Whether these first bytes may be those of a file of torch.save, which is a zip archive.
[[nodiscard]] bool is_torch(std::string_view prefix);

/// A file of torch.save: a zip archive of stored entries, a pickle and one entry per storage. Every
/// error is a usage error that names the file.
class TorchFile {
 public:
  /// Reads and checks the pickle, 64 MiB at most.
  explicit TorchFile(const std::filesystem::path& path);
  /// The same of a file's content, which must outlive it; `name` for sentences.
  TorchFile(std::string_view content, const std::string& name);
  ~TorchFile();
  TorchFile(TorchFile&&) noexcept;
  TorchFile& operator=(TorchFile&&) noexcept;

  [[nodiscard]] const Pickle& pickle() const;
  [[nodiscard]] const PickleValue& root() const { return pickle().at(pickle().root); }
  /// Refuses a value (`what`; it may be null) that is no tensor of whole numbers or floats with
  /// `least` to `most` dimensions, has gaps, or is larger than its storage.
  [[nodiscard]] TorchTensor tensor(const PickleValue* value, const std::string& what,
                                   std::size_t least, std::size_t most) const;
  /// What the file holds, for people: "a dict of 'rank' (number), 'counts' (tensor [4][8])".
  [[nodiscard]] std::string contents() const;
  [[noreturn]] void refuse(const std::string& why) const;

  /// Reads the numbers of a tensor sequentially; only one tensor is open at a time.
  void open(const TorchTensor& tensor);
  /// The next values.size() of them. Refuses a number that is not whole.
  void read(std::span<std::int64_t> values);

 private:
  void read_archive();

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gembench::inline encodings
