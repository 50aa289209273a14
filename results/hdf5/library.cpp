#include "results/hdf5/library.hpp"

#include <hdf5.h>

#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <type_traits>

#include "placement/base/error.hpp"
#include "results/hdf5/file_lock.hpp"

namespace gembench::h5 {
namespace {

// 1.12.0 is older than 1.10.7.
#if H5_VERSION_GE(1, 12, 1) || (H5_VERSION_GE(1, 10, 7) && !H5_VERSION_GE(1, 12, 0))
#define GEMBENCH_HDF5_LOCKING_IS_A_PROPERTY
#endif

static_assert(std::is_same_v<hid_t, std::int64_t> && std::is_same_v<herr_t, int>);

herr_t keep_reason(unsigned, const H5E_error2_t* error, void* reason_pointer) {
  auto& reason = *static_cast<std::string*>(reason_pointer);
  const std::string text = error->desc != nullptr ? error->desc : "";
  constexpr std::string_view mark = "errno = ";
  if (const auto at = text.rfind(mark); at != std::string::npos) {
    const int number = std::atoi(text.c_str() + at + mark.size());
    reason = system_reason(number);
    if (text.starts_with("unable to lock") && number != EAGAIN) {
      reason += ": set HDF5_USE_FILE_LOCKING=FALSE where a file system has no locks";
    }
    return 1;  // the operating system's message is the most specific one
  }
  if (reason.empty()) reason = text;
  return 0;
}

}  // namespace

std::string library_version() {
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return "HDF5 " + std::to_string(major) + "." + std::to_string(minor) + "." +
         std::to_string(release);
}

void prepare_library() {
  static const bool done = [] {
#ifndef GEMBENCH_HDF5_LOCKING_IS_A_PROPERTY
    turn_off_locks_by_environment();
#endif
    H5dont_atexit();
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    return true;
  }();
  (void)done;
}

Handle access_list(bool writing) {
  Handle list(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  // No space in hand for later either, so that the file is as long as its content.
  if (writing) H5Pset_meta_block_size(list.get(), 0);
  if (writing) H5Pset_small_data_block_size(list.get(), 0);
#ifdef GEMBENCH_HDF5_LOCKING_IS_A_PROPERTY
  H5Pset_file_locking(list.get(), false, true);  // FileLock does; HDF5_USE_FILE_LOCKING still rules
#endif
  return list;
}

std::string last_reason() {
  std::string reason;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_reason, &reason);
  return reason.empty() ? "unknown HDF5 error" : reason;
}

}  // namespace gembench::h5
