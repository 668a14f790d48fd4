#include "sign_gemm.h"

#include <algorithm>
#include <vector>

#include "fetch_ahead.h"
#include "halftone/base/rounding.h"
#include "halftone/tensor/memory.h"
#include "transpose.h"

namespace halftone {
namespace {

constexpr int64_t kGroup = 4;           // inputs a table
constexpr int64_t kEntries = 16;        // sums of a group
constexpr int64_t kPanel = 4;           // outputs summed at a time
constexpr int64_t kWritten = 8;         // outputs written at a time
constexpr int64_t kTableBytes = 24576;  // of a chunk: half to three quarters of a first-level cache
constexpr int64_t kOutputs = 1024;      // whose sums stay in the second-level cache

// Which entry of its group's table an output adds: words[panel][group] has a byte an output of the
// panel, eight times the entry's number, bit k of which is set where the sign of the group's input
// k is +1.
class SignIndex {
 public:
  SignIndex(Transpose tw, const Tensor& w)
      : along_rows_(tw == Transpose::yes),
        groups_(divide_up(w.dim(along_rows_ ? 1 : 0), 4)),
        words_(allocate(static_cast<size_t>(divide_up(w.dim(0), 4) * divide_up(w.dim(1), 4)) * 4)) {
    const int64_t rows = w.dim(0), columns = w.dim(1);
    parallel_for(rows, 32, [&](int64_t begin, int64_t end) {
      simd([&]() HT_INLINE {
        for (int64_t r = begin; r < end; r += 4)
          pack(std::min<int64_t>(4, end - r), columns, w.data<float>() + r * columns, r / 4);
      });
    });
  }

  explicit SignIndex(const SignTiles& w)
      : along_rows_(true),
        groups_(divide_up(w.columns, kGroup)),
        words_(allocate(static_cast<size_t>(divide_up(w.rows, kPanel) * groups_) * 4)) {
    constexpr int64_t kPanels = SignTiles::kRows / kPanel;
    const auto* stored = reinterpret_cast<const uint32_t*>(w.words.data<uint8_t>());
    parallel_for(divide_up(w.rows, kPanel), 8, [&](int64_t begin, int64_t end) {
      for (int64_t panel = begin; panel < end; ++panel) {
        const uint32_t* tile =
            stored + panel / kPanels * w.chunks() * SignTiles::kRows + panel % kPanels * kPanel;
        uint32_t* out = words() + panel * groups_;
        for (int64_t g = 0; g < groups_; ++g) {
          const uint32_t* rows = tile + g / 8 * SignTiles::kRows;
          uint32_t word = 0;
          for (int r = 0; r < kPanel; ++r) word |= (~rows[r] >> 4 * (g % 8) & 15u) << (8 * r + 3);
          out[g] = word;
        }
      }
    });
  }

  int64_t groups() const { return groups_; }
  const uint8_t* at(int64_t output, int64_t group) const {
    return reinterpret_cast<const uint8_t*>(words() + output / kPanel * groups_ + group);
  }

 private:
  uint32_t* words() const { return static_cast<uint32_t*>(words_.get()); }

  // Four stored rows: a panel of outputs with groups along it, or a group with panels along it.
  // Four columns of them are a word; rows and columns beyond the last have no bit set.
  HT_INLINE void pack(int64_t rows, int64_t n, const float* w, int64_t four) {
    constexpr int64_t kColumns = 256;
    uint32_t bits[kColumns];
    const int column_shift = along_rows_ ? 1 : 8, row_shift = along_rows_ ? 8 : 1;
    const float* row[4];
    uint32_t bit[4];
    for (int64_t r = 0; r < 4; ++r) {
      row[r] = w + std::min(r, rows - 1) * n;
      bit[r] = r < rows ? 8u << (row_shift * r) : 0u;
    }
    for (int64_t first = 0; first < n; first += kColumns) {
      const int64_t count = std::min(kColumns, n - first);
      const float *a = row[0] + first, *b = row[1] + first, *c = row[2] + first,
                  *d = row[3] + first;
      for (int64_t j = 0; j < count; ++j)
        bits[j] = ((a[j] >= 0.0f ? bit[0] : 0u) | (b[j] >= 0.0f ? bit[1] : 0u) |
                   (c[j] >= 0.0f ? bit[2] : 0u) | (d[j] >= 0.0f ? bit[3] : 0u))
                  << (column_shift * (j & 3));
      std::fill_n(bits + count, -count & 3, 0u);
      for (int64_t j = 0; j < count; j += 4) {
        const int64_t other = (first + j) / 4;
        words()[along_rows_ ? four * groups_ + other : other * groups_ + four] =
            bits[j] | bits[j + 1] | bits[j + 2] | bits[j + 3];
      }
    }
  }

