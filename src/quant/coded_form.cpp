// Codes, values and places of columns: out of the parts of a layout, and into them again.
#include "halftone/quant/coded_form.h"

#include "coded_places.h"
#include "halftone/base/error.h"
#include "halftone/base/rounding.h"
#include "halftone/base/threads.h"
#include "halftone/quant/packed_codes.h"

namespace halftone {
namespace {

constexpr int64_t kColumns = CodedPart::kColumns;
constexpr const char* kPrefixes[] = {"", "salient_"};  // of a part's tensors

// --- what a layout's parts are like ------------------------------------------------------------

CodedPart uniform_part(const UniformLayout& l) {
  CodedPart out;
  out.bits = l.bits;
  out.book.values = l.symmetric ? 1 : 2;
  out.book.grid = !l.symmetric;
  out.book.basis.resize(static_cast<size_t>(out.book.values * CodeBook::kCodes));
  for (int64_t c = 0; c < CodeBook::kCodes; ++c)
    out.book.basis[c] =
        static_cast<float>(c % (1 << l.bits) - (l.symmetric ? 1 << (l.bits - 1) : 0));
  return out;
}

// Codes have `order` signs, the lowest bits, then the group.
CodedPart binary_part(const BinaryLayout& l, int64_t order, int64_t groups, int64_t bits) {
  const int64_t step = order + (l.row_column ? 0 : 1);
  CodedPart out;
  out.bits = bits;
  CodeBook& book = out.book;
  book.values = groups * step;
  book.factored = l.row_column;
  book.basis.resize(static_cast<size_t>(book.values * CodeBook::kCodes));
  for (int64_t v = 0; v < book.values; ++v)
    for (int64_t c = 0; c < CodeBook::kCodes; ++c) {
      const int64_t code = c % (1 << bits), k = v % step;
      const float sign = k < order && (code >> k & 1) ? -1.0f : 1.0f;
      book.basis[v * CodeBook::kCodes + c] = code >> order == v / step ? sign : 0.0f;
    }
  return out;
}

std::vector<CodedPart> empty_parts(const LowBitLayout& layout) {
  if (const auto* l = std::get_if<UniformLayout>(&layout)) return {uniform_part(*l)};
  const auto& l = std::get<BinaryLayout>(layout);
  std::vector<CodedPart> out{binary_part(l, 1, l.rest_groups(), 1 + l.group_bits())};
  if (l.partitioned) out.push_back(binary_part(l, 2, l.salient_groups(), l.cgb ? 3 : 2));
  return out;
}

// --- codes, values and factors -----------------------------------------------------------------

// Calls visit(row, position, column) for every code of a part, rows on several threads.
template <class Visit>
void for_each_code(const CodedPart& part, int64_t rows, const Visit& visit) {
  // Neighbouring rows share bytes of a stream: blocks of eight rows do not.
  parallel_for(rows, 64, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      for_each_place(part, [&](int64_t at, int64_t column, int64_t) { visit(r, at, column); });
  });
}

void allocate_numbers(int64_t rows, CodedPart& part) {
  part.words = Tensor::zeros({rows, part.positions() / kColumns * 2 * part.bits}, DType::u8);
  part.values = Tensor::uninitialized({rows, part.groups(), part.book.values}, DType::f16);
  if (part.book.factored)
    part.factors = Tensor::zeros({part.book.streams(), part.positions()}, DType::f16);
}

void write_codes(int64_t rows, const auto& code_of, CodedPart& part) {
  uint8_t* words = part.words.data<uint8_t>();
  const int64_t stride = part.words.dim(1);
  for_each_code(part, rows, [&](int64_t r, int64_t at, int64_t column) {
    write_code(words + r * stride, part.bits, at, code_of(r, column));
  });
}

void fill_uniform(const UniformLayout& l, const LowBitMatrix& m, CodedPart& part) {
  const int q = static_cast<int>(l.bits);
  const auto codes = unpack_codes(m.parts.at("codes"), m.rows * m.columns, q);
  write_codes(
      m.rows, [&](int64_t r, int64_t j) { return codes[r * m.columns + j]; }, part);
  const half_t* scales = m.parts.at("scales").data<half_t>();
  std::vector<uint8_t> zeros;
  const int64_t grids = m.rows * part.groups();
  if (!l.symmetric) zeros = unpack_codes(m.parts.at("zeros"), grids, q);
  half_t* values = part.values.data<half_t>();
  for (int64_t k = 0; k < grids; ++k) {
    values[k * part.book.values] = scales[k];
    if (!l.symmetric) values[2 * k + 1] = to_half(zeros[k]);
  }
}

// Where the parts of a binary matrix lie among those of the codec: of a row's numbers, of a
// column's factors, and of the salient columns.
struct BinaryPlaces {
  std::vector<int64_t> residual, value;  // of each column
  int64_t salient = 0, values = 0;

