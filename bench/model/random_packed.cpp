// Writes a packed model of random weights, of a shape whose teacher would not fit this machine:
//   random_packed smol|7b OUT.packed [FORM]
// FORM as docs/formats.md has it: "onebit row", or of a post-training method, such as
// "uniform 2 128 0 0", "binary 0 0 0 0 1" (XNOR), "binary 128 0 1 0 1" (BiLLM), "binary 128 1 1 1
// 1"; for `halftone bench OUT.packed`, whose speed does not depend on what the weights are.
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/models.h"
#include "halftone/base/rng.h"
#include "halftone/base/rounding.h"
#include "halftone/io/packed_file.h"
#include "halftone/quant/coded_form.h"
#include "halftone/quant/packed_codes.h"
#include "halftone/tensor/sign_tiles.h"

namespace halftone::bench {
namespace {

ModelConfig llama_7b() {
  return {.hidden_size = 4096,
          .intermediate_size = 11008,
          .num_hidden_layers = 32,
          .num_attention_heads = 32,
          .num_key_value_heads = 32,
          .head_dim = 128,
          .vocab_size = 32000,
          .max_position_embeddings = 4096,
          .rms_norm_eps = 1e-5,
          .tie_word_embeddings = false};
}

constexpr const char* kRowForm = "onebit row";

Tensor random_signs(const Slot& slot, Rng& rng) {
  const SignTiles w{.rows = slot.out, .columns = slot.in};
  Tensor words = Tensor::uninitialized({w.tiles(), w.chunks(), SignTiles::kRows * 4}, DType::u8);
  auto* at = words.data<uint8_t>();
  for (int64_t i = 0; i < words.numel(); ++i) at[i] = static_cast<uint8_t>(rng.below(256));
  return words;
}

Tensor random_codes(int64_t count, int bits, Rng& rng, uint64_t most) {
  std::vector<uint8_t> codes(static_cast<size_t>(count));
  for (uint8_t& code : codes) code = static_cast<uint8_t>(rng.below(most));
  return pack_codes(codes, bits);
}

// Of a binary matrix a tenth of the columns are salient.
LowBitMatrix random_matrix(const LowBitLayout& layout, int64_t rows, int64_t columns, Rng& rng) {
  LowBitMatrix m{.layout = layout, .rows = rows, .columns = columns, .parts = {}};
  const int64_t weights = rows * columns;
  const auto blocks = [&](int64_t width) { return width ? divide_up(columns, width) : 1; };
  const auto halves = [](int64_t count) { return Tensor::full({count}, DType::f16, 0.02); };
  if (const auto* l = std::get_if<UniformLayout>(&layout)) {
    const int q = static_cast<int>(l->bits);
    const int64_t grids = rows * blocks(l->group_size);
    m.parts["codes"] = random_codes(weights, q, rng, uint64_t{1} << q);
    m.parts["scales"] = halves(grids);
    if (!l->symmetric) m.parts["zeros"] = random_codes(grids, q, rng, uint64_t{1} << q);
    return m;
  }
  const auto& l = std::get<BinaryLayout>(layout);
  m.parts["signs"] = random_codes(weights, 1, rng, 2);
  m.parts["row_values"] = halves(blocks(l.blocksize) * rows * l.row_values());
  int64_t salient = 0;
  if (l.partitioned) {
    std::vector<uint8_t> bits(static_cast<size_t>(columns));
    for (uint8_t& bit : bits) salient += bit = rng.below(10) == 0;
    m.parts["salient"] = pack_codes(bits, 1);
    m.parts["groups"] = random_codes(weights, l.group_bits(), rng, 2);
    m.parts["residual_signs"] = random_codes(rows * salient, 1, rng, 2);
  }
  if (l.row_column)
    m.parts["column_values"] =
        halves(2 * l.salient_groups() * salient + l.rest_groups() * (columns - salient));
  return m;
}

std::map<std::string, Tensor> random_linear(const std::string& form, const Slot& slot, Rng& rng) {
  if (form != kRowForm)
    return coded_tensors(coded_form(random_matrix(parse_layout(form), slot.out, slot.in, rng)));
  const SignTiles w{.rows = slot.out, .columns = slot.in};
  return {{"words", random_signs(slot, rng)},
          {"scales", Tensor::full({w.tiles(), 1, SignTiles::kRows}, DType::f16, 0.02)}};
}

PackedContent random_content(const ModelConfig& config, const std::string& form) {
  const DecoderSpec spec = decoder_spec(config);
  PackedContent out;
  nlohmann::json forms = nlohmann::json::object();
  Rng rng(1, RngStream::test);
  for (const BlockSpec& block : spec.blocks)
    for (const Slot& slot : block.slots) {
      if (slot.is_norm()) {
        out.tensors[slot.hf + ".weight"] = Tensor::full({slot.out}, DType::f32, 1);
        continue;
      }
      forms[slot.hf] = form;
      for (auto& [part, tensor] : random_linear(form, slot, rng))
        out.tensors[slot.hf + "." + part] = tensor;
    }
  out.tensors[spec.final_norm->hf + ".weight"] = Tensor::full({spec.hidden_size}, DType::f32, 1);
  const Tensor table = Tensor::full({spec.vocab_size, spec.hidden_size}, DType::f16, 0.01);
  out.tensors[spec.embedding.hf + ".weight"] = table;
  if (spec.head) out.tensors[spec.head->hf + ".weight"] = table;
  out.meta = {{"config", config_json(config, DType::f32)}, {"linear_forms", forms.dump()}};
  return out;
}

}  // namespace
}  // namespace halftone::bench

int main(int argc, char** argv) {
  using namespace halftone::bench;
  const std::string shape = argc == 3 || argc == 4 ? argv[1] : "";
  if (shape != "smol" && shape != "7b") {
    std::fputs("usage: random_packed smol|7b OUT.packed [FORM]\n", stderr);
    return 2;
  }
  halftone::write_packed_file(argv[2], random_content(shape == "7b" ? llama_7b() : smollm2_135m(),
                                                      argc == 4 ? argv[3] : kRowForm));
}