  bool along_rows_;
  int64_t groups_;
  std::shared_ptr<void> words_;
};

// x_scale may be null. Scales of outputs are one or several an output, each for as many inputs:
// y_scale[scale group][output].
struct Product {
  int64_t tokens, inputs, outputs, scale_groups;
  const float *x, *x_scale, *y_scale;
  float beta;
  float* y;
};

// The kernels for blocks of `kTokens` tokens, V vectors of them; a table's entry is one number a
// token.
template <int V, class Vector>
struct Kernels {
  static constexpr int64_t kLanes = sizeof(Vector) / sizeof(float), kTokens = V * kLanes;
  static constexpr int64_t kChunk = kTableBytes / (kEntries * kTokens * 4);  // groups

  // The scaled inputs first .. of the block's tokens, transposed: out[input][token]. What lies
  // beyond the last token or input is zero.
  HT_INLINE static void turn(const Product& p, int64_t token, int64_t first, int64_t inputs,
                             float* out) {
    alignas(64) float scaled[kLanes][kChunk * kGroup];
    const int64_t there = std::min(inputs, p.inputs - first);
    for (int64_t t = 0; t < kTokens; t += kLanes) {
      const float* rows[kLanes];
      for (int64_t r = 0; r < kLanes; ++r) {
        rows[r] = scaled[r];
        const int64_t known = token + t + r < p.tokens ? there : 0;
        const float* x = p.x + (token + t + r) * p.inputs + first;
        if (const float* scale = p.x_scale ? p.x_scale + first : nullptr)
          for (int64_t j = 0; j < known; ++j) scaled[r][j] = scale[j] * x[j];
        else
          std::copy_n(x, known, scaled[r]);
        for (int64_t j = known; j < inputs; ++j) scaled[r][j] = 0.0f;
      }
      transpose_rows<Vector>(inputs, rows, kTokens, out + t);
    }
  }

  // The table of one group: sum_k +-x_k, from four transposed inputs.
  HT_INLINE static void make_table(const float* transposed, float* table) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v, transposed += kLanes, table += kLanes) {
      Vector x[4];
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) std::memcpy(&x[k], transposed + k * kTokens, sizeof(Vector));
      const Vector low[4] = {-x[0] - x[1], x[0] - x[1], x[1] - x[0], x[0] + x[1]},
                   high[4] = {-x[2] - x[3], x[2] - x[3], x[3] - x[2], x[2] + x[3]};
#pragma GCC unroll 16
      for (int e = 0; e < kEntries; ++e) {
        const Vector sum = low[e % 4] + high[e / 4];
        std::memcpy(table + e * kTokens, &sum, sizeof(Vector));
      }
    }
  }

  // sums (kPanel x kTokens) = or += the entries that a panel's outputs take of each table.
  HT_INLINE static void add_entries(int64_t groups, const uint8_t* index, const float* tables,
                                    bool add, float* sums) {
    Vector s[kPanel][V] = {};
    if (add) {
#pragma GCC unroll 4
      for (int r = 0; r < kPanel; ++r)
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v)
          std::memcpy(&s[r][v], sums + r * kTokens + v * kLanes, sizeof(Vector));
    }
    // The words of two groups at once, cut by shifts: loads are what the loop waits for.
    const char* table = reinterpret_cast<const char*>(tables);
    const auto add_group = [&](uint64_t word) HT_INLINE {
#pragma GCC unroll 4
      for (int r = 0; r < kPanel; ++r) {
        const char* entry = table + (word >> (8 * r) & 255) * (kTokens * 4 / 8);
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) {
          Vector x;
          std::memcpy(&x, entry + v * sizeof(Vector), sizeof(Vector));
          s[r][v] += x;
        }
      }
      table += kEntries * kTokens * 4;
    };
    int64_t g = 0;
    for (; g + 2 <= groups; g += 2, index += 2 * kPanel) {
      uint64_t words;
      std::memcpy(&words, index, 2 * kPanel);
      add_group(words);
      add_group(words >> 32);
    }
    if (g < groups) {
      uint32_t word;
      std::memcpy(&word, index, kPanel);
      add_group(word);
    }
