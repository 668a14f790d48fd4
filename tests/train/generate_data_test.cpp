#include "halftone/train/generate_data.h"
#include "halftone/model/spec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "halftone/model/build.h"
#include "halftone/model/import.h"

namespace halftone {
namespace {

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
