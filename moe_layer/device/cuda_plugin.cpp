#include "moe_layer/device/cuda_plugin.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <filesystem>

#include "placement/base/error.hpp"

namespace gembench::inline device {
namespace {

constexpr const char* kLibrary = "libgembench_cuda.so";
using Commit = const char* (*)();
using Make = Device* (*)(const Comm&, const ModelShape&, const CudaOptions&);

/// Where it is built, beside the program; else where it is installed.
std::filesystem::path plugin_path() {
  std::error_code ignored;
  const auto folder = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  const auto installed = (folder / GEMBENCH_PLUGIN_FOLDER / kLibrary).lexically_normal();
  return std::filesystem::exists(installed, ignored) ? installed : folder / kLibrary;
}

Error refuse(const std::string& why) {
  return {ExitCode::environment,
          fmt::format("--device cuda is not available: {}: build with -DGEMBENCH_CUDA=ON on a "
                      "machine with the CUDA toolkit and NCCL, or use --device cpu",
                      why)};
}

void* find(void* library, const char* name) {
  void* const found = dlsym(library, name);
  if (found == nullptr) throw refuse(dlerror());
  return found;
}

}  // namespace

bool has_cuda_plugin() {
  return std::filesystem::exists(plugin_path());
}

std::unique_ptr<Device> make_cuda_device(const Comm& comm, const ModelShape& model,
                                         const CudaOptions& options, const std::string& commit) {
  if (!has_cuda_plugin()) throw refuse(fmt::format("there is no {}", plugin_path().string()));
  // Never closed: its objects, and even its exceptions, use its code until the end.
  void* const library = dlopen(plugin_path().c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw refuse(dlerror());
  // Checked before any other call: shared types may differ in another build.
  const auto its = reinterpret_cast<Commit>(find(library, kCudaPluginCommit));
  const auto make = reinterpret_cast<Make>(find(library, kCudaPluginMake));
  if (its() != commit) {
    throw Error(ExitCode::environment,
                fmt::format("{} was built from commit {} and this program from {}: build both "
                            "again, or copy both from one build",
                            plugin_path().string(), its(), commit));
  }
  return std::unique_ptr<Device>(make(comm, model, options));
}

}  // namespace gembench::inline device
