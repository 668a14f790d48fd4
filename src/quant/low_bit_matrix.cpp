// What holds for every scheme; each has its codec.
#include "halftone/quant/low_bit_matrix.h"

#include <algorithm>
#include <sstream>

#include "codec_parts.h"
#include "halftone/base/error.h"

namespace halftone {

std::string layout_text(const LowBitLayout& layout) {
  if (const auto* l = std::get_if<UniformLayout>(&layout))
    return fmt::format("{} {} {} {:d} {:d}", l->kScheme, l->bits, l->group_size, l->symmetric,
                       l->ordered);
  const auto& l = std::get<BinaryLayout>(layout);
  return fmt::format("{} {} {:d} {:d} {:d} {}", l.kScheme, l.blocksize, l.row_column, l.partitioned,
                     l.cgb, l.num_p);
}

LowBitLayout parse_layout(const std::string& text) {
  std::istringstream in(text);
  LowBitLayout out;
  std::string scheme;
  in >> scheme;
  bool sane = false;
  if (scheme == UniformLayout::kScheme) {
    auto& l = out.emplace<UniformLayout>();
    in >> l.bits >> l.group_size >> l.symmetric >> l.ordered;
    sane = l.bits >= 1 && l.bits <= 8 && l.group_size >= 0;
  } else if (scheme == BinaryLayout::kScheme) {
    auto& l = out.emplace<BinaryLayout>();
    in >> l.blocksize >> l.row_column >> l.partitioned >> l.cgb >> l.num_p;
    sane = l.blocksize >= 0 && l.num_p >= 1 && l.num_p <= 7;
  }
  const bool whole = static_cast<bool>(in) && (in >> std::ws).eof();
  if (!whole || !sane)
    throw_error(ErrorKind::format, "meta 'linear_forms': '{}' is no layout of a low-bit matrix",
                printable(text));
  return out;
}

Tensor reconstruct(const LowBitMatrix& m) {
  return std::visit([&](const auto& layout) { return layout.reconstruct(m); }, m.layout);
}

void check_parts(const LowBitMatrix& m, const std::string& where) {
  const std::vector<std::string> known = part_names(m.layout);
  for (const auto& [name, part] : m.parts)
    if (std::find(known.begin(), known.end(), name) == known.end())
      throw_error(ErrorKind::format, "{}.{}: no part of this layout, {} expected", where,
                  printable(name), fmt::join(known, ", "));
  std::visit([&](const auto& layout) { layout.check(m, where); }, m.layout);
}

std::vector<std::string> part_names(const LowBitLayout& layout) {
  return std::visit([](const auto& l) { return l.part_names(); }, layout);
}

LowBitCount count_bits(const LowBitMatrix& m) {
  LowBitCount out{.weights = m.rows * m.columns};
  out.paper_bits = std::visit([&](const auto& layout) { return layout.paper_bits(m); }, m.layout);
  for (const auto& [name, part] : m.parts)
    out.stored_bits += 8 * static_cast<int64_t>(part.bytes());
  return out;
}

int64_t planned_bits(const LowBitLayout& layout, int64_t rows, int64_t columns, int64_t salient) {
  return std::visit([&](const auto& l) { return l.planned_bits(rows, columns, salient); }, layout);
}

void require_parts(const LowBitMatrix& m, const std::vector<ExpectedPart>& expected,
                   const std::string& where) {
  for (const ExpectedPart& part : expected) {
    const auto it = m.parts.find(part.name);
    if (it == m.parts.end())
      throw_error(ErrorKind::format, "{}.{}: missing, {} numbers expected", where, part.name,
                  part.numel);
    if (it->second.dtype() != part.dtype || it->second.numel() != part.numel)
      throw_error(ErrorKind::format, "{}.{}: {} numbers of {}, expected {} of {}", where, part.name,
                  it->second.numel(), dtype_name(it->second.dtype()), part.numel,
                  dtype_name(part.dtype));
  }
}

std::vector<float> halves(const Tensor& t) {
  std::vector<float> out(static_cast<size_t>(t.numel()));
  half_to_float(t.data<half_t>(), out.data(), t.numel());
  return out;
}

}  // namespace halftone
