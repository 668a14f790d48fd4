// Rotary frequencies of every kind, and what a model computes with them, against transformers.
#include "halftone/model/rope.h"
#include "halftone/model/spec.h"

#include <gtest/gtest.h>

#include <cmath>

#include "config_testing.h"
#include "halftone/io/safetensors.h"
#include "halftone/io/strict_json.h"
#include "halftone/model/build.h"
#include "halftone/ops/head_loss.h"
#include "halftone/ops/losses.h"
#include "io/file_builders.h"

namespace halftone {
namespace {

using testing::expect_refused;
using testing::Json;
using testing::llama;
using testing::parse;
using testing::with;

const std::string kFixtures = HALFTONE_SOURCE_DIR "/tests/fixtures/rope/";

struct Case {
  std::string name;
  Json config;
  Json contexts;  // of context, inverse, factor and loss
};

struct Fixture {
  std::vector<int32_t> ids;
  std::vector<Case> cases;
};

Fixture read_fixture() {
  const Json all = read_json_file(kFixtures + "cases.json", 1 << 20);
  Fixture out{all["ids"], {}};
  for (const Json& one : all["cases"]) {
    Json config = all["base"];
    config.update(one["patch"]);
    out.cases.push_back({one["name"], config, one["contexts"]});
  }
  return out;
}

Decoder tiny_model(const ModelConfig& config) {
  Weights weights;
  for (const auto& [name, tensor] : read_safetensors(kFixtures + "model.safetensors").tensors)
    weights[name] = tensor.to(DType::f32);
  return build_decoder(decoder_spec(config), weights);
}

double loss_of(Decoder& model, const std::vector<int32_t>& ids) {
  Tape tape(Tape::Mode::no_grad);
  std::vector<int32_t> next(ids.begin() + 1, ids.end());
  next.push_back(kIgnoredTarget);
  return head_loss(model.hidden(tape, ids, 1), model.head_weight(tape), nullptr, &next,
                   {.label_weight = 1})
      .labels.item();
}

TEST(Rope, FrequenciesAreThoseOfTransformers) {
  for (const Case& c : read_fixture().cases) {
    SCOPED_TRACE(c.name);
    const ModelConfig config = parse(c.config);
    for (const Json& at : c.contexts) {
      const RotaryFrequencies found = rope_frequencies(config, at["context"]);
      EXPECT_NEAR(found.factor, at["factor"], 1e-12);
      const std::vector<double> expected = at["inverse"];
      ASSERT_EQ(found.inverse.size(), expected.size());
      for (size_t i = 0; i < expected.size(); ++i)  // made in float there
        EXPECT_NEAR(found.inverse[i] / expected[i], 1, 1e-6) << at["context"] << " " << i;
    }
  }
}

TEST(Rope, LossesOfATinyModelAreThoseOfTransformers) {
  const Fixture fixture = read_fixture();
  int compared = 0;
  for (const Case& c : fixture.cases) {
    SCOPED_TRACE(c.name);
    for (const Json& at : c.contexts) {
      if (!at.contains("loss")) continue;
      Decoder model = tiny_model(parse(c.config));
      const std::vector<int32_t> ids(fixture.ids.begin(),
                                     fixture.ids.begin() + at["context"].get<int64_t>());
      EXPECT_NEAR(loss_of(model, ids) / at["loss"].get<double>(), 1, 1e-6) << at["context"];
      ++compared;
    }
  }
  EXPECT_EQ(compared, 20 * 6);
}

// One decoder for all contexts: no table of an earlier one is left over.
TEST(Rope, EachContextHasItsOwnTable) {
  const Fixture fixture = read_fixture();
  for (const Case& c : fixture.cases) {
    if (c.name != "dynamic" && c.name != "longrope") continue;
    SCOPED_TRACE(c.name);
    Decoder model = tiny_model(parse(c.config));
    for (const size_t i : {5, 0, 3, 4, 1, 2}) {
      const Json& at = c.contexts[i];
      const std::vector<int32_t> ids(fixture.ids.begin(),
                                     fixture.ids.begin() + at["context"].get<int64_t>());
      EXPECT_NEAR(loss_of(model, ids) / at["loss"].get<double>(), 1, 1e-6) << at["context"];
    }
  }
}

// Fed in three parts to a cache, a sequence has the hidden states that it has in one.
TEST(Rope, ACachesCapacityIsTheContext) {
  const Fixture fixture = read_fixture();
  for (const Case& c : fixture.cases) {
    if (c.name != "dynamic" && c.name != "longrope" && c.name != "yarn") continue;
    SCOPED_TRACE(c.name);
    Decoder model = tiny_model(parse(c.config));
    const int64_t context = 96;
    const auto part = [&](int64_t begin, int64_t end) {
      return std::vector<int32_t>(fixture.ids.begin() + begin, fixture.ids.begin() + end);
    };
    const auto last_of_cache = [&](int64_t capacity) {
      KeyValueCache cache = model.make_cache(1, capacity);
      Tensor out;
      for (const auto& [begin, end] : {std::pair{0, 20}, {20, 95}, {95, 96}}) {
        Tape tape(Tape::Mode::no_grad);
        out = model.hidden(tape, part(begin, end), 1, &cache).value();
      }
      return out.rows(out.dim(0) - 1, out.dim(0));
    };
    Tape tape(Tape::Mode::no_grad);
    const Tensor whole = model.hidden(tape, part(0, context), 1).value();
    const Tensor same = last_of_cache(context), longer = last_of_cache(4 * context);
    double difference = 0;
    for (int64_t i = 0; i < same.numel(); ++i) {
      const float expected = whole.data<float>()[(context - 1) * whole.dim(1) + i];
      EXPECT_NEAR(same.data<float>()[i], expected, 2e-5);
      difference = std::max<double>(difference, std::abs(longer.data<float>()[i] - expected));
    }
    EXPECT_EQ(difference > 1e-3, c.name == "dynamic")
        << difference;  // the one that goes on growing
  }
}

TEST(Rope, EveryKindIsWrittenAndReadBack) {
  for (const Case& c : read_fixture().cases) {
    SCOPED_TRACE(c.name);
    const ModelConfig config = parse(c.config);
    const Json written = Json::parse(config_json(config, DType::f32));
    EXPECT_EQ(parse(written), config) << written;
    Json four = written, five = written;
    four.erase("rope_parameters");
    five.erase("rope_theta");
    five.erase("rope_scaling");
    EXPECT_EQ(parse(four), config) << four;
    EXPECT_EQ(parse(five), config) << five;
  }
}

const char* kLlama3 = R"({"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,)"
                      R"("high_freq_factor":4.0,"original_max_position_embeddings":8192})";

TEST(Rope, AllSpellingsOfTheSettingsMeanTheSame) {
  const Json scaling = Json::parse(kLlama3);
  const auto changed = [](const char* key, const Json& value) {
    Json json = llama();
    json[key] = value;
    return json;
  };
  const Json four = changed("rope_scaling", scaling);
  const ModelConfig expected = parse(four);
  EXPECT_EQ(expected.rope_scaling.kind, RopeScaling::Kind::llama3);

  Json parameters = scaling;
  parameters["rope_theta"] = 1e5;
  Json five = changed("rope_parameters", parameters);
  EXPECT_EQ(parse(five), expected);
  five["rope_scaling"] = scaling;
  EXPECT_EQ(parse(five), expected) << "both places";
  five.erase("rope_theta");
  five.erase("rope_scaling");
  EXPECT_EQ(parse(five), expected) << "theta in rope_parameters alone";

  Json older = scaling;
  older.erase("rope_type");
  older["type"] = "llama3";
  EXPECT_EQ(parse(changed("rope_scaling", older)), expected);
  older["rope_type"] = "llama3";
  EXPECT_EQ(parse(changed("rope_scaling", older)), expected) << "both names of the type";

  for (const char* plain :
       {"{}", R"({"rope_type": "default"})", R"({"type": "default", "factor": 1.0})",
        R"({"rope_type": null, "factor": null, "partial_rotary_factor": 1.0})"}) {
    EXPECT_EQ(parse(changed("rope_scaling", Json::parse(plain))), parse(llama())) << plain;
    EXPECT_EQ(parse(changed("rope_parameters", Json::parse(plain))), parse(llama())) << plain;
  }
}

TEST(Rope, TheThetaInsideHasPrecedence) {
  EXPECT_EQ(parse(with(llama(), R"({"rope_parameters": {"rope_theta": 5e5}})")).rope_theta, 5e5);
  EXPECT_EQ(parse(with(llama(), R"({"rope_scaling": {"rope_theta": 5e5}})")).rope_theta, 5e5);
}

// What a rope_scaling must not hold, and what is said of it.
const std::pair<const char*, const char*> kRefused[] = {
    {R"("llama3")", "rope_scaling is \"llama3\", expected an object"},
    {R"({"rope_type": "mrope"})",
     "rope_scaling.rope_type is \"mrope\", expected one of default, linear, dynamic, yarn, "
     "longrope, "
     "llama3"},
    {R"({"type": "su"})", "rope_scaling.type is \"su\", expected one of"},
    {R"({"rope_type": 3})", "rope_scaling.rope_type is 3, expected a text"},
    {R"({"rope_type": "yarn", "type": "linear", "factor": 2})",
     "rope_scaling.type is \"linear\", expected \"yarn\", as rope_type says"},
    {R"({"factor": 2.0})", "rope_scaling.factor is 2.0, expected 1 with rope_type default"},
    {R"({"rope_type": "linear"})", "rope_scaling.factor is missing, expected a number"},
    {R"({"rope_type": "linear", "factor": 0})", "rope_scaling.factor is 0, expected a number"},
    {R"({"rope_type": "linear", "factor": 0.5})", "rope_scaling.factor is 0.5"},
    {R"({"rope_type": "linear", "factor": "2"})", "rope_scaling.factor is \"2\""},
    {R"({"rope_type": "linear", "factor": 2, "attention_factor": 0.9})",
     "rope_scaling.attention_factor is 0.9, expected 1 with rope_type linear"},
    {R"({"rope_type": "linear", "factor": 2, "beta_fast": 32})",
     "rope_scaling.beta_fast is 32, which is on no list of keys"},
    {R"({"rope_type": "dynamic", "factor": 2, "alpha": 1000})",
     "rope_scaling.alpha is 1000, which"},
    {R"({"rope_type": "default", "mrope_section": [16, 24, 24]})",
     "rope_scaling.mrope_section is [16,24,24], which is on no list"},
    {R"({"full_attention": {"rope_theta": 1e5}})", "rope_scaling.full_attention is {"},
    {R"({"rope_type": "linear", "factor": 2, "rope_theta": 0})", "rope_scaling.rope_theta is 0"},
    {R"({"rope_type": "linear", "factor": 2, "partial_rotary_factor": 0.5})",
     "rope_scaling.partial_rotary_factor is 0.5, expected 1"},
    {R"({"rope_type": "yarn", "factor": 2, "beta_fast": 1, "beta_slow": 2})",
     "beta_fast is 1, expected at least beta_slow = 2"},
    {R"({"rope_type": "yarn", "factor": 2, "truncate": 1})", "rope_scaling.truncate is 1"},
    {R"({"rope_type": "yarn", "factor": 2, "attention_factor": 0})", "attention_factor is 0"},
    {R"({"rope_type": "yarn", "factor": 2, "original_max_position_embeddings": 0})",
     "rope_scaling.original_max_position_embeddings is 0"},
    {R"({"rope_type": "yarn", "factor": 2, "mscale": -1})", "rope_scaling.mscale is -1"},
    {R"({"rope_type": "yarn", "factor": 2, "rope_theta": 1})",
     "rope_theta is 1, expected more than 1 for yarn"},
    {R"({"rope_type": "longrope", "factor": 2})",
     "rope_scaling.short_factor is missing, expected a "
     "list of 32 numbers"},
    {R"({"rope_type": "longrope", "factor": 2, "short_factor": [1, 2], "long_factor": 3})",
     "rope_scaling.short_factor is [1,2], expected a list of 32 numbers"},
    {R"({"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4})",
     "low_freq_factor is 4, expected less than high_freq_factor = 4"},
    {R"({"rope_type": "llama3", "factor": 8, "high_freq_factor": 4})",
     "rope_scaling.low_freq_factor is missing"},
};

TEST(Rope, RefusesSettingsThatAreNotKnown) {
  for (const auto& [scaling, phrase] : kRefused) {
    SCOPED_TRACE(scaling);
    Json json = llama();
    json["rope_scaling"] = Json::parse(scaling);
    expect_refused(phrase, [&] { parse(json); });
  }
}

TEST(Rope, RefusesTwoPlacesThatDiffer) {
  const char* phrase = "expected the same as rope_scaling, or one of the two alone";
  Json json = llama();
  json["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 2}};
  for (const char* parameters :
       {R"({"rope_type": "default"})", R"({"rope_type": "linear", "factor": 3})",
        R"({"rope_type": "linear", "factor": 2, "rope_theta": 7e4})"}) {
    json["rope_parameters"] = Json::parse(parameters);
    expect_refused(phrase, [&] { parse(json); });
  }
}

}  // namespace
}  // namespace halftone