  BinaryPlaces(const BinaryLayout& l, int64_t columns, const CodedPart* salient_part) {
    std::vector<uint8_t> is_salient(static_cast<size_t>(columns), 0);
    if (salient_part) is_salient = columns_of(*salient_part, columns);
    for (const uint8_t s : is_salient) {
      residual.push_back(salient);
      value.push_back(values);
      salient += s;
      values += s ? 2 * l.salient_groups() : l.rest_groups();
    }
  }
};

// Calls copy(number of a codec's part, number of the coded one) for the values, then the factors.
void for_each_value(const CodedPart& part, int64_t rows, int64_t first, int64_t row_values,
                    const auto& copy) {
  const int64_t groups = part.groups(), n = part.book.values;
  for (int64_t g = 0; g < groups; ++g)
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < n; ++v)
        copy((g * rows + r) * row_values + first + v, (r * groups + g) * n + v);
}
void for_each_factor(const CodedPart& part, const BinaryPlaces& places, const auto& copy) {
  for_each_place(part, [&](int64_t at, int64_t column, int64_t) {
    for (int64_t e = 0; e < part.book.streams(); ++e)
      copy(places.value[column] + e, e * part.positions() + at);
  });
}

// The salient numbers of a row come first.
int64_t first_value(const BinaryLayout& l, const std::vector<CodedPart>& parts, size_t part) {
  return part == 0 && l.partitioned ? parts[1].book.values : 0;
}

void fill_binary(const BinaryLayout& l, const LowBitMatrix& m, std::vector<CodedPart>& parts) {
  const int64_t weights = m.rows * m.columns;
  const BinaryPlaces places(l, m.columns, l.partitioned ? &parts[1] : nullptr);
  const auto signs = unpack_codes(m.parts.at("signs"), weights, 1);
  std::vector<uint8_t> groups(signs.size(), 0), residual;
  if (l.partitioned) {
    groups = unpack_codes(m.parts.at("groups"), weights, l.group_bits());
    residual = unpack_codes(m.parts.at("residual_signs"), m.rows * places.salient, 1);
  }
  const auto rest_code = [&](int64_t r, int64_t j) {
    return static_cast<uint8_t>(signs[r * m.columns + j] | groups[r * m.columns + j] << 1);
  };
  const auto salient_code = [&](int64_t r, int64_t j) {
    const int second = residual[r * places.salient + places.residual[j]];
    const int group = l.cgb ? groups[r * m.columns + j] : 0;
    return static_cast<uint8_t>(signs[r * m.columns + j] | second << 1 | group << 2);
  };
  write_codes(m.rows, rest_code, parts[0]);
  if (l.partitioned) write_codes(m.rows, salient_code, parts[1]);
  const half_t* rows = m.parts.at("row_values").data<half_t>();
  for (size_t p = 0; p < parts.size(); ++p) {
    half_t* values = parts[p].values.data<half_t>();
    for_each_value(parts[p], m.rows, first_value(l, parts, p), l.row_values(),
                   [&](int64_t from, int64_t to) { values[to] = rows[from]; });
    if (!l.row_column) continue;
    const half_t* columns = m.parts.at("column_values").data<half_t>();
    half_t* factors = parts[p].factors.data<half_t>();
    for_each_factor(parts[p], places,
                    [&](int64_t from, int64_t to) { factors[to] = columns[from]; });
  }
}

// --- and back ----------------------------------------------------------------------------------

// Codes of every weight; 0 where a part has no column of it.
std::vector<uint8_t> read_codes(const CodedPart& part, int64_t rows, int64_t columns) {
  std::vector<uint8_t> out(static_cast<size_t>(rows * columns), 0);
  const uint8_t* words = part.words.data<uint8_t>();
  const int64_t stride = part.words.dim(1);
  for_each_code(part, rows, [&](int64_t r, int64_t at, int64_t column) {
    out[r * columns + column] = read_code(words + r * stride, part.bits, at);
  });
  return out;
}

