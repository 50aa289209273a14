#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace gembench::inline cuda {

/// The CPUs near a PCI device ("0000:3B:00.0"), as Linux lists them; empty: not known. `root` is
/// where /sys is.
[[nodiscard]] std::vector<int> cpus_near(const std::string& pci,
                                         const std::filesystem::path& root = "/");

/// Keeps this thread, and those that it starts from now on, on those of its CPUs that are near the
/// device, so that pinned memory and launches are not on the other side of the machine. Nothing
/// changes if none of them is near. Says in words what was done.
std::string stay_near(const std::string& pci, const std::filesystem::path& root = "/");

}  // namespace gembench::inline cuda
