#include "placement/encodings/byte_stream.hpp"

#include <archive.h>
#include <archive_entry.h>

#include "placement/encodings/random_access.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using namespace testing;

using Filter = int (*)(archive*);
constexpr Filter kFilters[] = {archive_write_add_filter_none, archive_write_add_filter_gzip,
                               archive_write_add_filter_xz, archive_write_add_filter_zstd};

std::filesystem::path write_filtered(const std::filesystem::path& path, const std::string& content,
                                     Filter filter) {
  archive* to = archive_write_new();
  archive_entry* entry = archive_entry_new();
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_write_set_format_raw(to);
  EXPECT_EQ(filter(to), ARCHIVE_OK);
  EXPECT_EQ(archive_write_open_filename(to, path.c_str()), ARCHIVE_OK);
  EXPECT_EQ(archive_write_header(to, entry), ARCHIVE_OK);
  EXPECT_EQ(archive_write_data(to, content.data(), content.size()),
            static_cast<la_ssize_t>(content.size()));
  archive_entry_free(entry);
  EXPECT_EQ(archive_write_free(to), ARCHIVE_OK);
  return path;
}

std::string noise(std::size_t size) {
  Random random(9);
  std::string text(size, '\0');
  for (auto& c : text) c = static_cast<char>(random.below(256));
  return text;
}

TEST(ByteStream, UnpacksWhateverItIs) {
  const TempDir dir;
  for (const auto& content : {std::string(), std::string("x"), noise(3'000'001)})
    for (const auto filter : kFilters) {
      ByteStream in(write_filtered(dir.at("a"), content, filter));
      EXPECT_EQ(in.read_rest(content.size()), content);
      EXPECT_EQ(in.position(), content.size());
      char more = 0;
      EXPECT_EQ(in.read({&more, 1}), 0u);
    }
}

TEST(ByteStream, LinesEndInEitherWay) {
  const TempDir dir;
  ByteStream in(dir.write("a", "one\r\ntwo\n\nfour"));
  std::vector<std::string> lines;
  for (std::string line; in.read_line(line, 4);) lines.push_back(line);
  EXPECT_EQ(lines, (std::vector<std::string>{"one", "two", "", "four"}));
  ByteStream across(dir.write("b", std::string(3'000'000, 'a') + "\nb"));  // of its blocks
  std::string line;
  ASSERT_TRUE(across.read_line(line, 3'000'000));
  EXPECT_EQ(line, std::string(3'000'000, 'a'));
  ASSERT_TRUE(across.read_line(line, 1));
  EXPECT_EQ(line, "b");
  EXPECT_FALSE(across.read_line(line, 1));
}

TEST(ByteStream, PiecesFollowOneAnother) {
  const TempDir dir;
  const auto content = noise(2'500'000);
  ByteStream in(write_filtered(dir.at("a"), content, archive_write_add_filter_gzip));
  std::string found;
  for (std::size_t size = 1; found.size() < content.size(); size = size * 3 + 1) {
    std::string piece(std::min(size, content.size() - found.size()), '\0');
    in.read_exactly(piece);
    found += piece;
  }
  EXPECT_EQ(found, content);
}

TEST(ByteStream, RefusesWhatIsTooLongOrTooShort) {
  const TempDir dir;
  std::string zeros;
  zeros.resize(50'000'000);
  const auto path = write_filtered(dir.at("a.gz"), zeros, archive_write_add_filter_gzip);
  ASSERT_LT(std::filesystem::file_size(path), 100'000u);
  expect_refused("a.gz holds more than the 1000 bytes",
                 [&] { (void)ByteStream(path).read_rest(1000); });
  std::string line;
  expect_refused("a.gz has a line of more than 1000 bytes",
                 [&] { (void)ByteStream(path).read_line(line, 1000); });
  std::string ten(10, '\0');
  expect_refused("b ends too early",
                 [&] { ByteStream(dir.write("b", "nine byte")).read_exactly(ten); });
  expect_refused("does not exist", [&] { ByteStream(dir.at("c")); });
  expect_refused("not a regular file", [&] { ByteStream(dir.at("")); });
  expect_refused("not a regular file", [&] { ByteStream("/dev/zero"); });
}

TEST(ByteStream, CutOffCompressionIsRefused) {
  const TempDir dir;
  const auto content = noise(5000);
  for (const auto filter : {kFilters[1], kFilters[2], kFilters[3]}) {
    const auto whole = slurp(write_filtered(dir.at("a"), content, filter));
    for (std::size_t size = 12; size + 12 < whole.size(); size += 97)
      expect_refused("cut", [&] {
        ByteStream in(dir.write("cut", whole.substr(0, size)));
        std::string all(content.size(), '\0');
        in.read_exactly(all);
      });
  }
}

TEST(RandomAccessFile, ReadsWhereItIsTold) {
  const TempDir dir;
  const RandomAccessFile file(dir.write("a", "0123456789"));
  EXPECT_EQ(file.size(), 10u);
  std::string some(3, '\0');
  file.read_at(7, std::as_writable_bytes(std::span(some)));
  EXPECT_EQ(some, "789");
  for (const std::uint64_t offset : {std::uint64_t{8}, std::uint64_t{11}, ~std::uint64_t{0}})
    expect_refused("a ends too early",
                   [&] { file.read_at(offset, std::as_writable_bytes(std::span(some))); });
  expect_refused("cannot be read", [&] { RandomAccessFile(dir.at("b")); });
  expect_refused("not a regular file", [&] { RandomAccessFile(dir.at("")); });
}

}  // namespace
}  // namespace gembench
