#include "halftone/quant/low_bit_matrix.h"

#include <bit>
#include <sstream>

#include "halftone/base/error.h"
#include "halftone/base/rounding.h"
#include "halftone/base/threads.h"
#include "halftone/quant/packed_codes.h"

namespace halftone {
namespace {

constexpr int64_t kRowBlock = 16;

std::vector<float> halves(const Tensor& t) {
  std::vector<float> out(static_cast<size_t>(t.numel()));
  half_to_float(t.data<half_t>(), out.data(), t.numel());
  return out;
}

int64_t group_count(const LowBitMatrix& m) {
  const int64_t width = m.layout.group_size ? m.layout.group_size : m.columns;
  return divide_up(m.columns, width);
}

Tensor reconstruct_uniform(const LowBitMatrix& m) {
  const LowBitLayout& l = m.layout;
  const int bits = static_cast<int>(l.bits);
  const int64_t groups = group_count(m), width = l.group_size ? l.group_size : m.columns;
  const auto codes = unpack_codes(m.parts.at("codes"), m.rows * m.columns, bits);
  const auto scales = halves(m.parts.at("scales"));
  std::vector<uint8_t> zeros(scales.size(), static_cast<uint8_t>(1 << (bits - 1)));
  if (!l.symmetric)
    zeros = unpack_codes(m.parts.at("zeros"), static_cast<int64_t>(scales.size()), bits);
  const int32_t* order = l.ordered ? m.parts.at("column_order").data<int32_t>() : nullptr;
  Tensor out = Tensor::uninitialized({m.rows, m.columns}, DType::f32);
  for (int64_t i = 0; i < m.rows; ++i)
    for (int64_t p = 0; p < m.columns; ++p) {
      const int64_t j = order ? order[p] : p, at = i * groups + p / width;
      out.data<float>()[i * m.columns + j] =
          scales[at] * static_cast<float>(codes[i * m.columns + j] - zeros[at]);
    }
  return out;
}

// Where a column's numbers begin: its place among the salient columns, and among column_values.
struct ColumnPlaces {
  std::vector<uint8_t> salient;
  std::vector<int64_t> residual, value;
  int64_t salient_count = 0, values = 0;
};

ColumnPlaces column_places(const LowBitMatrix& m) {
  const LowBitLayout& l = m.layout;
  ColumnPlaces out;
  out.salient.assign(static_cast<size_t>(m.columns), 0);
  if (l.partitioned) out.salient = unpack_codes(m.parts.at("salient"), m.columns, 1);
  for (const uint8_t salient : out.salient) {
    out.residual.push_back(out.salient_count);
    out.value.push_back(out.values);
    out.salient_count += salient;
    out.values += salient ? 2 * l.salient_groups() : l.rest_groups();
  }
  return out;
}

Tensor reconstruct_binary(const LowBitMatrix& m) {
  const LowBitLayout& l = m.layout;
  const ColumnPlaces places = column_places(m);
  const int64_t width = l.blocksize ? l.blocksize : m.columns, k = l.row_values();
  const int64_t step = l.row_column ? 2 : 3, rest = l.salient_groups() * step;
  const auto signs = unpack_codes(m.parts.at("signs"), m.rows * m.columns, 1);
  std::vector<uint8_t> groups(signs.size(), 0), residual;
  if (l.partitioned) {
    groups = unpack_codes(m.parts.at("groups"), m.rows * m.columns, l.group_bits());
    residual = unpack_codes(m.parts.at("residual_signs"), m.rows * places.salient_count, 1);
  }
  const auto row_values = halves(m.parts.at("row_values"));
  std::vector<float> column_values;
  if (l.row_column) column_values = halves(m.parts.at("column_values"));

  Tensor out = Tensor::uninitialized({m.rows, m.columns}, DType::f32);
  float* to = out.data<float>();
  parallel_for(m.rows, kRowBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      for (int64_t j = 0; j < m.columns; ++j) {
        const int64_t at = i * m.columns + j, g = groups[at];
        const float* row = row_values.data() + (j / width * m.rows + i) * k;
        double w = signs[at] ? -1 : 1;
        if (places.salient[j]) {
          const int64_t group = l.cgb ? g : 0;
          double second = residual[i * places.salient_count + places.residual[j]] ? -1 : 1;
          const float* scale = row + group * step;
          if (l.row_column) {
            const float* column = column_values.data() + places.value[j] + 2 * group;
            w = w * scale[0] * column[0] + second * scale[1] * column[1];
          } else {
            w = w * scale[0] + second * scale[1] + scale[2];
          }
        } else if (l.row_column) {
          w *= static_cast<double>(row[rest + g]) * column_values[places.value[j] + g];
        } else {
          w = w * row[rest + 2 * g] + row[rest + 2 * g + 1];
        }
        to[at] = static_cast<float>(w);
      }
  });
  return out;
}

// Every part that the layout has, with its dtype and size.
struct ExpectedPart {
  std::string name;
  DType dtype;
  int64_t numel;
};

std::vector<ExpectedPart> expected_parts(const LowBitMatrix& m) {
  const LowBitLayout& l = m.layout;
  const int64_t weights = m.rows * m.columns;
  if (l.scheme == LowBitLayout::Scheme::uniform) {
    const int bits = static_cast<int>(l.bits);
    const int64_t grids = m.rows * group_count(m);
    std::vector<ExpectedPart> out{{"codes", DType::u8, packed_bytes(weights, bits)},
                                  {"scales", DType::f16, grids}};
    if (!l.symmetric) out.push_back({"zeros", DType::u8, packed_bytes(grids, bits)});
    if (l.ordered) out.push_back({"column_order", DType::i32, m.columns});
    return out;
  }
  const int64_t width = l.blocksize ? l.blocksize : m.columns;
  const int64_t blocks = divide_up(m.columns, width);
  std::vector<ExpectedPart> out{{"signs", DType::u8, packed_bytes(weights, 1)},
                                {"row_values", DType::f16, blocks * m.rows * l.row_values()}};
  ColumnPlaces places;
  if (l.partitioned) {
    const auto salient = m.parts.find("salient");
    if (salient != m.parts.end() && salient->second.dtype() == DType::u8 &&
        salient->second.numel() == packed_bytes(m.columns, 1))
      places = column_places(m);
    out.push_back({"salient", DType::u8, packed_bytes(m.columns, 1)});
    out.push_back({"groups", DType::u8, packed_bytes(weights, l.group_bits())});
    out.push_back({"residual_signs", DType::u8, packed_bytes(m.rows * places.salient_count, 1)});
  } else {
    places.values = m.columns;
  }
  if (l.row_column) out.push_back({"column_values", DType::f16, places.values});
  return out;
}

}  // namespace

