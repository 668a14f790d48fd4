// What `inspect` says of files as users have them: what they hold, not what is made of it.
#include <nlohmann/json.hpp>

#include "app/program_testing.h"
#include "halftone/io/checkpoint_file.h"
#include "halftone/io/safetensors.h"
#include "io/file_builders.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;
using testing::GgufBuilder;
using testing::raw;

class InspectTest : public ProgramTest {
 protected:
  std::string at(const std::string& name) const { return folder_ + "/" + name; }
  std::string write(const std::string& name, const std::string& bytes) const {
    fs::create_directories(fs::path(at(name)).parent_path());
    std::ofstream(at(name), std::ios::binary) << bytes;
    return at(name);
  }

  nlohmann::json json_of(const std::string& path) const {
    const Output got = program({"inspect", path, "--json"});
    EXPECT_EQ(got.code, 0) << path << got.err;
    return got.code ? nlohmann::json() : nlohmann::json::parse(got.out);
  }
  std::string plain_of(const std::string& path) const {
    const Output got = program({"inspect", path});
    EXPECT_EQ(got.code, 0) << path << got.err;
    return got.out;
  }
  // "name dtype [shape]" of each tensor.
  static std::string listing(const nlohmann::json& found) {
    std::string out;
    for (const auto& t : found["tensors"])
      out += t["name"].get<std::string>() + " " + t["dtype"].get<std::string>() + " " +
             t["shape"].dump() + "\n";
    return out;
  }
  std::string digest_of(const std::string& path) const {
    const Output got = program({"inspect", path, "--digest"});
    EXPECT_EQ(got.code, 0) << path << got.err;
    return got.out;
  }

  const std::string inputs_ = HALFTONE_SOURCE_DIR "/tests/cases/inputs";
};

TEST_F(InspectTest, ADirectoryShowsTheDtypesOfItsFile) {
  fs::copy(inputs_ + "/model", at("brain"), fs::copy_options::recursive);
  const auto wide = json_of(at("brain"));
  fs::copy_file(inputs_ + "/bf16.safetensors", at("brain/model.safetensors"),
                fs::copy_options::overwrite_existing);
  const auto brain = json_of(at("brain"));
  for (const auto& t : brain["tensors"]) EXPECT_EQ(t["dtype"], "BF16") << t;
  EXPECT_NE(wide["digest"], brain["digest"]);
  EXPECT_EQ(brain["bits"]["linear"], 16);
  EXPECT_EQ(brain["parameters"], wide["parameters"]);
  EXPECT_EQ(brain["format"], "safetensors");
  EXPECT_EQ(brain["architecture"], "LlamaForCausalLM");
  EXPECT_EQ(brain["tokenizer"], "BPE, 300 tokens");
  EXPECT_EQ(brain["end_tokens"][0]["id"], 2);
  EXPECT_EQ(brain["end_tokens"][0]["text"], "<|im_end|>");
  const std::string plain = plain_of(at("brain"));
  for (const char* line :
       {"format        safetensors\n", "architecture  LlamaForCausalLM\n",
        "tokenizer     BPE, 300 tokens\n", "end tokens    2 <|im_end|>\n", "bits a weight: "})
    EXPECT_NE(plain.find(line), std::string::npos) << plain;
}

TEST_F(InspectTest, ShardsTheirIndexAndTheirDirectoryHoldTheSame) {
  fs::copy(inputs_ + "/model", at("m"), fs::copy_options::recursive);
  Safetensors all = read_safetensors(at("m/model.safetensors"));
  std::map<std::string, Tensor> head, rest;
  nlohmann::json index;
  for (const auto& [name, tensor] : all.tensors) {
    const bool first = name.find("layers") == std::string::npos;
    (first ? head : rest)[name] = tensor;
    index["weight_map"][name] = first ? "model-1.safetensors" : "model-2.safetensors";
  }
  const auto whole = json_of(at("m"));
  write_safetensors(at("m/model-1.safetensors"), head);
  write_safetensors(at("m/model-2.safetensors"), rest);
  write("m/model.safetensors.index.json", index.dump());
  fs::rename(at("m/model.safetensors"), at("alone.bin"));
  const auto sharded = json_of(at("m"));
  EXPECT_EQ(listing(sharded), listing(whole));
  EXPECT_EQ(sharded["parameters"], whole["parameters"]);
  EXPECT_EQ(sharded["bytes"], fs::file_size(at("m/model-1.safetensors")) +
                                  fs::file_size(at("m/model-2.safetensors")));
  for (const std::string& path : {at("m"), at("m/model.safetensors.index.json"), at("alone.bin")})
    EXPECT_EQ(digest_of(path), whole["digest"].get<std::string>() + "\n") << path;
  EXPECT_NE(plain_of(at("alone.bin")).find("cannot be imported: a safetensors file has no config"),
            std::string::npos);
  EXPECT_EQ(json_of(at("m/model-2.safetensors"))["tensors"].size(), rest.size());
}

