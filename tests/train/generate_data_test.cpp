#include "halftone/train/generate_data.h"
#include "halftone/model/spec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

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

TEST(GenerateSequences, BeginWithPassagesOfTheText) {
  const ImportedModel imported =
      import_model(HALFTONE_SOURCE_DIR "/tests/fixtures/onebit_student/teacher", {.widen = true});
  Decoder teacher = build_decoder(decoder_spec(imported.config), imported.weights);
  // Two documents of rising ids, an end token behind each.
  GeneratorVocabulary vocabulary{.first_tokens = {0}, .end_token = 0};
  for (int32_t id = 1; id < 30; ++id) vocabulary.prefixes.push_back(id);
  vocabulary.prefixes.push_back(0);
  GenerateSettings settings{.top_k = 5};
  settings.prefix_tokens = {3, 6};
  const auto all = generate_sequences(teacher, vocabulary, settings, 12, 0, 40);
  std::set<size_t> lengths;
  for (const auto& sequence : all) {
    size_t length = 1;
    while (length < sequence.size() && sequence[length] == sequence[length - 1] + 1) ++length;
    const bool cut = sequence[0] + 3 > 30;  // by the end of the document
    EXPECT_GE(length, cut ? static_cast<size_t>(30 - sequence[0]) : 3u) << sequence[0];
    lengths.insert(length);
  }
  EXPECT_GE(lengths.size(), 3u);
  EXPECT_EQ(generate_sequences(teacher, vocabulary, settings, 12, 30, 10),
            std::vector(all.begin() + 30, all.end()));
}

}  // namespace
}  // namespace halftone