#pragma GCC unroll 4
    for (int r = 0; r < kPanel; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v)
        std::memcpy(sums + r * kTokens + v * kLanes, &s[r][v], sizeof(Vector));
  }

  // total (outputs x kTokens) = or += scale o sums
  HT_INLINE static void add_scaled(int64_t outputs, const float* scale, const float* sums, bool add,
                                   float* total) {
    for (int64_t o = 0; o < outputs; ++o)
      for (int64_t t = 0; t < kTokens; ++t)
        total[o * kTokens + t] =
            (add ? total[o * kTokens + t] : 0.0f) + scale[o] * sums[o * kTokens + t];
  }

  // y of the block's tokens and up to kWritten outputs from their sums.
  HT_INLINE static void write(const Product& p, int64_t token, int64_t output, int64_t outputs,
                              float* sums) {
    const int64_t tokens = std::min(kTokens, p.tokens - token);
    alignas(64) float transposed[kTokens * kWritten];
    const float* rows[kWritten];
    for (int64_t r = 0; r < kWritten; ++r) {
      float* row = sums + std::min(r, outputs - 1) * kTokens;
      rows[r] = row;
      if (r >= outputs) continue;
      if (p.scale_groups > 1) continue;
      const float scale = p.y_scale[output + r];
      for (int64_t t = 0; t < kTokens; ++t) row[t] *= scale;
    }
    transpose_rows<Eight>(kTokens, rows, kWritten, transposed);
    const auto store = [&](size_t bytes, int64_t count) HT_INLINE {
      for (int64_t t = 0; t < count; ++t) {
        float* y = p.y + (token + t) * p.outputs + output;
        Eight before{}, after;
        if (p.beta != 0.0f) std::memcpy(&before, y, bytes);
        std::memcpy(&after, transposed + t * kWritten, sizeof(Eight));
        after += before;
        std::memcpy(y, &after, bytes);
      }
    };
    if (outputs == kWritten && tokens == kTokens)
      store(sizeof(Eight), kTokens);
    else
      store(outputs * sizeof(float), tokens);
  }

  // All of the product for one block of tokens and the outputs [begin, end); `sums` has room for
  // those of a group of scales, and where there are several for their total behind them.
  HT_INLINE static void multiply(const Product& p, const SignIndex& index, int64_t token,
                                 int64_t begin, int64_t end, float* sums) {
    alignas(64) float transposed[kChunk * kGroup * kTokens];
    alignas(64) float tables[kTableBytes / 4];
    const int64_t panels = divide_up(end - begin, kPanel),
                  scaled = divide_up(index.groups(), p.scale_groups);  // groups with one scale
    float* total = sums + panels * kPanel * kTokens;
    for (int64_t group = 0, groups; group < index.groups(); group += groups) {
      groups = std::min({kChunk, index.groups() - group, scaled - group % scaled});
      turn(p, token, group * kGroup, groups * kGroup, transposed);
      for (int64_t g = 0; g < groups; ++g)
        make_table(transposed + g * kGroup * kTokens, tables + g * kEntries * kTokens);
      const int64_t next = (group + groups) * kGroup;
      const int64_t tokens = std::min(kTokens, p.tokens - token);
      FetchAhead ahead =
          next < p.inputs
              ? FetchAhead(p.x + token * p.inputs + next, p.inputs, tokens,
                           std::min(kChunk * kGroup, p.inputs - next), panels)
              : FetchAhead(p.y + token * p.outputs + begin, p.outputs, tokens, end - begin, panels);
      for (int64_t panel = 0; panel < panels; ++panel) {
        ahead.next();
        add_entries(groups, index.at(begin + panel * kPanel, group), tables, group % scaled > 0,
                    sums + panel * kPanel * kTokens);
      }
      if (p.scale_groups > 1 && (group + groups) % scaled == 0)
        add_scaled(end - begin, p.y_scale + group / scaled * p.outputs + begin, sums,
                   group >= scaled, total);
    }
    float* out = p.scale_groups > 1 ? total : sums;
    for (int64_t o = begin; o < end; o += kWritten)
      write(p, token, o, std::min(kWritten, end - o), out + (o - begin) * kTokens);
  }

  static void run(const Product& p, const SignIndex& index, const RowSteps& steps,
                  const auto& with_isa) {
    const int64_t blocks = divide_up(p.tokens, kTokens);
    // Few tokens: the outputs are shared out as well, at the cost of tables made again.
    const int64_t wanted = std::max(divide_up(p.outputs, kOutputs), 2 * threads() / blocks);
    const int64_t part = round_up(divide_up(p.outputs, wanted), kPanel);
    const int64_t parts = divide_up(p.outputs, part);
    if (parts > 1) parallel_for(p.tokens, kTokens, steps.before);
    const int64_t together = std::max<int64_t>(blocks * parts / (8 * threads()), 1);
    parallel_for(blocks * parts, together, [&](int64_t first, int64_t last) {
      const auto sums = allocate(static_cast<size_t>(part * kTokens) * sizeof(float) *
                                 (p.scale_groups > 1 ? 2 : 1));
      for (int64_t task = first; task < last; ++task) {
        const int64_t token = task / parts * kTokens, begin = task % parts * part;
        const int64_t end = std::min(token + kTokens, p.tokens);
        if (parts == 1) steps.before(token, end);
        with_isa([&]() HT_INLINE {
          multiply(p, index, token, begin, std::min(begin + part, p.outputs),
                   static_cast<float*>(sums.get()));
        });
        if (parts == 1) steps.after(token, end);
      }
    });
    if (parts > 1) parallel_for(p.tokens, kTokens, steps.after);
  }
};

