// Text drawn from a teacher on a GPU: the ids that the CPU draws.
#include <gtest/gtest.h>

#include "gpu/gpu_testing.h"
#include "halftone/model/build.h"
#include "halftone/model/spec.h"
#include "halftone/tensor/device.h"
#include "halftone/train/generate_data.h"

namespace halftone {
namespace {

Decoder teacher(int64_t heads, int64_t key_value_heads, int64_t head_dim) {
  const ModelConfig config = small_config(heads, key_value_heads, head_dim);
  Weights weights = random_weights(decoder_spec(config), 3);
  for (auto& [name, tensor] : weights)  // so that likeliest ids are far apart
    if (tensor.rank() == 2)
      for (int64_t i = 0; i < tensor.numel(); ++i) tensor.data<float>()[i] *= 4;
  return build_decoder(decoder_spec(config), weights);
}

TEST(GenerationOnGpu, DrawsTheIdsOfTheCpu) {
  for (const int64_t head_dim : {64, 24}) {
    for (const int64_t key_value_heads : {1, 3}) {
      GeneratorVocabulary vocabulary{.first_tokens = {5, 6, 7, 8}, .end_token = 3};
      vocabulary.known.assign(490, 1);
      vocabulary.known[17] = 0;
      for (const bool prefixed : {false, true}) {
        for (int32_t i = 0; i < 400 && prefixed; ++i) vocabulary.prefixes.push_back(i);
        GenerateSettings settings{.sequences = 40, .top_k = 12};
        settings.prefix_tokens = {2, 9};
        Decoder model = teacher(3, key_value_heads, head_dim);
        const auto expected = generate_sequences(model, vocabulary, settings, 40, 0, 40);
        model.move_to(Device::cuda, DType::f32);
        EXPECT_EQ(generate_sequences(model, vocabulary, settings, 40, 0, 40), expected)
            << head_dim << ", " << key_value_heads;
      }
    }
  }
}

}  // namespace
}  // namespace halftone
