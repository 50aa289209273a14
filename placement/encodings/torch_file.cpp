#include "placement/encodings/torch_file.hpp"

#include <fmt/format.h>
#include <zip.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>
#include <utility>

#include "placement/base/error.hpp"

namespace gembench::inline encodings {
namespace {

constexpr std::uint64_t kMaxPickle = std::uint64_t{64} << 20;
constexpr std::string_view kPickleName = "data.pkl";

constexpr std::array<std::pair<std::string_view, Element>, 10> kStorages{
    {{"torch ByteStorage", Element::uint8},
     {"torch BoolStorage", Element::uint8},
     {"torch CharStorage", Element::int8},
     {"torch ShortStorage", Element::int16},
     {"torch IntStorage", Element::int32},
     {"torch LongStorage", Element::int64},
     {"torch HalfStorage", Element::float16},
     {"torch BFloat16Storage", Element::bfloat16},
     {"torch FloatStorage", Element::float32},
     {"torch DoubleStorage", Element::float64}}};

struct DiscardArchive {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct CloseEntry {
  void operator()(zip_file_t* entry) const { zip_fclose(entry); }
};
using Entry = std::unique_ptr<zip_file_t, CloseEntry>;

}  // namespace

struct TorchFile::State {
  std::string file;  ///< its name, for sentences
  std::unique_ptr<zip_t, DiscardArchive> archive;
  std::string prefix;  ///< of the entries' names
  Pickle pickle;
  Entry open;
  Element element = Element::int32;
  std::vector<char> bytes;

  [[noreturn]] void refuse(const std::string& why) const {
    throw usage_error(fmt::format("{} {}", file, why));
  }
  /// Bytes of an entry, which is as large as it says: nothing is compressed.
  [[nodiscard]] std::uint64_t size_of_entry(const std::string& name) const {
    zip_stat_t status;
    constexpr zip_uint64_t kNeeded = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    if (zip_stat(archive.get(), name.c_str(), 0, &status) != 0 ||
        (status.valid & kNeeded) != kNeeded)
      refuse(fmt::format("lacks its entry {}; was it cut off?", name.substr(0, 200)));
    if (status.comp_method != ZIP_CM_STORE || status.size != status.comp_size)
      refuse("is compressed, which torch.save does not do; save it again");
    return status.size;
  }
  [[nodiscard]] Entry open_entry(const std::string& name) const {
    Entry entry(zip_fopen(archive.get(), name.c_str(), 0));
    if (!entry) refuse(fmt::format("cannot be read: {}", zip_strerror(archive.get())));
    return entry;
  }
  void read(zip_file_t* entry, std::span<char> to) const {
    while (!to.empty()) {
      const auto got = zip_fread(entry, to.data(), to.size());
      if (got < 0) refuse(fmt::format("cannot be read: {}", zip_file_strerror(entry)));
      if (got == 0) refuse("ends too early; it was cut off");
      to = to.subspan(static_cast<std::size_t>(got));
    }
  }
  [[nodiscard]] std::string read_whole(const std::string& name, std::uint64_t most) const {
    const auto size = size_of_entry(name);
    if (size > most)
      refuse(fmt::format("has a {} of {} bytes, more than the {} accepted", name.substr(0, 200),
                         size, most));
    std::string bytes_read(size, '\0');
    read(open_entry(name).get(), bytes_read);
    return bytes_read;
  }
  void find_prefix() {
    const auto entries = zip_get_num_entries(archive.get(), 0);
    for (zip_int64_t i = 0; i < entries; ++i) {
      const char* name = zip_get_name(archive.get(), static_cast<zip_uint64_t>(i), ZIP_FL_ENC_RAW);
      const std::string_view found = name ? name : "";
      if (found != kPickleName && !found.ends_with("/data.pkl")) continue;
      prefix = found.substr(0, found.size() - kPickleName.size());
      return;
    }
    refuse("holds no data.pkl; name a file of torch.save");
  }
};

bool is_torch(std::string_view prefix) {
  return prefix.starts_with("PK");
}

TorchFile::TorchFile(const std::filesystem::path& path) : state_(std::make_unique<State>()) {
  state_->file = path.string();
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error))
    refuse("is not a regular file; name a file of torch.save");
  int code = 0;
  state_->archive.reset(zip_open(path.c_str(), ZIP_RDONLY, &code));
  read_archive();
}

TorchFile::TorchFile(std::string_view content, const std::string& name)
    : state_(std::make_unique<State>()) {
  state_->file = name;
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(content.data(), content.size(), 0, &error);
  if (source) state_->archive.reset(zip_open_from_source(source, ZIP_RDONLY, &error));
  if (source && !state_->archive) zip_source_free(source);
  zip_error_fini(&error);
  read_archive();
}

