// The dimensions of a tensor, slowest first. They lie in the shape itself: making and copying one
// asks for no memory, which is what small tensors would spend their time on.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace halftone {

class Shape {
 public:
  static constexpr size_t kMostRank = 8;

  using value_type = int64_t;
  using iterator = int64_t*;
  using const_iterator = const int64_t*;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : Shape(dims.begin(), dims.end()) {}
  template <class Iterator>
  Shape(Iterator begin, Iterator end) {
    for (; begin != end; ++begin) push_back(*begin);
  }

  size_t size() const { return rank_; }
  bool empty() const { return rank_ == 0; }
  int64_t& operator[](size_t i) { return dims_[i]; }
  const int64_t& operator[](size_t i) const { return dims_[i]; }
  const int64_t& back() const { return dims_[rank_ - 1]; }
  // Throws std::invalid_argument where there are kMostRank already.
  void push_back(int64_t dim) {
    if (rank_ == kMostRank) throw_full();
    dims_[rank_++] = dim;
  }

  iterator begin() { return dims_.data(); }
  iterator end() { return dims_.data() + rank_; }
  const_iterator begin() const { return dims_.data(); }
  const_iterator end() const { return dims_.data() + rank_; }

  friend bool operator==(const Shape& a, const Shape& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  [[noreturn]] static void throw_full();

  std::array<int64_t, kMostRank> dims_{};
  size_t rank_ = 0;
};

int64_t numel(const Shape& shape);  // throws std::invalid_argument on overflow or < 0

// A shape in a message, "[576, 1536]": put together when the message is, which a require() that
// holds never does.
struct ShapeText {
  const Shape& shape;
  std::string text() const;
};
inline ShapeText shape_text(const Shape& shape) {
  return {shape};
}

}  // namespace halftone

template <>
struct fmt::formatter<halftone::ShapeText> {
  constexpr auto parse(fmt::format_parse_context& context) const { return context.begin(); }
  auto format(const halftone::ShapeText& shape, fmt::format_context& context) const {
    const std::string text = shape.text();
    return std::copy(text.begin(), text.end(), context.out());
  }
};
