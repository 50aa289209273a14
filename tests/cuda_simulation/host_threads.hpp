#pragma once

#include <cstddef>
#include <functional>

namespace gembench::simulation {

/// Calls work(0) .. work(count - 1), each on a thread of its own that lives until the process ends,
/// and waits for all. Nothing orders these calls: each thread shares a semaphore with the caller
/// only, so that ThreadSanitizer sees what one call does to another.
void on_host_threads(std::size_t count, const std::function<void(std::size_t)>& work);

}  // namespace gembench::simulation
