#include "halftone/train/generate_data.h"
#include "halftone/model/spec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "halftone/model/build.h"
#include "halftone/model/import.h"

namespace halftone {
namespace {

TEST(SampleToken, DrawsNoIdWithoutAToken) {
  const std::vector<char> known{1, 0, 1, 0, 1};  // of 8 rows
  Rng rng(1, RngStream::test);
  std::vector<int> drawn(8);
  for (const int64_t top_k : {0, 1, 2, 5, 8})
    for (const double temperature : {0.0, 1.0, 100.0})
      for (int trial = 0; trial < 200; ++trial) {
        std::vector<float> logits{0, 9, 1, 9, 2, 9, 9, 9};
        forbid_unknown(logits.data(), 8, known);
        ++drawn[sample_token(logits.data(), 8, top_k, temperature, rng)];
      }
  for (const int id : {1, 3, 5, 6, 7}) EXPECT_EQ(drawn[id], 0) << id;
  for (const int id : {0, 2, 4}) EXPECT_GT(drawn[id], 0) << id;
}

TEST(SampleToken, DrawsTheSameWhereEveryIdHasAToken) {
  Rng one(2, RngStream::test), other(2, RngStream::test);
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<float> logits(50);
    for (size_t i = 0; i < logits.size(); ++i)
      logits[i] = static_cast<float>(10 * std::sin(static_cast<double>(trial + 7 * i)));
    const int32_t before = sample_token(logits.data(), 50, trial % 60, 1.3, one);
    forbid_unknown(logits.data(), 50, std::vector<char>(50, 1));
    EXPECT_EQ(sample_token(logits.data(), 50, trial % 60, 1.3, other), before);
  }
}

TEST(GenerateSequences, HoldKnownIdsAlone) {
  const ImportedModel imported =
      import_model(HALFTONE_SOURCE_DIR "/tests/fixtures/onebit_student/teacher", {.widen = true});
  Decoder teacher = build_decoder(decoder_spec(imported.config), imported.weights);
  GeneratorVocabulary vocabulary{.first_tokens = {0, 2, 4}};
  for (int64_t id = 0; id < imported.config.vocab_size / 2; ++id)
    vocabulary.known.push_back(id % 2 == 0);
  const GenerateSettings settings{.top_k = 0, .temperature = 50};
  int64_t count = 0;
  for (const auto& sequence : generate_sequences(teacher, vocabulary, settings, 12, 0, 30))
    for (const int32_t id : sequence) {
      ++count;
      EXPECT_TRUE(id % 2 == 0 && id < imported.config.vocab_size / 2) << id;
    }
  EXPECT_EQ(count, 30 * 12);
}

}  // namespace
}  // namespace halftone
