#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "placement/loads/trace.hpp"
#include "results/hdf5/output_file.hpp"

namespace gembench::inline results {

inline constexpr std::string_view kTraceSchema = "gembench-trace";

/// Writes a trace.h5 (SCHEMA.md) some steps at a time, so that recordings may be larger than
/// memory. It appears under its name at commit(). Small traces are compressed, that is, if the
/// first steps take less than kCompressedBytes; deflate is too slow for gigabytes.
class TraceWriter {
 public:
  /// Output error for an existing file unless `overwrite`.
  TraceWriter(const std::filesystem::path& path, bool overwrite);

  /// Appends the next steps, a valid trace. The first steps set the common properties: layers,
  /// experts, top-k, sources, layer ids, labels or none, ids or none (and tokens per step), source.
  /// Usage error if later steps differ, or if there are more steps than a reader accepts.
  void append(const Trace& steps);
  [[nodiscard]] std::int64_t steps() const { return steps_; }
  /// Bytes of counts and ids before compression, which a reader will hold in memory.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  /// The common properties of all steps, as a trace without steps; after the first append.
  [[nodiscard]] const Trace& shape() const { return shape_; }
  /// Instead of the first steps' `source`: what is known only at the end.
  void set_source(const std::string& source);
  /// The same of the requests; nothing is written for 0.
  void set_requests(std::int64_t requests);
  /// Usage error when nothing was appended.
  void commit();

  static constexpr std::size_t kCompressedBytes = std::size_t{16} << 20;

 private:
  void begin(const Trace& steps);

  OutputFile output_;
  Trace shape_;  ///< the shape of the first steps, without their content
  std::int64_t steps_ = 0;
  std::size_t bytes_ = 0;
  std::uint64_t tokens_per_step_ = 0;  ///< of ids
  bool compressed_ = false;
};

/// A whole trace at once.
void write_trace(const std::filesystem::path& path, const Trace& trace, bool overwrite);

/// Reads and validates; sizes are checked before anything is allocated; usage error for a foreign,
/// truncated or inconsistent file.
[[nodiscard]] Trace read_trace(const std::filesystem::path& path);
/// Only its steps, layers, experts and top-k, without reading the arrays.
[[nodiscard]] Trace read_trace_shape(const std::filesystem::path& path);

}  // namespace gembench::inline results
