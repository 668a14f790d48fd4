// Writes the seeds of every fuzz target, made of the repository's own fixtures: make_seeds FOLDER
// puts them into FOLDER/<target>/. Small ones: what is to be found lies in a file's structure.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "app/recipe.h"
#include "halftone/base/threads.h"
#include "halftone/io/checkpoint_file.h"
#include "halftone/io/hdf5.h"
#include "halftone/io/safetensors.h"
#include "halftone/text/token_file.h"
#include "logit_spec.h"
#include "reliability/tiny_model.h"
#include "seeds.h"
#include "tiny_run.h"

namespace halftone::fuzz {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> files_in(const std::string& folder, const std::string& suffix) {
  std::vector<std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file() && entry.path().extension() == suffix) out.push_back(entry.path());
  return out;
}

// A name for a seed that says where it comes from.
std::string seed_name(const std::string& path) {
  std::string out = fs::relative(path, kSource);
  for (char& c : out)
    if (c == '/') c = '-';
  return out;
}

void safetensors(const Seeds& seeds) {
  const std::map<std::string, Tensor> small{{"a", Tensor::zeros({2, 3}, DType::f32)},
                                            {"b.weight", Tensor::zeros({4}, DType::f16)},
                                            {"c", Tensor::zeros({}, DType::i64)},
                                            {"d", Tensor::zeros({0, 5}, DType::u8)},
                                            {"\xc3\xa9", Tensor::zeros({1}, DType::bf16)}};
  seeds.made("safetensors_header", "small", [&](const std::string& path) {
    write_safetensors(path, small, {{"format", "pt"}});
  });
  seeds.made("safetensors_header", "empty",
             [&](const std::string& path) { write_safetensors(path, {}); });
  for (const char* file : {"/gguf/f16.safetensors", "/families/qwen3-1/model.safetensors"}) {
    const std::string bytes = bytes_of(kFixtures + file);
    seeds.put("safetensors_header", seed_name(kFixtures + file) + "-header",
              bytes.substr(8, bytes.rfind('}') - 7));
  }
  seeds.put("safetensors_header", "types",
            R"({"x": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]},
                "y": {"dtype": "BOOL", "shape": [1, 1], "data_offsets": [2, 3]}})");
  seeds.put("safetensors_index", "whole",
            R"({"metadata": {"total_size": 30}, "weight_map": {"a": "one.safetensors",
                "b": "one.safetensors", "c": "two.safetensors"}})");
  seeds.put("safetensors_index", "float",
            R"({"metadata": {"total_size": 22.0}, "weight_map": {"a": "one.safetensors",
                "b": "one.safetensors"}})");
  seeds.put("safetensors_index", "missing", R"({"weight_map": {"c": "../two.safetensors"}})");
  seeds.made("safetensors_index", "other", [&](const std::string& path) {
    write_safetensors(path, small);
    const std::string index = R"({"weight_map": {"a": "other.safetensors", "b.weight":
        "other.safetensors", "c": "other.safetensors", "d": "other.safetensors"}})";
    const std::string shard = bytes_of(path);
    std::ofstream(path, std::ios::binary) << index << '\0' << shard;
  });
}

void ggufs(const Seeds& seeds) {
  for (const std::string& path : files_in(kFixtures + "/gguf", ".gguf"))
    seeds.put("gguf", seed_name(path), bytes_of(path));
  seeds.put("gguf", "qwen3", bytes_of(kFixtures + "/families/qwen3-0/model.gguf"));
  seeds.put("gguf", "plain", bytes_of(kCases + "/plain.gguf"));
  for (const std::string& path : files_in(kFixtures + "/tokenizers", ".gguf"))
    seeds.put("gguf_tokenizer", seed_name(path), bytes_of(path));
}

// A tokenizer.json with the first of its merges and the tokens that these and the alphabet need:
// the rules are what readers differ in, not the number of words.
std::string shortened(const std::string& text, size_t most_merges) {
  Json json = Json::parse(text);
  if (!json["model"].contains("merges")) return text;
  Json kept = Json::array(), vocabulary = Json::object();
  for (const Json& merge : json["model"]["merges"])
    if (kept.size() < most_merges) kept.push_back(merge);
  const auto needed = [&](const std::string& token) {
    for (const Json& merge : kept) {
      std::string joined = merge.is_array()
                               ? merge[0].get<std::string>() + merge[1].get<std::string>()
                               : merge.get<std::string>();
      std::erase(joined, ' ');
      if (joined == token) return true;
    }
    return token.size() <= 3 || token.starts_with('<');
  };
  for (const auto& [token, id] : json["model"]["vocab"].items())
    if (needed(token)) vocabulary[token] = id;
  json["model"]["merges"] = kept;
  json["model"]["vocab"] = vocabulary;
  return json.dump();
}

