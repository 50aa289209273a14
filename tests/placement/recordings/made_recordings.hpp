#pragma once

#include <zip.h>

#include <cstring>
#include <utility>

#include "placement/recordings/formats.hpp"
#include "tests/placement/support.hpp"

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 sees an overlap in "literal" + std::string that is not there (its bug 105651).
#pragma GCC diagnostic ignored "-Wrestrict"
#endif

/// Files as recorders write them, byte by byte, and readers held against them.
namespace gembench::testing {

/// The bytes of a number, least first.
template <class T>
std::string raw(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

template <class T>
std::string raw_all(const std::vector<T>& values) {
  std::string bytes;
  for (const auto value : values) bytes += raw(value);
  return bytes;
}

/// All steps as they were recorded: neither equalised nor validated.
inline Trace read_raw(std::string_view format, const RecordingInput& input) {
  Trace whole;
  (void)find_format(format, input).read(input, [&](const Trace& steps) {
    if (whole.steps == 0) {
      whole = steps;
      return;
    }
    whole.steps += steps.steps;
    whole.tokens.insert(whole.tokens.end(), steps.tokens.begin(), steps.tokens.end());
    whole.source_tokens.insert(whole.source_tokens.end(), steps.source_tokens.begin(),
                               steps.source_tokens.end());
  });
  return whole;
}

/// Reads it; damage may leave a sound recording, all else must be a usage error naming the file.
inline void expect_read_or_refused(std::string_view format, const std::filesystem::path& path) {
  try {
    (void)read_raw(format, {{path}, 0, 0, 2});
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage) << error.what();
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find(path.filename().string()), std::string::npos)
        << error.what();
  }
}

/// Cuts the file off everywhere, and spoils some bytes of it many times.
inline void expect_survives_damage(std::string_view format, const std::string& name,
                                   const std::string& bytes, int times = 1000) {
  const TempDir dir;
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    SCOPED_TRACE(length);
    expect_read_or_refused(format, dir.write(name, bytes.substr(0, length)));
  }
  Random random(11);
  for (int i = 0; i < times; ++i) {
    SCOPED_TRACE(i);
    auto spoiled = bytes;
    for (auto n = 1 + random.below(4); n > 0; --n)
      spoiled[random.below(spoiled.size())] = static_cast<char>(random.below(256));
    expect_read_or_refused(format, dir.write(name, spoiled));
  }
}

/// Opcodes of a pickle, protocol 2.
namespace pickled {

inline const std::string kStart = "\x80\x02";
inline std::string text(const std::string& value) {
  return "X" + raw(static_cast<std::uint32_t>(value.size())) + value;
}
inline std::string integer(std::int32_t value) {
  return "J" + raw(value);
}
inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string tuple(const std::string& items) {
  return "(" + items + "t";
}
inline std::string tuple(const std::vector<std::int32_t>& values) {
  std::string items;
  for (const auto value : values) items += integer(value);
  return tuple(items);
}
inline std::string dict(const std::string& keys_and_values) {
  return "}(" + keys_and_values + "u";
}
inline std::string list(const std::string& items) {
  return "](" + items + "e";
}

struct Tensor {
  std::string type = "IntStorage", key = "0", device = "cpu";
  std::int32_t elements = 0, offset = 0;
  std::vector<std::int32_t> sizes, strides;
};
inline std::string tensor(const Tensor& t) {
  const auto storage = tuple(text("storage") + global("torch", t.type) + text(t.key) +
                             text(t.device) + integer(t.elements)) +
                       "Q";
  return global("torch._utils", "_rebuild_tensor_v2") +
         tuple(storage + integer(t.offset) + tuple(t.sizes) + tuple(t.strides) + "\x89" +
               global("collections", "OrderedDict") + ")R") +
         "R";
}

}  // namespace pickled

using Entries = std::vector<std::pair<std::string, std::string>>;

/// A zip archive of these entries in this order.
inline std::filesystem::path write_zip(const std::filesystem::path& path, const Entries& entries,
                                       zip_int32_t method = ZIP_CM_STORE) {
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  for (const auto& [name, content] : entries) {
    zip_source_t* source = zip_source_buffer(archive, content.data(), content.size(), 0);
    const auto at = zip_file_add(archive, name.c_str(), source, 0);
    EXPECT_EQ(zip_set_file_compression(archive, static_cast<zip_uint64_t>(at), method, 0), 0);
  }
  EXPECT_EQ(zip_close(archive), 0);
  return path;
}

}  // namespace gembench::testing