void read_uniform(const UniformLayout& l, const CodedPart& part, LowBitMatrix& m) {
  const int q = static_cast<int>(l.bits);
  const int64_t grids = m.rows * part.groups();
  const half_t* values = part.values.data<half_t>();
  Tensor scales = Tensor::uninitialized({m.rows, part.groups()}, DType::f16);
  std::vector<uint8_t> zeros;
  for (int64_t k = 0; k < grids; ++k) {
    scales.data<half_t>()[k] = values[k * part.book.values];
    if (!l.symmetric) zeros.push_back(static_cast<uint8_t>(to_float(values[2 * k + 1])));
  }
  m.parts["codes"] = pack_codes(read_codes(part, m.rows, m.columns), q);
  m.parts["scales"] = scales;
  if (!l.symmetric) m.parts["zeros"] = pack_codes(zeros, q);
  if (!l.ordered) return;
  std::vector<int32_t> order;
  for_each_place(part, [&](int64_t, int64_t column, int64_t) {
    order.push_back(static_cast<int32_t>(column));
  });
  m.parts["column_order"] = Tensor::of({m.columns}, order);
}

void read_binary_codes(const BinaryLayout& l, const std::vector<CodedPart>& parts,
                       LowBitMatrix& m) {
  std::vector<uint8_t> signs = read_codes(parts[0], m.rows, m.columns), groups = signs;
  for (uint8_t& g : groups) g >>= 1;
  if (l.partitioned) {
    const std::vector<uint8_t> codes = read_codes(parts[1], m.rows, m.columns);
    const std::vector<uint8_t> salient = columns_of(parts[1], m.columns);
    std::vector<uint8_t> residual;
    for (int64_t at = 0; at < m.rows * m.columns; ++at) {
      if (!salient[at % m.columns]) continue;
      signs[at] = codes[at];
      residual.push_back(codes[at] >> 1 & 1);
      groups[at] = codes[at] >> 2;
    }
    m.parts["salient"] = pack_codes(salient, 1);
    m.parts["groups"] = pack_codes(groups, l.group_bits());
    m.parts["residual_signs"] = pack_codes(residual, 1);
  }
  for (uint8_t& s : signs) s &= 1;
  m.parts["signs"] = pack_codes(signs, 1);
}

void read_binary(const BinaryLayout& l, const std::vector<CodedPart>& parts, LowBitMatrix& m) {
  read_binary_codes(l, parts, m);
  const BinaryPlaces places(l, m.columns, l.partitioned ? &parts[1] : nullptr);
  Tensor rows = Tensor::uninitialized({parts[0].groups() * m.rows * l.row_values()}, DType::f16);
  Tensor columns = Tensor::uninitialized({l.row_column ? places.values : 0}, DType::f16);
  for (size_t p = 0; p < parts.size(); ++p) {
    const half_t* values = parts[p].values.data<half_t>();
    for_each_value(parts[p], m.rows, first_value(l, parts, p), l.row_values(),
                   [&](int64_t to, int64_t from) { rows.data<half_t>()[to] = values[from]; });
    if (!l.row_column) continue;
    const half_t* factors = parts[p].factors.data<half_t>();
    for_each_factor(parts[p], places,
                    [&](int64_t to, int64_t from) { columns.data<half_t>()[to] = factors[from]; });
  }
  m.parts["row_values"] = rows;
  if (l.row_column) m.parts["column_values"] = columns;
}

// --- from tensors ------------------------------------------------------------------------------

class Taker {
 public:
  Taker(const std::function<Tensor(const std::string&)>& take, const std::string& where)
      : take_(take), where_(where) {}

  // A dimension of -1 is any.
  Tensor operator()(const std::string& name, DType dtype, const Shape& shape) const {
    Tensor out = take_(name);
    if (!out.defined()) throw_error(ErrorKind::format, "{}.{}' is missing", where_, name);
    bool fits = out.rank() == static_cast<int64_t>(shape.size());
    for (size_t i = 0; fits && i < shape.size(); ++i)
      fits = shape[i] < 0 || out.shape()[i] == shape[i];
    if (!fits)
      throw_error(ErrorKind::format, "{}.{}' has shape {}, expected {}", where_, name,
                  shape_text(out.shape()), shape_text(shape));
    if (out.dtype() != dtype)
      throw_error(ErrorKind::format, "{}.{}' is of dtype {}, {} expected", where_, name,
                  dtype_name(out.dtype()), dtype_name(dtype));
    return out;
  }

 private:
  const std::function<Tensor(const std::string&)>& take_;
  const std::string& where_;
};