void tokenizers(const Seeds& seeds) {
  const std::string folder = kFixtures + "/tokenizers";
  for (const std::string& path : files_in(folder, ".json"))
    if (const std::string bytes = bytes_of(path); Json::parse(bytes).is_object())
      seeds.put("tokenizer_json", seed_name(path), shortened(bytes, 4));
  const std::string tiny = testing::tiny_tokenizer_json();
  const std::string nothing(1, '\0');
  seeds.put("tokenizer_json", "added", bytes_of(kCases + "/single_word.json"));
  seeds.put("tokenizer_json", "folder",
            tiny + nothing + bytes_of(kCases + "/model/tokenizer_config.json") + nothing +
                R"({"bos_token": "<s>", "pad_token": {"content": "<pad>", "lstrip": true}})" +
                nothing + R"({"<pad>": 257, "<x>": 258})" + nothing +
                R"({"eos_token_id": [-1, 256]})" + nothing + testing::kTinyConfig);
  seeds.put("tokenizer_json", "decoder",
            tiny + nothing + bytes_of(kCases + "/added_tokens_config.json"));
  for (const std::string& path : {folder + "/spm.model", kCases + "/spm.model"})
    for (const char beside : {'\0', '\1', '\3'})
      seeds.put("tokenizer_model", seed_name(path) + char('0' + beside), beside + bytes_of(path));
}

void texts(const Seeds& seeds) {
  for (const std::string& path : files_in(kSource + "/recipes", ".toml"))
    seeds.put("recipe", seed_name(path), bytes_of(path));
  const std::string start = bytes_of(kSource + "/recipes/quickstart/onebit.toml");
  seeds.put("recipe", "overrides",
            start + '\0' + "train.max_steps=20" + '\0' + "run.name=other" + '\0' +
                "eval.join='wikitext'");
  seeds.put("recipe", "effective",
            write_recipe(read_recipe(kSource + "/recipes/quickstart/onebit.toml")));
  seeds.put("recipe", "quantised",
            write_recipe(read_recipe(kSource + "/recipes/quickstart/arb-rc.toml")));
  seeds.put("recipe", "texts", start + "\n[[eval.text]]\npath = \"a.txt\"\n");
  seeds.put("tasks", "choices",
            "{\"context\": \"a\", \"choices\": [\" b\", \" c\"], \"gold\": 1}\n"
            "{\"contexts\": [\"a\", \"b\"], \"choices\": [\" c\"], \"gold\": 0}\n");
  seeds.put("tasks", "words", "{\"context\": \"a\", \"choices\": [\" b\"], \"gold\": 0}\n");
  for (const std::string& path :
       {kFixtures + "/families/qwen3-0/config.json",
        kFixtures + "/onebit_student/teacher/config.json",
        kFixtures + "/onebit_released/config.json", kCases + "/yarn.json", kCases + "/dynamic.json",
        kCases + "/linear.json", kSource + "/recipes/quickstart/teacher/config.json"})
    seeds.put("config", seed_name(path), bytes_of(path));
  seeds.put("config", "generation",
            bytes_of(kCases + "/model/config.json") + '\0' +
                bytes_of(kCases + "/model/generation_config.json"));
  seeds.put("config", "none", std::string(testing::kTinyConfig) + '\0' + R"({"eos_token_id": -1})");
  for (const auto& scaling : Json::parse(bytes_of(kFixtures + "/rope/cases.json"))) {
    if (!scaling.is_object() || !scaling.contains("config")) continue;
    seeds.put("config", fmt::format("rope-{}", scaling.value("name", "case")),
              scaling["config"].dump());
  }
}

