// Signs, groups and scales: their sizes, and the weights that they stand for.
#include "halftone/quant/binary_codec.h"

#include <bit>

#include "codec_parts.h"
#include "halftone/base/error.h"
#include "halftone/base/rounding.h"
#include "halftone/base/threads.h"
#include "halftone/quant/packed_codes.h"

namespace halftone {
namespace {

constexpr int64_t kRowBlock = 16;

// Where a column's numbers begin: its place among the salient columns, and among column_values.
struct ColumnPlaces {
  std::vector<uint8_t> salient;
  std::vector<int64_t> residual, value;
  int64_t salient_count = 0, values = 0;
};

ColumnPlaces column_places(const BinaryLayout& l, const LowBitMatrix& m) {
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

std::vector<ExpectedPart> expected_parts(const BinaryLayout& l, const LowBitMatrix& m) {
  const int64_t weights = m.rows * m.columns;
  const int64_t width = l.blocksize ? l.blocksize : m.columns;
  const int64_t blocks = divide_up(m.columns, width);
  std::vector<ExpectedPart> out{{"signs", DType::u8, packed_bytes(weights, 1)},
                                {"row_values", DType::f16, blocks * m.rows * l.row_values()}};
  ColumnPlaces places;
  if (l.partitioned) {
    const auto salient = m.parts.find("salient");
    if (salient != m.parts.end() && salient->second.dtype() == DType::u8 &&
        salient->second.numel() == packed_bytes(m.columns, 1))
      places = column_places(l, m);
    out.push_back({"salient", DType::u8, packed_bytes(m.columns, 1)});
    out.push_back({"groups", DType::u8, packed_bytes(weights, l.group_bits())});
    out.push_back({"residual_signs", DType::u8, packed_bytes(m.rows * places.salient_count, 1)});
  } else {
    places.values = m.columns;
  }
  if (l.row_column) out.push_back({"column_values", DType::f16, places.values});
  return out;
}

// A group that the layout does not have would read beyond the row's numbers.
void check_groups(const BinaryLayout& l, const LowBitMatrix& m, const std::string& where) {
  const auto groups = unpack_codes(m.parts.at("groups"), m.rows * m.columns, l.group_bits());
  const ColumnPlaces places = column_places(l, m);
  for (int64_t at = 0; at < m.rows * m.columns; ++at) {
    const uint8_t g = groups[at];
    if (g > l.num_p)
      throw_error(ErrorKind::format, "{}.groups: group {}, at most {} expected", where, g, l.num_p);
    if (l.cgb && places.salient[at % m.columns] && g > 1)
      throw_error(ErrorKind::format, "{}.groups: salient group {}, at most 1 expected", where, g);
  }
}

}  // namespace

int BinaryLayout::group_bits() const {
  return partitioned ? static_cast<int>(std::bit_width(static_cast<uint64_t>(num_p))) : 0;
}

double BinaryLayout::paper_bits(const LowBitMatrix& m) const {
  if (!partitioned) return 1;
  return 1 + static_cast<double>(column_places(*this, m).salient_count) /
                 static_cast<double>(m.columns);
}

int64_t BinaryLayout::planned_bits(int64_t n, int64_t m, int64_t c) const {
  const int64_t width = blocksize ? blocksize : m, blocks = divide_up(m, width);
  int64_t bytes = packed_bytes(n * m, 1) + 2 * blocks * n * row_values();
  if (partitioned)
    bytes += packed_bytes(n * m, group_bits()) + packed_bytes(m, 1) + packed_bytes(n * c, 1);
  if (row_column) bytes += 2 * (2 * salient_groups() * c + rest_groups() * (m - c));
  return 8 * bytes;
}

void BinaryLayout::check(const LowBitMatrix& m, const std::string& where) const {
  require_parts(m, expected_parts(*this, m), where);
  if (partitioned) check_groups(*this, m, where);
}

Tensor BinaryLayout::reconstruct(const LowBitMatrix& m) const {
  const BinaryLayout& l = *this;
  const ColumnPlaces places = column_places(l, m);
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

}  // namespace halftone