// A zero point is a code.
void check_zeros(const CodedPart& part, const std::string& where) {
  const half_t* values = part.values.data<half_t>();
  for (int64_t k = 1; part.book.grid && k < part.values.numel(); k += 2) {
    const float zero = to_float(values[k]);
    if (!(zero >= 0 && zero < static_cast<float>(1 << part.bits)) ||
        zero != static_cast<float>(static_cast<int>(zero)))
      throw_error(ErrorKind::format, "{}.values': zero point {}, a code of {} bits expected", where,
                  zero, part.bits);
  }
}

}  // namespace

bool has_coded_form(const LowBitLayout& layout) {
  const auto* uniform = std::get_if<UniformLayout>(&layout);
  return !uniform || uniform->bits <= CodedPart::kMostBits;
}

CodedMatrix coded_form(const LowBitMatrix& m) {
  require(has_coded_form(m.layout), "coded_form: {}", layout_text(m.layout));
  CodedMatrix out{.rows = m.rows, .columns = m.columns, .parts = empty_parts(m.layout)};
  const std::vector<Groups> groups = columns_in_groups(m, out.parts.size());
  for (size_t p = 0; p < out.parts.size(); ++p) {
    set_places(groups[p], out.parts[p]);
    allocate_numbers(m.rows, out.parts[p]);
  }
  if (const auto* l = std::get_if<UniformLayout>(&m.layout))
    fill_uniform(*l, m, out.parts[0]);
  else
    fill_binary(std::get<BinaryLayout>(m.layout), m, out.parts);
  return out;
}

LowBitMatrix low_bit_matrix(const LowBitLayout& layout, const CodedMatrix& coded) {
  LowBitMatrix out{.layout = layout, .rows = coded.rows, .columns = coded.columns, .parts = {}};
  if (const auto* l = std::get_if<UniformLayout>(&layout))
    read_uniform(*l, coded.parts[0], out);
  else
    read_binary(std::get<BinaryLayout>(layout), coded.parts, out);
  return out;
}

LowBitCount count_bits(const LowBitLayout& layout, const CodedMatrix& coded) {
  LowBitMatrix m{.layout = layout, .rows = coded.rows, .columns = coded.columns, .parts = {}};
  int64_t salient = 0;
  if (coded.parts.size() > 1) {
    const std::vector<uint8_t> bitmap = columns_of(coded.parts[1], coded.columns);
    for (const uint8_t bit : bitmap) salient += bit;
    m.parts["salient"] = pack_codes(bitmap, 1);
  }
  return {.weights = m.rows * m.columns,
          .stored_bits = planned_bits(layout, m.rows, m.columns, salient),
          .paper_bits = std::visit([&](const auto& l) { return l.paper_bits(m); }, layout)};
}

std::map<std::string, Tensor> coded_tensors(const CodedMatrix& coded) {
  std::map<std::string, Tensor> out;
  for (size_t p = 0; p < coded.parts.size(); ++p) {
    const CodedPart& part = coded.parts[p];
    const std::string prefix = kPrefixes[p];
    out[prefix + "columns"] = part.columns;
    out[prefix + "ends"] = part.ends;
    out[prefix + "words"] = part.words;
    out[prefix + "values"] = part.values;
    if (part.factors.defined()) out[prefix + "factors"] = part.factors;
  }
  return out;
}

std::optional<CodedMatrix> coded_from(const LowBitLayout& layout, int64_t rows, int64_t columns,
                                      const std::function<Tensor(const std::string&)>& take,
                                      const std::string& where) {
  if (!has_coded_form(layout) || !take("words").defined()) return {};
  const Taker taken(take, where);
  const int64_t groups = divide_up(columns, group_width(layout, columns));
  CodedMatrix out{.rows = rows, .columns = columns, .parts = empty_parts(layout)};
  std::vector<Groups> places;
  for (size_t p = 0; p < out.parts.size(); ++p) {
    CodedPart& part = out.parts[p];
    const std::string prefix = kPrefixes[p];
    part.columns = taken(prefix + "columns", DType::i32, {-1});
    part.ends = taken(prefix + "ends", DType::i32, {groups});
    check_places(part, columns, where + "." + prefix);
    part.words =
        taken(prefix + "words", DType::u8, {rows, part.positions() / kColumns * 2 * part.bits});
    part.values = taken(prefix + "values", DType::f16, {rows, groups, part.book.values});
    if (part.book.factored)
      part.factors = taken(prefix + "factors", DType::f16, {part.book.streams(), part.positions()});
    check_zeros(part, where);
    places.push_back(places_of(part));
  }
  if (!are_places(layout, columns, places))
    throw_error(ErrorKind::format, "{}.columns' do not give each of {} columns a place", where,
                columns);
  return out;
}

}  // namespace halftone