void run(const Product& product, const SignIndex& index, const RowSteps& steps) {
  if (isa() == Isa::avx512)
    Kernels<2, Sixteen>::run(product, index, steps, [](const auto& body) { simd_avx512(body); });
  else if (isa() == Isa::avx2)
    Kernels<2, Eight>::run(product, index, steps, [](const auto& body) { simd_avx2(body); });
  else
    Kernels<2, Four>::run(product, index, steps, [](const auto& body) { body(); });
}

}  // namespace

void sign_gemm(Transpose tw, const Tensor& x, const Tensor& w, const Tensor& x_scale,
               const Tensor& y_scale, double beta, Tensor& y, const RowSteps& steps) {
  require(w.rank() == 2 && x.rank() == 2 && y.rank() == 2, "sign_gemm: ranks {}, {}, {}", x.rank(),
          w.rank(), y.rank());
  const int64_t inputs = w.dim(tw == Transpose::yes ? 1 : 0),
                outputs = w.dim(tw == Transpose::yes ? 0 : 1);
  require(x.dim(1) == inputs && y.shape() == Shape{x.dim(0), outputs} &&
              x_scale.shape() == Shape{inputs} && y_scale.shape() == Shape{outputs} &&
              (beta == 0 || beta == 1),
          "sign_gemm: x {}, w {}, x_scale {}, y_scale {}, y {}, beta {}", shape_text(x.shape()),
          shape_text(w.shape()), shape_text(x_scale.shape()), shape_text(y_scale.shape()),
          shape_text(y.shape()), beta);
  run({.tokens = x.dim(0),
       .inputs = inputs,
       .outputs = outputs,
       .scale_groups = 1,
       .x = x.data<float>(),
       .x_scale = x_scale.data<float>(),
       .y_scale = y_scale.data<float>(),
       .beta = static_cast<float>(beta),
       .y = y.data<float>()},
      SignIndex(tw, w), steps);
}

void sign_gemm(const Tensor& x, const Tensor& x_scale, const SignTiles& w, Tensor& y) {
  constexpr int64_t kRows = SignTiles::kRows;
  Tensor y_scale = Tensor::uninitialized({w.groups, w.rows}, DType::f32);
  const half_t* scales = w.scales.data<half_t>();
  for (int64_t k = 0; k < w.groups; ++k)
    for (int64_t o = 0; o < w.rows; ++o)
      y_scale.data<float>()[k * w.rows + o] =
          to_float(scales[(o / kRows * w.groups + k) * kRows + o % kRows]);
  run({.tokens = x.dim(0),
       .inputs = w.columns,
       .outputs = w.rows,
       .scale_groups = w.groups,
       .x = x.data<float>(),
       .x_scale = x_scale.defined() ? x_scale.data<float>() : nullptr,
       .y_scale = y_scale.data<float>(),
       .beta = 0,
       .y = y.data<float>()},
      SignIndex(w), {});
}

}  // namespace halftone
