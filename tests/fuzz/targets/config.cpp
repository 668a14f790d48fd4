// A config.json, and behind a zero byte a generation_config.json, of a model whose tokenizer knows
// bytes and whose weights are not there.
#include "halftone/model/config.h"
#include "halftone/model/companions.h"
#include "halftone/model/plan.h"
#include "halftone/model/spec.h"
#include "halftone/text/tokenizer_files.h"
#include "model_use.h"
#include "reliability/tiny_model.h"

namespace halftone::fuzz {

HT_FUZZ_TARGET(config) {
  static const std::string tokenizer =
      scratch().write("tokenizer.json", testing::tiny_tokenizer_json());
  write_parts(input, {"config.json", "generation_config.json"});
  const std::string path = scratch().file("config.json");
  accepted([&] {
    const ModelConfig config = read_config(path);
    if (parse_config(config_json(config, DType::bf16), "written") != config)
      throw std::logic_error("the configuration is read back as another one");
    const DecoderSpec spec = decoder_spec(config);
    expected_weights(spec);
    parameter_count(spec);
    block_linear_weights(spec);
    plan_training(spec, {.tokens = 1024, .teacher = true}).total();
    plan_onebit(spec);
    accepted([&] { check_context(spec, 64, "context"); });
    accepted([&] { read_companions(scratch().path(), config); });
    accepted([&] { load_model_tokenizer(scratch().path(), config); });
  });
  accepted([&] { end_tokens(scratch().path()); });
  accepted([&] { use_inspection(scratch().path()); });
  accepted([&] { load_model(scratch().path()); });
}

}  // namespace halftone::fuzz
