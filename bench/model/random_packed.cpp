// Writes a packed model of random signs, of a shape whose teacher would not fit this machine:
//   random_packed smol|7b OUT.packed
// for `halftone bench OUT.packed`, whose speed does not depend on what the weights are.
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/models.h"
#include "halftone/base/rng.h"
#include "halftone/io/packed_file.h"
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

Tensor random_signs(const Slot& slot, Rng& rng) {
  const SignTiles w{.rows = slot.out, .columns = slot.in};
  Tensor words = Tensor::uninitialized({w.tiles(), w.chunks(), SignTiles::kRows * 4}, DType::u8);
  auto* at = words.data<uint8_t>();
  for (int64_t i = 0; i < words.numel(); ++i) at[i] = static_cast<uint8_t>(rng.below(256));
  return words;
}

PackedContent random_content(const ModelConfig& config) {
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
      forms[slot.hf] = "onebit row";
      out.tensors[slot.hf + ".words"] = random_signs(slot, rng);
      const SignTiles w{.rows = slot.out, .columns = slot.in};
      out.tensors[slot.hf + ".scales"] =
          Tensor::full({w.tiles(), 1, SignTiles::kRows}, DType::f16, 0.02);
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
  const std::string shape = argc == 3 ? argv[1] : "";
  if (shape != "smol" && shape != "7b") {
    std::fputs("usage: random_packed smol|7b OUT.packed\n", stderr);
    return 2;
  }
  halftone::write_packed_file(argv[2], random_content(shape == "7b" ? llama_7b() : smollm2_135m()));
}