TEST_F(InspectTest, DtypesThatNoModelHereHoldsAreListed) {
  const std::string file = write(
      "a.safetensors",
      testing::safetensors_bytes(R"({"a":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]},)"
                                 R"("b":{"dtype":"F4","shape":[2,8],"data_offsets":[8,16]},)"
                                 R"("c":{"dtype":"BOOL","shape":[3],"data_offsets":[16,19]},)"
                                 R"("d":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[19,22]},)"
                                 R"("e":{"dtype":"F2_NEW","shape":[5],"data_offsets":[22,24]},)"
                                 R"("f":{"dtype":"C64","shape":[],"data_offsets":[24,32]}})",
                                 std::string(32, 'x')));
  EXPECT_EQ(listing(json_of(file)),
            "a F8_E4M3 [8]\nb F4 [2,8]\nc BOOL [3]\nd F6_E2M3 [4]\ne F2_NEW [5]\nf C64 []\n");
  // As a model it is refused, by tensor and dtype.
  fs::copy(inputs_ + "/model", at("m"), fs::copy_options::recursive);
  fs::copy_file(file, at("m/model.safetensors"), fs::copy_options::overwrite_existing);
  const auto found = json_of(at("m"));
  EXPECT_NE(found["obstacle"].get<std::string>().find("tensor 'a': dtype F8_E4M3 is not supported"),
            std::string::npos)
      << found["obstacle"];
  EXPECT_FALSE(found.contains("parameters"));
  EXPECT_EQ(program({"eval", at("m"), "--text", inputs_ + "/text.txt"}).code, 3);
}

TEST_F(InspectTest, OtherArchitecturesAreListedWithWhatStandsInTheWay) {
  fs::create_directories(at("gpt2"));
  write_safetensors(at("gpt2/model.safetensors"), {{"wte", Tensor::zeros({4, 2}, DType::f32)}});
  write("gpt2/config.json", R"({"architectures": ["GPT2LMHeadModel"], "eos_token_id": [7, 9]})");
  const auto found = json_of(at("gpt2"));
  EXPECT_EQ(listing(found), "wte F32 [4,2]\n");
  EXPECT_EQ(found["architecture"], "GPT2LMHeadModel");
  EXPECT_EQ(found["end_tokens"].size(), 2u);
  EXPECT_NE(found["obstacle"].get<std::string>().find("GPT2LMHeadModel"), std::string::npos);
  write("gpt2/config.json", "{\"architectures\": 7, ");  // a damaged one hides no tensors
  EXPECT_EQ(listing(json_of(at("gpt2"))), "wte F32 [4,2]\n");
  fs::remove(at("gpt2/config.json"));
  EXPECT_EQ(listing(json_of(at("gpt2"))), "wte F32 [4,2]\n");
}

TEST_F(InspectTest, AGgufOfAnyTypesUnderAnyNameIsListed) {
  const std::string file =
      write("sha256-0a1b", GgufBuilder()
                               .add_string("general.architecture", "gpt-oss")
                               .add_u32("tokenizer.ggml.eos_token_id", 11)
                               .add_string("tokenizer.ggml.model", "rwkv")
                               .add_tensor({"x", {256}, 23, std::string(136, 'a')})
                               .add_tensor({"experts", {32, 2}, 39, std::string(34, 'b')})
                               .add_tensor({"new", {64}, 99, std::string(50, 'c')})
                               .bytes());
  const auto found = json_of(file);
  EXPECT_EQ(listing(found), "experts MXFP4 [2,32]\nnew type 99 [64]\nx IQ4_XS [256]\n");
  EXPECT_EQ(found["format"], "GGUF version 3");
  EXPECT_EQ(found["architecture"], "gpt-oss");
  EXPECT_EQ(found["end_tokens"][0]["id"], 11);
  EXPECT_EQ(found["tokenizer"].get<std::string>().find("rwkv, which cannot be read: "), 0u);
  EXPECT_NE(found["obstacle"].get<std::string>().find("gpt-oss"), std::string::npos);

  const auto whole = json_of(inputs_ + "/plain.gguf");
  EXPECT_EQ(whole["tokenizer"], "gpt2, 300 tokens");
  EXPECT_EQ(whole["bits"]["linear"], 16);
  EXPECT_EQ(whole["end_tokens"][0]["text"], "<|im_end|>");
}

