#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "placement/recordings/counts_table.hpp"
#include "placement/recordings/step_batches.hpp"

namespace gembench::inline recordings {

/// Counts of tables in any order, gathered in memory: pairs of layer and expert that are absent
/// have no tokens, and counts of several ranks or files are added up.
class CountCells {
 public:
  explicit CountCells(const RecordingInput& input) : input_(input) {}

  /// Takes the whole table.
  void add(CountsTable& table);
  /// Passes on the steps, and returns what the user must know.
  std::vector<std::string> finish(StepPass& pass);

 private:
  struct Cell {
    std::int64_t step, count;
    std::int32_t layer, expert;
    std::uint32_t source, line;
  };
  void add(const CountsTable& table, const CountRow& row, std::size_t expert, std::int64_t count);
  void refuse_twice(const CountsTable& table, std::size_t first);

  const RecordingInput& input_;
  std::vector<Cell> cells_;
  std::map<std::pair<std::size_t, std::int64_t>, std::uint32_t> sources_;  // by file and rank
  std::size_t files_ = 0;
  std::int64_t experts_ = 0;
  bool long_form_ = false;
  std::vector<std::string> unused_;  // columns
};

/// Whether steps are numbered without gaps; what the user must know if not.
void say_gaps(std::int64_t first, std::int64_t last, std::int64_t steps,
              std::vector<std::string>& notes);

/// Empty for 0, 1, ...
[[nodiscard]] std::vector<std::int32_t> layer_ids_of(const std::vector<std::int32_t>& layers);

}  // namespace gembench::inline recordings
