#include "halftone/model/companions.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "halftone/base/error.h"
#include "io/file_builders.h"
#include "model/model_testing.h"

namespace halftone {
namespace {

using testing::expect_refused;
using testing::read_bytes;
using testing::TemporaryDirectory;

const std::string kTokenizer = HALFTONE_SOURCE_DIR "/recipes/quickstart/teacher/tokenizer.json";

TEST(Companions, AreReadAndWrittenAsTheyAre) {
  const TemporaryDirectory from, to;
  from.write("tokenizer.json", "{}");
  from.write("generation_config.json", "{\"eos_token_id\": 7}");
  from.write("model.safetensors", "none of them");
  const Companions found = read_companions(from.path(), testing::tiny_config());
  EXPECT_EQ(found.files.size(), 2u);
  to.write("tokenizer.json", "mine");
  write_companions(found, to.path(), false);
  EXPECT_EQ(read_bytes(to.file("tokenizer.json")), "mine");
  EXPECT_EQ(read_bytes(to.file("generation_config.json")), "{\"eos_token_id\": 7}");
  write_companions(found, to.path(), true);
  EXPECT_EQ(read_bytes(to.file("tokenizer.json")), "{}");
}

TEST(Companions, GenerationSettingsAreMadeOfTheConfigurationWhereThereAreNone) {
  const TemporaryDirectory home;
  ModelConfig config = testing::tiny_config();
  EXPECT_TRUE(read_companions(home.path(), config).files.empty());
  config.bos_token_id = 1;
  config.eos_token_ids = {2};
  EXPECT_EQ(read_companions(home.path(), config).files.at("generation_config.json"),
            "{\n  \"bos_token_id\": 1,\n  \"eos_token_id\": 2\n}\n");
  config.eos_token_ids = {2, 5};
  EXPECT_NE(read_companions(home.path(), config)
                .files.at("generation_config.json")
                .find("\"eos_token_id\": ["),
            std::string::npos);
}

TEST(Companions, ATokenizerWithMoreIdsThanTheModelHasRowsIsRefused) {
  const TemporaryDirectory home;
  home.write("tokenizer.json", read_bytes(kTokenizer));
  ModelConfig config = testing::tiny_config();
  config.vocab_size = load_tokenizer(kTokenizer)->vocab_size();
  EXPECT_EQ(load_model_tokenizer(home.path(), config)->vocab_size(), config.vocab_size);
  config.vocab_size -= 2;
  expect_refused("at least as many expected", [&] { load_model_tokenizer(home.path(), config); });
}

TEST(Companions, TokensWithoutARowAreNamed) {
  const ModelConfig config = testing::tiny_config();
  const std::vector<int32_t> ids{0, 39}, beyond{0, 40, 3};
  EXPECT_NO_THROW(require_rows(ids, config, "text.tok"));
  expect_refused("text.tok: holds token 40, but the model's embedding 40 rows",
                 [&] { require_rows(beyond, config, "text.tok"); });
}

}  // namespace
}  // namespace halftone
