// Random tensors, and a small decoder made by hand.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "halftone/base/rng.h"
#include "halftone/nn/decoder.h"
#include "halftone/tensor/arithmetic.h"

namespace halftone::testing {

inline Tensor random_floats(const Shape& shape, uint64_t stream, double deviation = 0.3) {
  Tensor out = Tensor::uninitialized(shape, DType::f32);
  Rng rng(11, stream);
  fill_normal(out, deviation, rng);
  return out;
}

inline double largest_difference(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape(), b.shape());
  double worst = 0;
  for (int64_t i = 0; i < a.numel(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(a.data<float>()[i]) - b.data<float>()[i]));
  return worst;
}

// Two blocks of width 8, two heads that share their keys, 12 tokens.
inline DecoderSpec small_spec() {
  DecoderSpec spec{.hidden_size = 8,
                   .vocab_size = 12,
                   .embedding = {"embed", "e"},
                   .embedding_size = 8,
                   .final_norm = OuterNames{"norm", "n"}};
  spec.frequencies.push_back([](int64_t) { return RotaryFrequencies{{1.0, 0.1}}; });
  for (const std::string block : {"0.", "1."}) {
    const auto norm = [&](SlotRole role, const std::string& name) {
      return Slot{.role = role, .hf = block + name, .out = 8};
    };
    const auto linear = [&](SlotRole role, const std::string& name, int64_t out, int64_t in) {
      return Slot{.role = role, .hf = block + name, .out = out, .in = in};
    };
    spec.blocks.push_back(
        {.slots = {norm(SlotRole::attention_norm, "an"), linear(SlotRole::q, "q", 8, 8),
                   linear(SlotRole::k, "k", 4, 8), linear(SlotRole::v, "v", 4, 8),
                   linear(SlotRole::o, "o", 8, 8), norm(SlotRole::mlp_norm, "mn"),
                   linear(SlotRole::gate, "gate", 10, 8), linear(SlotRole::up, "up", 10, 8),
                   linear(SlotRole::down, "down", 8, 10)},
         .heads = 2,
         .key_value_heads = 1,
         .head_dim = 4});
  }
  return spec;
}

// Random parameters for all that the spec names.
inline Decoder small_decoder(const DecoderSpec& spec = small_spec()) {
  uint64_t stream = 1;
  const auto param = [&](const std::string& name, Shape shape) {
    return Param{.name = name + ".weight", .value = random_floats(shape, stream++)};
  };
  const auto norm = [&](const std::string& name) {
    Norm out{.spec = spec.norm, .gain = param(name, {8}), .bias = {}};
    return out;
  };
  Decoder out;
  out.spec = spec;
  out.embedding = param(spec.embedding.hf, {spec.vocab_size, spec.embedding_size});
  if (spec.positions) out.positions = param(spec.positions->names.hf, {spec.positions->rows, 8});
  if (spec.projections) {
    out.project_in = param(spec.projections->in.hf, {8, spec.embedding_size});
    out.project_out = param(spec.projections->out.hf, {spec.embedding_size, 8});
  }
  for (const BlockSpec& block : spec.blocks) {
    out.blocks.emplace_back();
    out.blocks.back().spec = block;
    for (const Slot& slot : block.slots) {
      if (slot.is_norm())
        out.blocks.back().norms[slot.role] = norm(slot.hf);
      else
        out.blocks.back().linears[slot.role] =
            std::make_unique<Linear>(slot.hf, random_floats({slot.out, slot.in}, stream++));
    }
  }
  if (spec.final_norm) out.final_norm = norm(spec.final_norm->hf);
  if (spec.head) out.head = param(spec.head->hf, {spec.vocab_size, spec.embedding_size});
  return out;
}

}  // namespace halftone::testing