TEST_F(InspectTest, ARunIsItsNewestCheckpointAndItsModel) {
  make_teacher();
  const std::string recipe = write_recipe_file("r", "max_steps = 2\nsave_steps = 1\n");
  ASSERT_EQ(program({"run", recipe, "--quiet"}).code, 0);
  const auto run = json_of(at("r"));
  EXPECT_EQ(run["format"], "Halftone checkpoint");
  EXPECT_EQ(run["method"], "onebit");
  EXPECT_EQ(run["checkpoint"], "training");
  EXPECT_EQ(run["step"], "2");
  EXPECT_EQ(run["quantised_parameters"], 61440);
  // The digests of checkpoints are those of their tensors, whatever the file is called.
  const auto content = read_checkpoint_file(at("r/step-00000002.h5"));
  EXPECT_EQ(digest_of(at("r")), tensors_digest(content.tensors) + "\n");
  fs::copy_file(at("r/step-00000002.h5"), at("r/copy"));
  EXPECT_EQ(digest_of(at("r/copy")), digest_of(at("r")));
  EXPECT_EQ(json_of(at("r/copy"))["step"], "2");
  EXPECT_EQ(json_of(at("r/model.h5"))["checkpoint"], "model");
  EXPECT_EQ(json_of(at("r/model.h5"))["bits"], run["bits"]);
  // With its checkpoints gone a run is its model.
  for (const char* step : {"/step-00000001.h5", "/step-00000002.h5"}) fs::remove(at("r") + step);
  EXPECT_EQ(digest_of(at("r")), digest_of(at("r/model.h5")));
}

TEST_F(InspectTest, DirectoriesOfQuantisedLinearsSaySo) {
  const std::string released = HALFTONE_SOURCE_DIR "/tests/fixtures/onebit_released";
  const auto onebit = json_of(released);
  EXPECT_EQ(onebit["format"], "safetensors");
  EXPECT_EQ(onebit["quantised_parameters"], 2 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 32 * 48));
  EXPECT_LT(onebit["bits"]["linear"], 3);
  EXPECT_EQ(json_of(inputs_ + "/model")["quantised_parameters"], 0);

  // Packed signs count as the weights that they are.
  make_teacher();
  const std::string recipe = write_recipe_file("r", "max_steps = 1\n",
                                               "[student]\npost_layer_norm = false\n"
                                               "foldable = true\n");
  ASSERT_EQ(program({"run", recipe, "--quiet"}).code, 0);
  const auto run = json_of(at("r"));
  for (const std::string format : {"compressed-tensors", "packed"}) {
    const Output got = program({"export", at("r"), "--format", format, "--out", at(format)});
    ASSERT_EQ(got.code, 0) << got.err;
    const auto found = json_of(at(format));
    EXPECT_EQ(found["parameters"], run["parameters"]) << format;
    EXPECT_EQ(found["quantised_parameters"], run["quantised_parameters"]) << format;
  }
}

TEST_F(InspectTest, ATextShowsItsDocumentsAndWithATokenizerItsTokens) {
  const std::string text = write("a.txt",
                                 "caf\u00e9\n<|endoftext|>\nwell @-@ known\n<|endoftext|>\n"
                                 "caf\u00e9\n");
  const auto alone = json_of(text);
  EXPECT_EQ(alone["format"], "text");
  EXPECT_EQ(alone["documents"], 3);
  EXPECT_EQ(alone["bytes"], 24);
  EXPECT_EQ(alone["characters"], 22);
  EXPECT_EQ(alone["document_bytes"]["longest"], 14);
  EXPECT_EQ(alone["wikitext_documents"], 1);
  EXPECT_EQ(alone["duplicate_documents"], 1);
  EXPECT_FALSE(alone.contains("tokens"));
  EXPECT_EQ(digest_of(text), alone["digest"].get<std::string>() + "\n");
  const std::string teacher = HALFTONE_SOURCE_DIR "/recipes/quickstart/teacher";
  const Output got = program({"inspect", text, "--tokenizer", teacher, "--json"});
  ASSERT_EQ(got.code, 0) << got.err;
  const auto counted = nlohmann::json::parse(got.out);
  EXPECT_DOUBLE_EQ(counted["bytes_per_token"].get<double>(), 24 / counted["tokens"].get<double>());
  EXPECT_GE(counted["document_tokens"]["shortest"], 2);
  const std::string plain = plain_of(text);
  for (const char* line : {"documents     3\n", "size          24 bytes, 22 characters\n",
                           "duplicates    1 documents (33.3 %)"})
    EXPECT_NE(plain.find(line), std::string::npos) << plain;
  const Output model = program({"inspect", teacher, "--tokenizer", teacher});
  EXPECT_EQ(model.code, 2);
  EXPECT_NE(model.err.find("is a directory, a text or a token file expected"), std::string::npos)
      << model.err;
}

TEST_F(InspectTest, WhatIsNoModelIsExitThreeAndSaysWhatItIs) {
  for (const auto& [path, phrase] : std::vector<std::pair<std::string, std::string>>{
           {write("notes.bin", "hello\xff"), "is no model, but another file"},
           {write("t.gz", "\x1f\x8b rest"), "t.gz: damaged gzip data"},
           {write("w.bin", "PK\x03\x04"), "pickled weights can run code"},
           {write("cut.safetensors", "abc"), "a safetensors file has at least 8"},
           {write("other.json", "{}"), "has no object 'weight_map'"},
           {at("none"), "cannot be opened"},
           {folder_, "is no model: expected a directory with config.json"}}) {
    const Output got = program({"inspect", path});
    EXPECT_EQ(got.code, 3) << path << got.err;
    EXPECT_NE(got.err.find(phrase), std::string::npos) << got.err;
  }
}

}  // namespace
}  // namespace halftone