int LowBitLayout::group_bits() const {
  return partitioned ? static_cast<int>(std::bit_width(static_cast<uint64_t>(num_p))) : 0;
}

std::string layout_text(const LowBitLayout& l) {
  if (l.scheme == LowBitLayout::Scheme::uniform)
    return fmt::format("uniform {} {} {:d} {:d}", l.bits, l.group_size, l.symmetric, l.ordered);
  return fmt::format("binary {} {:d} {:d} {:d} {}", l.blocksize, l.row_column, l.partitioned, l.cgb,
                     l.num_p);
}

LowBitLayout parse_layout(const std::string& text) {
  std::istringstream in(text);
  LowBitLayout out;
  std::string scheme;
  in >> scheme;
  bool sane = false;
  if (scheme == "uniform") {
    in >> out.bits >> out.group_size >> out.symmetric >> out.ordered;
    sane = out.bits >= 1 && out.bits <= 8 && out.group_size >= 0;
  } else if (scheme == "binary") {
    out.scheme = LowBitLayout::Scheme::binary;
    in >> out.blocksize >> out.row_column >> out.partitioned >> out.cgb >> out.num_p;
    sane = out.blocksize >= 0 && out.num_p >= 1 && out.num_p <= 7;
  }
  if (!in || !sane)
    throw_error(ErrorKind::format, "meta 'quantised': '{}' is no layout of a low-bit matrix",
                printable(text));
  return out;
}

