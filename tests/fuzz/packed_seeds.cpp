// Packed models as small as they get: what they cost is reading their lists, a tensor a line.
#include <regex>
#include <set>

#include "halftone/compress/onebit_start.h"
#include "halftone/io/packed_file.h"
#include "halftone/model/packed.h"
#include "halftone/quant/methods.h"
#include "halftone/text/ready_tokenizer.h"
#include "seeds.h"
#include "tiny_run.h"

namespace halftone::fuzz {
namespace {

LoadedModel tiny_model(const std::string& config) {
  LoadedModel out;
  out.config = parse_config(config, "tiny config");
  const DecoderSpec spec = decoder_spec(out.config);
  out.decoder = build_decoder(spec, random_weights(spec, 3));
  return out;
}

LoadedModel student(const StudentSettings& settings, const std::string& config = kConfig) {
  LoadedModel out = tiny_model(config);
  start_onebit(out.decoder, settings);
  out.decoder = decoder_of(model_content(out.decoder, out.config), out.config);
  return out;
}

// The first linears are.
LoadedModel quantised(const char* method, int linears) {
  LoadedModel out = tiny_model(kConfig);
  out.decoder.visit_linears([&](std::unique_ptr<LinearLike>& linear) {
    if (--linears < 0) return;
    const Tensor w = linear->dense_weight();
    Tensor hessian = Tensor::zeros({w.dim(1), w.dim(1)}, DType::f64);
    for (int64_t j = 0; j < w.dim(1); ++j) hessian.data<double>()[j * w.dim(1) + j] = 1;
    linear = std::make_unique<LowBitLinear>(
        linear->name,
        ptq_method(method).quantise(w, hessian, {.bits = 3, .group_size = 4, .blocksize = 4}),
        linear->bias.value);
  });
  return out;
}

// A tokenizer.json with its first special tokens and those of a few letters, numbered anew.
std::string with_few_tokens(const std::string& text) {
  static const std::regex few("(a|b|h|t|\xc4\xa0|\xe2\x96\x81){1,3}|<0x(0A|C3|A9)>");
  Json json = Json::parse(text), added = Json::array(), merges = Json::array();
  std::map<int, std::string> by_id;
  for (const auto& [token, id] : json["model"]["vocab"].items())
    if (std::regex_match(token, few)) by_id[id] = token;
  for (const Json& token : json["added_tokens"]) {
    if (added.size() == 2) break;
    added.push_back(token);
    by_id[token["id"]] = token["content"];
  }
  Json vocabulary = Json::object();
  for (const auto& [id, token] : by_id) vocabulary.emplace(token, vocabulary.size());
  for (Json& token : added) token["id"] = vocabulary[token["content"].get<std::string>()];
  for (const Json& merge : json["model"]["merges"]) {
    const std::string text_of =
        merge.is_array() ? merge[0].get<std::string>() + " " + merge[1].get<std::string>()
                         : merge.get<std::string>();
    const size_t space = text_of.find(' ');
    const std::string left = text_of.substr(0, space), right = text_of.substr(space + 1);
    if (vocabulary.contains(left) && vocabulary.contains(right) &&
        vocabulary.contains(left + right))
      merges.push_back(left + " " + right);
  }
  json["added_tokens"] = added;
  json["post_processor"] = nullptr;
  json["model"]["vocab"] = vocabulary;
  json["model"]["merges"] = merges;
  return json.dump();
}

std::string small_tokenizer(const Seeds& seeds, const std::string& name) {
  const std::string path = seeds.folder() + "/tokenizer.json";
  std::ofstream(path) << with_few_tokens(bytes_of(kFixtures + "/tokenizers/" + name + ".json"));
  const std::string out = ready_tokenizer(path);
  std::filesystem::remove(path);
  if (out.empty()) throw std::runtime_error(name + " has no ready tokenizer");
  return out;
}

// What is fuzzed is the format: a configuration of the keys that a model must have.
void put_model(const Seeds& seeds, const std::string& name, LoadedModel model,
               const std::string& config = kConfig, const Companions& companions = {},
               const std::string& tokenizer = {}) {
  seeds.made("packed", name, [&](const std::string& path) {
    export_packed(model, companions, {.tokenizer = tokenizer}, path);
    PackedContent content{.meta = {}, .files = {}, .tensors = {}, .tokenizer = tokenizer};
    {
      const PackedFile file = PackedFile::open(path);
      content.meta = file.meta();
      content.files = file.files();
      for (const auto& [tensor_name, tensor] : file.tensors())
        content.tensors[tensor_name] = tensor.clone();
    }
    content.meta["config"] = Json::parse(config).dump();
    write_packed_file(path, content);
  });
  seeds.put("packed", name, without_seal(bytes_of(seeds.folder() + "/packed/" + name)));
}

}  // namespace

void packed_models(const Seeds& seeds) {
  put_model(seeds, "dense", tiny_model(kConfig), kConfig,
            {{{"tokenizer.json", "{}"}, {"merges.txt", ""}}});
  put_model(seeds, "onebit", student({}));
  put_model(seeds, "onebit-row", student({.post_layer_norm = false, .foldable = true}));
  Json wide = Json::parse(kConfig);
  wide["hidden_size"] = wide["intermediate_size"] = 32;
  put_model(seeds, "onebit-group",
            student({.post_layer_norm = false, .scale_group = 32}, wide.dump()), wide.dump());
  for (const char* method : {"rtn", "xnor", "billm", "arb-rc"})
    put_model(seeds, method, quantised(method, 1));

  // Each linear in another form, and all else that a file may hold.
  LoadedModel whole = tiny_model(kConfig);
  std::vector<LoadedModel> others;
  others.push_back(student({}));
  others.push_back(student({.post_layer_norm = false, .foldable = true}));
  for (const char* method : {"rtn", "xnor", "billm", "arb-rc"})
    others.push_back(quantised(method, 7));
  size_t next = 0;
  for (auto& [role, linear] : whole.decoder.blocks[0].linears)
    if (next < others.size()) linear = std::move(others[next++].decoder.blocks[0].linears.at(role));
  put_model(seeds, "whole", std::move(whole), kConfig,
            {{{"generation_config.json", R"({"eos_token_id": [1, 2]})"},
              {"tokenizer_config.json", R"({"eos_token": "a", "chat_template": "{{ x }}"})"},
              {"additional_chat_templates/tool.jinja", "t"}}},
            small_tokenizer(seeds, "partial"));

  const auto put = [&](const std::string& name, const PackedContent& content) {
    seeds.made("packed", name, [&](const std::string& path) { write_packed_file(path, content); });
    seeds.put("packed", name, without_seal(bytes_of(seeds.folder() + "/packed/" + name)));
  };
  const std::map<std::string, std::string> meta{{"config", "{}"}, {"linear_forms", "{}"}};
  for (const char* name : {"partial", "smollm", "spm-llama", "merges"})
    put(std::string("tokenizer-") + name,
        {.meta = meta, .files = {}, .tensors = {}, .tokenizer = small_tokenizer(seeds, name)});
  put("tensors", {.meta = meta,
                  .files = {{"a/b", std::string(70, 'b')}},
                  .tensors = {{"q", Tensor::zeros({1, 32}, DType::f32).to(DType::q8_0)},
                              {"i", Tensor::zeros({2, 0}, DType::i64)},
                              {"", Tensor::zeros({}, DType::bf16)}}});
  put("empty", {});
}

}  // namespace halftone::fuzz
