// Writes the file that read_with_python.py reads; the values follow a rule it knows.
#include <cstdio>

#include "example.hpp"
#include "results/run_writer.hpp"

int main(int argc, char** argv) {
  using namespace gembench;
  if (argc != 2) return 2;
  const RunShape shape{
      .placements = 2, .steps = 12, .layers = 3, .ranks = 4, .experts = 8, .slots = 3};
  try {
    RunWriter writer(argv[1], true);
    const auto info = example::info(shape, 1);
    writer.describe(info);
    auto block = example::block(info, 1);
    block.notes = {3, std::int64_t{1} << 40, 0.125, -1, NAN, -1, {}};
    for (std::size_t i = 0; i < block.time[7].size(); ++i) {
      block.time[7][i] = static_cast<double>(i) / 64;
      block.count[0][i] = static_cast<std::int64_t>(i);
    }
    writer.write(block);
    writer.finish(example::end(shape, 2));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