void own_files(const Seeds& seeds) {
  const std::string tokenizer_file = seeds.folder() + "/tokenizer.json";
  std::ofstream(tokenizer_file) << testing::tiny_tokenizer_json();
  const auto tokenizer = load_tokenizer(tokenizer_file);
  const std::vector<int32_t> ids{0, 10, 255, 256, 65};
  seeds.made("token_file", "sealed", [&](const std::string& path) {
    write_token_file(path, ids, *tokenizer);
    const std::string bytes = without_seal(bytes_of(path));
    std::ofstream(path, std::ios::binary) << bytes;
  });
  seeds.made("token_file", "with-documents", [&](const std::string& path) {
    write_token_file(path, ids, *tokenizer, std::vector<DocumentMark>{{2, 17}, {5, 4}});
    const std::string bytes = without_seal(bytes_of(path));
    std::ofstream(path, std::ios::binary) << bytes;
  });
  std::string first = bytes_of(seeds.folder() + "/token_file/sealed");
  first[8] = 1;
  seeds.put("token_file", "first-version", first);
  fs::remove(tokenizer_file);

  for (const bool onebit : {false, true}) {
    TinyRun run(onebit);
    for (const bool training : {false, true}) {
      seeds.made("checkpoint",
                 fmt::format("{}-{}", onebit ? "onebit" : "dense", training ? "training" : "model"),
                 [&](const std::string& path) {
                   write_checkpoint_file(path,
                                         training ? run.training_content() : run.model_content());
                   const std::string bytes = without_seal(bytes_of(path));
                   std::ofstream(path, std::ios::binary) << bytes;
                 });
    }
  }
  // Entries that no run writes, in a file that is whole.
  for (const auto& [key, value] : std::map<std::string, std::string>{
           {"position", "9"}, {"step", "x"}, {"skipped", "-"}, {"epoch", "9223372036854775808"}}) {
    CheckpointContent content = TinyRun(false).training_content();
    if (key == "skipped")
      content.meta.erase(key);
    else
      content.meta[key] = value;
    seeds.made("checkpoint", "other-" + key, [&](const std::string& path) {
      write_checkpoint_file(path, content);
      const std::string bytes = without_seal(bytes_of(path));
      std::ofstream(path, std::ios::binary) << bytes;
    });
  }
  // The least that is a checkpoint: what is mutated of it is structure.
  seeds.made("checkpoint", "least", [&](const std::string& path) {
    Hdf5Writer file(path);
    file.write_attribute("/", "format", std::string("halftone checkpoint"));
    file.write_attribute("/", "version", int64_t{1});
    file.write_text("meta/kind", "model");
    file.write("model/x", Tensor::zeros({2}, DType::f32));
    file.close();
  });
  for (const bool wide : {false, true}) {
    const std::string folder = seeds.folder() + "/cache";
    fs::create_directories(folder);
    const LogitCacheSpec spec = logit_spec(folder, wide);
    LogitCache cache(spec);
    TopLogProbs rows{Tensor::zeros({3, 2}, DType::i32), Tensor::zeros({3, 2}, DType::f16)};
    for (int64_t i = 0; i < 6; ++i)
      rows.ids.data<int32_t>()[i] = static_cast<int32_t>(i % 2 * (spec.vocabulary - 1));
    cache.write(0, std::vector{rows, rows});
    seeds.put("logit_cache", wide ? "wide" : "narrow", without_seal(bytes_of(spec.part_file(0))));
    fs::remove_all(folder);
  }
}

void records(const Seeds& seeds) {
  const std::string result =
      R"({"name": "tiny", "method": "onebit", "version": "0.1.0", "peak_rss_bytes": 1e8,
 "teacher": {"path": "teacher", "sha256": "0123456789abcdef"},
 "eval": {"protocol": "hf", "context": 64, "windows": 4, "tokens": 256, "join": "none",
          "text_sha256": "fedcba9876543210", "perplexity": 12.5, "teacher_perplexity": "Infinity"},
 "agreement": {"kl": 0.25, "top1": 0.5},
 "bits": {"paper": 1.1, "linear": 1.2, "file": 3.5}, "bytes": {"model": 12345},
 "seconds": {"total": 3.5},
 "machine": {"cpu": "some", "isa": "avx2", "threads": 2, "blas": "OpenBLAS", "device": "cpu"},
 "layers": [{"name": "model.layers.0.mlp.up_proj", "relative_error": 0.125},
            {"name": "model.layers.1.mlp.up_proj", "relative_error": "NaN"}]})";
  const std::string log =
      "{\"step\": 1, \"loss\": 5.5, \"learning_rate\": 0.001, \"sign_flip_rate\": 0}\n"
      "{\"step\": 2, \"loss\": \"Infinity\"}\n{\"step\": 3, \"eval_perplexity\": 7}\n{\"st";
  const std::string nothing(1, '\0');
  seeds.put("run_record", "result", result);
  seeds.put("run_record", "logged", result + nothing + log);
  seeds.put(
      "run_record", "whole",
      result + nothing + log + nothing + bytes_of(kSource + "/recipes/quickstart/onebit.toml"));
  seeds.put("run_record", "none", R"({"method": "none", "teacher": {"path": "somewhere"}})");
}

}  // namespace
}  // namespace halftone::fuzz

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: make_seeds FOLDER\n");
    return 2;
  }
  halftone::set_threads(1);
  const halftone::fuzz::Seeds seeds(argv[1]);
  std::filesystem::create_directories(argv[1]);
  for (const auto& make :
       {halftone::fuzz::safetensors, halftone::fuzz::ggufs, halftone::fuzz::tokenizers,
        halftone::fuzz::texts, halftone::fuzz::own_files, halftone::fuzz::packed_models,
        halftone::fuzz::records})
    make(seeds);
  return 0;
}
