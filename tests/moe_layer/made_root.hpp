#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace gembench {

/// A /proc and /sys of a test's own, removed at the end.
class MadeRoot {
 public:
  MadeRoot() {
    auto name = (std::filesystem::temp_directory_path() / "gembench_root_XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  MadeRoot(const MadeRoot&) = delete;
  MadeRoot& operator=(const MadeRoot&) = delete;
  ~MadeRoot() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace gembench
