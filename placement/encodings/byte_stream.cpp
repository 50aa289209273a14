#include "placement/encodings/byte_stream.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include "placement/base/error.hpp"
#include "placement/base/plain_text.hpp"

namespace gembench::inline encodings {
namespace {

constexpr std::size_t kBlock = std::size_t{1} << 20;

struct CloseArchive {
  void operator()(archive* a) const { archive_read_free(a); }
};

void read_zip(archive* in) {
  archive_read_support_format_zip(in);
}

std::string_view name_of(archive_entry* entry) {
  const char* name = archive_entry_pathname(entry);
  return name ? name : "";
}

}  // namespace

struct ByteStream::State {
  std::filesystem::path path;
  std::unique_ptr<archive, CloseArchive> in;
  std::vector<char> block = std::vector<char>(kBlock);
  std::string_view ahead;  // of the block, not handed out yet
  std::uint64_t position = 0;
  bool at_end = false;
  std::string entry;  // of a zip archive

  /// Opens the file, in one of the formats that `support` chooses.
  void open(const std::filesystem::path& file, void (*support)(archive*)) {
    path = file;
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (!std::filesystem::exists(status)) refuse("does not exist; check the path");
    if (!std::filesystem::is_regular_file(status)) refuse("is not a regular file; name a file");
    in.reset(archive_read_new());
    if (!in) throw std::bad_alloc();
    support(in.get());
    if (archive_read_open_filename(in.get(), path.c_str(), kBlock) != ARCHIVE_OK) refuse_archive();
  }
  /// The next entry; null at the end.
  archive_entry* next_entry() {
    archive_entry* entry_found = nullptr;
    const int found = archive_read_next_header(in.get(), &entry_found);
    if (found == ARCHIVE_EOF) return nullptr;
    if (found != ARCHIVE_OK) refuse_archive();
    return entry_found;
  }

  [[noreturn]] void refuse(const std::string& why) const {
    throw usage_error(
        fmt::format("{}{} {}", path.string(), entry.empty() ? "" : ": " + entry, why));
  }
  [[noreturn]] void refuse_archive() const {
    const char* why = archive_error_string(in.get());
    refuse(fmt::format("cannot be read: {}", why ? why : "its compression is broken"));
  }
  /// False at the end.
  bool more() {
    if (!ahead.empty()) return true;
    if (at_end) return false;
    const auto got = archive_read_data(in.get(), block.data(), block.size());
    if (got < 0) refuse_archive();
    at_end = got == 0;
    ahead = {block.data(), static_cast<std::size_t>(got)};
    return !at_end;
  }
  void take(std::size_t count) {
    ahead.remove_prefix(count);
    position += count;
  }
};

ByteStream::ByteStream(const std::filesystem::path& path) : state_(std::make_unique<State>()) {
  state_->open(path, [](archive* in) {
    archive_read_support_filter_gzip(in);
    archive_read_support_filter_xz(in);
    archive_read_support_filter_zstd(in);
    archive_read_support_format_raw(in);
    archive_read_support_format_empty(in);
  });
  state_->at_end = state_->next_entry() == nullptr;
}

ByteStream::ByteStream(const std::filesystem::path& archive, std::string_view entry)
    : state_(std::make_unique<State>()) {
  state_->open(archive, read_zip);
  auto* found = state_->next_entry();
  while (found && name_of(found) != entry) found = state_->next_entry();
  if (!found) state_->refuse(fmt::format("has no entry {}", shown(entry)));
  state_->entry = shown(entry);
}

std::vector<std::string> ByteStream::zip_entries(const std::filesystem::path& archive,
                                                 std::size_t most) {
  State state;
  state.open(archive, read_zip);
  std::vector<std::string> names;
  for (auto* found = state.next_entry(); found && names.size() < most; found = state.next_entry())
    names.emplace_back(name_of(found));
  return names;
}

ByteStream::~ByteStream() = default;
ByteStream::ByteStream(ByteStream&&) noexcept = default;
ByteStream& ByteStream::operator=(ByteStream&&) noexcept = default;

std::size_t ByteStream::read(std::span<char> to) {
  std::size_t done = 0;
  while (done < to.size() && state_->more()) {
    const std::size_t count = std::min(to.size() - done, state_->ahead.size());
    std::memcpy(to.data() + done, state_->ahead.data(), count);
    state_->take(count);
    done += count;
  }
  return done;
}

void ByteStream::read_exactly(std::span<char> to) {
  if (read(to) != to.size()) refuse("ends too early; it was cut off");
}

bool ByteStream::read_line(std::string& line, std::size_t max_bytes) {
  line.clear();
  const bool first = state_->position == 0;
  if (!state_->more()) return false;
  do {
    const auto end = state_->ahead.find('\n');
    const auto piece = state_->ahead.substr(0, end);
    if (line.size() + piece.size() > max_bytes)
      refuse(fmt::format("has a line of more than {} bytes", max_bytes));
    line.append(piece);
    state_->take(piece.size() + (end == std::string_view::npos ? 0 : 1));
    if (end != std::string_view::npos) break;
  } while (state_->more());
  if (line.ends_with('\r')) line.pop_back();
  if (first) refuse_utf16(line, state_->path.string());
  if (first) line.erase(0, line.size() - without_bom(line).size());
  return true;
}

std::string ByteStream::read_rest(std::size_t max_bytes) {
  std::string all;
  while (state_->more()) {
    if (all.size() + state_->ahead.size() > max_bytes)
      refuse(
          fmt::format("holds more than the {} bytes accepted; cut it to fewer steps", max_bytes));
    all.append(state_->ahead);
    state_->take(state_->ahead.size());
  }
  return all;
}

std::uint64_t ByteStream::position() const {
  return state_->position;
}

void ByteStream::refuse(const std::string& why) const {
  state_->refuse(why);
}

}  // namespace gembench::inline encodings
