// libgembench_cuda.so of another commit, for program_test.py.
#include <cstdlib>

extern "C" const char* gembench_cuda_commit() {
  return "0123abc";
}

/// Must not be called: what it is given may look different here.
extern "C" void* gembench_make_cuda_device() {
  std::abort();
}
