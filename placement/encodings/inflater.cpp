#include "placement/encodings/inflater.hpp"

#include <algorithm>
#include <limits>
#include <new>

#include "placement/base/error.hpp"

namespace gembench::inline encodings {

void Inflater::Close::operator()(z_stream* stream) const {
  inflateEnd(stream);
  delete stream;
}

Inflater::Inflater(std::string_view packed) : stream_(new z_stream{}) {
  if (packed.size() > std::numeric_limits<uInt>::max())
    throw usage_error("its packed data is longer than 4 GiB; record fewer tokens at a time");
  // zlib never writes there, but has no const.
  stream_->next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(packed.data()));
  stream_->avail_in = static_cast<uInt>(packed.size());
  if (inflateInit(stream_.get()) != Z_OK) throw std::bad_alloc();
}

void Inflater::read_exactly(std::span<char> to) {
  constexpr std::size_t kMost = std::size_t{1} << 30;
  while (!to.empty()) {
    const auto part = to.first(std::min(to.size(), kMost));
    stream_->next_out = reinterpret_cast<Bytef*>(part.data());
    stream_->avail_out = static_cast<uInt>(part.size());
    const int result = inflate(stream_.get(), Z_NO_FLUSH);
    if ((result != Z_OK && result != Z_STREAM_END) || stream_->avail_out != 0)
      throw usage_error("its zlib data is broken, or shorter than its shapes say");
    to = to.subspan(part.size());
  }
}

void Inflater::expect_end() {
  char more = 0;
  stream_->next_out = reinterpret_cast<Bytef*>(&more);
  stream_->avail_out = 1;
  if (inflate(stream_.get(), Z_NO_FLUSH) != Z_STREAM_END || stream_->avail_out != 1)
    throw usage_error("its zlib data is broken, or longer than its shapes say");
}

}  // namespace gembench::inline encodings