Tensor reconstruct(const LowBitMatrix& m) {
  return m.layout.scheme == LowBitLayout::Scheme::uniform ? reconstruct_uniform(m)
                                                          : reconstruct_binary(m);
}

void check_parts(const LowBitMatrix& m, const std::string& where) {
  const auto expected = expected_parts(m);
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
  if (m.layout.ordered) {
    const Tensor& order = m.parts.at("column_order");
    for (int64_t p = 0; p < m.columns; ++p)
      if (const int32_t j = order.data<int32_t>()[p]; j < 0 || j >= m.columns)
        throw_error(ErrorKind::format, "{}.column_order[{}]: {}, a column below {} expected", where,
                    p, j, m.columns);
  }
  // A group that the layout does not have would read beyond the row's numbers.
  if (m.layout.partitioned && m.layout.num_p + 1 < (1 << m.layout.group_bits()))
    for (const uint8_t g :
         unpack_codes(m.parts.at("groups"), m.rows * m.columns, m.layout.group_bits()))
      if (g > m.layout.num_p)
        throw_error(ErrorKind::format, "{}.groups: group {}, at most {} expected", where, g,
                    m.layout.num_p);
  if (m.layout.cgb && m.layout.num_p > 1) {
    const ColumnPlaces places = column_places(m);
    const auto groups =
        unpack_codes(m.parts.at("groups"), m.rows * m.columns, m.layout.group_bits());
    for (int64_t at = 0; at < m.rows * m.columns; ++at)
      if (places.salient[at % m.columns] && groups[at] > 1)
        throw_error(ErrorKind::format, "{}.groups: salient group {}, at most 1 expected", where,
                    groups[at]);
  }
}

std::vector<std::string> part_names(const LowBitLayout& layout) {
  if (layout.scheme == LowBitLayout::Scheme::uniform)
    return {"codes", "scales", "zeros", "column_order"};
  return {"signs", "salient", "groups", "residual_signs", "row_values", "column_values"};
}

LowBitCount count_bits(const LowBitMatrix& m) {
  LowBitCount out{.weights = m.rows * m.columns, .stored_bits = 0, .paper_bits = 1};
  for (const auto& [name, part] : m.parts)
    out.stored_bits += 8 * static_cast<int64_t>(part.bytes());
  if (m.layout.scheme == LowBitLayout::Scheme::uniform)
    out.paper_bits = static_cast<double>(m.layout.bits);
  else if (m.layout.partitioned)
    out.paper_bits +=
        static_cast<double>(column_places(m).salient_count) / static_cast<double>(m.columns);
  return out;
}

int64_t planned_bits(const LowBitLayout& l, int64_t n, int64_t m, int64_t c) {
  if (l.scheme == LowBitLayout::Scheme::uniform) {
    const int64_t grids = n * (l.group_size ? divide_up(m, l.group_size) : 1);
    return 8 * (packed_bytes(n * m, static_cast<int>(l.bits)) + 2 * grids +
                (l.symmetric ? 0 : packed_bytes(grids, static_cast<int>(l.bits))) +
                (l.ordered ? 4 * m : 0));
  }
  const int64_t width = l.blocksize ? l.blocksize : m, blocks = divide_up(m, width);
  int64_t bytes = packed_bytes(n * m, 1) + 2 * blocks * n * l.row_values();
  if (l.partitioned)
    bytes += packed_bytes(n * m, l.group_bits()) + packed_bytes(m, 1) + packed_bytes(n * c, 1);
  if (l.row_column) bytes += 2 * (2 * l.salient_groups() * c + l.rest_groups() * (m - c));
  return 8 * bytes;
}

}  // namespace halftone
