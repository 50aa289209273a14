#pragma once

#include <sched.h>

#include <filesystem>
#include <string>
#include <vector>

namespace gembench::inline cuda {

/// The CPUs near a PCI device ("0000:3B:00.0"), as Linux lists them; empty: not known. `root` is
/// where /sys is.
[[nodiscard]] std::vector<int> cpus_near(const std::string& pci,
                                         const std::filesystem::path& root = "/");

/// Keeps this thread, and those that it starts meanwhile, on those of its CPUs that are near a
/// device, so that pinned memory and launches are not on the other side of the machine. Nothing
/// changes if fewer than `least` would be left. The thread has all its CPUs again afterwards.
class NearCpus {
 public:
  /// A rank polls on one CPU; threads of NCCL and of the driver need others.
  static constexpr int kLeast = 4;
  explicit NearCpus(const std::string& pci, const std::filesystem::path& root = "/",
                    int least = kLeast);
  ~NearCpus();
  NearCpus(const NearCpus&) = delete;
  NearCpus& operator=(const NearCpus&) = delete;

  /// How many are near, and whether they are kept to: "8 of the rank's 16".
  [[nodiscard]] const std::string& words() const { return words_; }

 private:
  std::string words_ = "not known";
  cpu_set_t before_{};
  bool narrowed_ = false;
};

}  // namespace gembench::inline cuda