void TorchFile::read_archive() {
  if (!state_->archive)
    refuse("is no zip archive as torch.save writes it since 1.6; was it cut off?");
  state_->find_prefix();
  const auto order = state_->prefix + "byteorder";
  if (zip_name_locate(state_->archive.get(), order.c_str(), 0) >= 0 &&
      state_->read_whole(order, 64) != "little")
    refuse("was saved on a big-endian machine, which this program does not read");
  state_->pickle = read_pickle(
      state_->read_whole(state_->prefix + std::string(kPickleName), kMaxPickle), state_->file);
}

TorchFile::~TorchFile() = default;
TorchFile::TorchFile(TorchFile&&) noexcept = default;
TorchFile& TorchFile::operator=(TorchFile&&) noexcept = default;

const Pickle& TorchFile::pickle() const {
  return state_->pickle;
}

std::string TorchFile::contents() const {
  constexpr std::size_t kMost = 8;
  using Kind = PickleValue::Kind;
  const auto what = [&](const PickleValue& value) {
    if (value.kind == Kind::tensor) {
      std::string shape;
      for (const auto size : pickle().at(value.items[1]).items)
        shape += fmt::format("[{}]", pickle().at(size).integer);
      return fmt::format("tensor {}", shape);
    }
    return std::string(value.kind == Kind::dict                                ? "dict"
                       : value.kind == Kind::list || value.kind == Kind::tuple ? "list"
                       : value.kind == Kind::text                              ? "text"
                                                                               : "number");
  };
  if (root().kind != Kind::dict) return fmt::format("a {}", what(root()));
  std::string all;
  for (std::size_t i = 0; i + 1 < root().items.size() && i < 2 * kMost; i += 2)
    all += fmt::format("{}'{}' ({})", i == 0 ? "" : ", ", shown(pickle().at(root().items[i]).text),
                       what(pickle().at(root().items[i + 1])));
  return fmt::format("a dict of {}{}", all, root().items.size() > 2 * kMost ? ", ..." : "");
}

void TorchFile::refuse(const std::string& why) const {
  state_->refuse(why);
}

TorchTensor TorchFile::tensor(const PickleValue* value, const std::string& what, std::size_t least,
                              std::size_t most) const {
  using Kind = PickleValue::Kind;
  if (!value || value->kind != Kind::tensor) refuse(fmt::format("has no tensor {}", what));
  const auto& storage = pickle().at(value->items[0]);
  const auto& sizes = pickle().at(value->items[1]).items;
  const auto& strides = pickle().at(value->items[2]).items;
  if (sizes.size() != strides.size() || sizes.size() < least || sizes.size() > most)
    refuse(fmt::format("has a tensor {} of {} dimensions where {} to {} belong", what, sizes.size(),
                       least, most));
  TorchTensor tensor;
  std::int64_t elements = 1;
  bool impossible = value->integer < 0, gaps = false;
  for (std::size_t d = sizes.size(); d-- > 0;) {
    const auto size = pickle().at(sizes[d]).integer;
    gaps = gaps || (size != 1 && pickle().at(strides[d]).integer != elements);
    impossible = impossible || size < 1 || __builtin_mul_overflow(elements, size, &elements);
    tensor.shape.insert(tensor.shape.begin(), size);
  }
  if (impossible || elements > storage.integer - value->integer)
    refuse(fmt::format("has a tensor {} that is larger than its storage", what));
  if (gaps) refuse(fmt::format("has a tensor {} with gaps; save tensor.contiguous()", what));
  const auto& type = pickle().at(storage.items[0]).text;
  const auto* known = std::find_if(kStorages.begin(), kStorages.end(),
                                   [&](const auto& entry) { return entry.first == type; });
  if (known == kStorages.end()) refuse(fmt::format("has a tensor {} of {}", what, type));
  tensor.element = known->second;
  const auto each = size_of(tensor.element);
  tensor.entry = fmt::format("{}data/{}", state_->prefix, storage.text);
  if (static_cast<std::uint64_t>(storage.integer) != state_->size_of_entry(tensor.entry) / each)
    refuse(fmt::format("has a tensor {} whose storage has another size than it says", what));
  tensor.offset = static_cast<std::uint64_t>(value->integer) * each;
  return tensor;
}

void TorchFile::open(const TorchTensor& tensor) {
  state_->element = tensor.element;
  state_->open = state_->open_entry(tensor.entry);
  state_->bytes.resize(std::size_t{64} << 10);
  for (auto left = tensor.offset; left > 0;) {
    const auto count = std::min<std::uint64_t>(left, state_->bytes.size());
    state_->read(state_->open.get(), std::span(state_->bytes).first(count));
    left -= count;
  }
}

void TorchFile::read(std::span<std::int64_t> values) {
  const auto each = size_of(state_->element);
  const auto at_once = state_->bytes.size() / each;
  while (!values.empty()) {
    const auto count = std::min(values.size(), at_once);
    const auto bytes = std::span(state_->bytes).first(count * each);
    state_->read(state_->open.get(), bytes);
    if (!to_integers(state_->element, bytes, values.first(count)))
      refuse("has a count that is no whole number");
    values = values.subspan(count);
  }
}

}  // namespace gembench::inline encodings
