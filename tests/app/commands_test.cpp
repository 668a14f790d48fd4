// Whole commands: exit codes, one clear line, nothing lost.
#include <nlohmann/json.hpp>

#include "app/program_testing.h"

namespace halftone {
namespace {

class CommandsTest : public ProgramTest {
 protected:
  // Fails with `code`, one line on stderr that holds `phrase`, nothing on stdout.
  void expect_failure(int code, const std::string& phrase,
                      const std::vector<std::string>& arguments) {
    const Output got = program(arguments);
    EXPECT_EQ(got.code, code) << got.err;
    EXPECT_NE(got.err.find(phrase), std::string::npos) << got.err;
    EXPECT_EQ(std::count(got.err.begin(), got.err.end(), '\n'), 1) << got.err;
    EXPECT_EQ(got.out, "");
  }
  const std::string teacher_ = HALFTONE_SOURCE_DIR "/recipes/quickstart/teacher";
  const std::string text_ = HALFTONE_SOURCE_DIR "/recipes/quickstart/heldout.txt";
};

TEST_F(CommandsTest, UsageErrorsExitWithTwo) {
  EXPECT_EQ(program({}).code, 2);
  EXPECT_EQ(program({"distill"}).code, 2);
  EXPECT_EQ(program({"eval", teacher_}).code, 2);
  EXPECT_EQ(program({"eval", teacher_, "--text", text_, "--protocol", "gptq"}).code, 2);
  EXPECT_EQ(program({"--help"}).code, 0);
  EXPECT_EQ(program({"check", "--help"}).code, 0);
  expect_failure(2, "nothing.toml", {"run", folder_ + "/nothing.toml"});
  expect_failure(2, "at least eval.context",
                 {"eval", teacher_, "--text", text_, "--context", "1000000", "--quiet"});
}

TEST_F(CommandsTest, UnreadableInputExitsWithThreeNamingTheFile) {
  expect_failure(3, folder_, {"eval", folder_, "--text", text_});
  expect_failure(3, "missing.gguf", {"eval", folder_ + "/missing.gguf", "--text", text_});
  expect_failure(3, "nothing.txt", {"eval", teacher_, "--text", folder_ + "/nothing.txt"});
  std::ofstream(folder_ + "/broken.gguf") << "GGUF";
  expect_failure(3, "broken.gguf", {"inspect", folder_ + "/broken.gguf"});
  std::ofstream(folder_ + "/broken.h5") << std::string(1000, 'x');
  expect_failure(3, "broken.h5", {"inspect", folder_ + "/broken.h5"});
  expect_failure(3, folder_, {"generate", folder_, "--prompt", "x"});
}

// HDF5's shared library brings curl and what it loads, which takes longer than a small answer.
TEST_F(CommandsTest, TheProgramStartsWithoutTheNetworksLibraries) {
  const Output loaded = shell("ldd \"$H\"");
  if (loaded.code != 0) GTEST_SKIP() << loaded.err;
  EXPECT_NE(loaded.out.find("libstdc++"), std::string::npos);
  for (const char* library : {"libcurl", "libgnutls", "libkrb5", "libhdf5", "libopenblas"})
    EXPECT_EQ(loaded.out.find(library), std::string::npos) << loaded.out;
}

TEST_F(CommandsTest, CheckPrintsTheEffectiveRecipeWithoutComputing) {
  const Output got = program({"check", HALFTONE_SOURCE_DIR "/recipes/quickstart/onebit.toml",
                              "--set", "train.max_steps=70"});
  EXPECT_EQ(got.code, 0) << got.err;
  for (const char* phrase : {"max_steps = 70", "adam_beta2 = 0.98", "# parameters         3279104",
                             "# bits a weight", "# memory"})
    EXPECT_NE(got.out.find(phrase), std::string::npos) << phrase;
}

TEST_F(CommandsTest, CheckPlansRanks) {
  const std::string recipe = HALFTONE_SOURCE_DIR "/recipes/quickstart/onebit.toml";
  const Output got = program({"check", recipe, "--ranks", "6", "--gflops", "50"});
  EXPECT_EQ(got.code, 0) << got.err;
  for (const char* phrase : {"# at 50 GFLOP/s a rank", "efficiency", "\n#      1 ", "\n#      2 ",
                             "\n#      4 ", "\n#      6 "})
    EXPECT_NE(got.out.find(phrase), std::string::npos) << phrase << "\n" << got.out;
  EXPECT_EQ(program({"check", recipe}).out.find("GFLOP/s a rank"), std::string::npos);
  expect_failure(2, "--ranks: a trained method expected",
                 {"check", HALFTONE_SOURCE_DIR "/recipes/quickstart/xnor.toml", "--ranks", "2"});
  EXPECT_EQ(program({"check", recipe, "--ranks", "2", "--gflops", "0"}).code, 2);
}

// A 7B Llama on eight ranks, of which nothing but the configuration and a tokenizer is here.
TEST_F(CommandsTest, CheckSaysWhatFitsAMemoryARank) {
  const std::string model = folder_ + "/7b", recipe = folder_ + "/7b.toml";
  std::filesystem::create_directories(model);
  std::filesystem::copy_file(HALFTONE_SOURCE_DIR "/recipes/quickstart/teacher/tokenizer.json",
                             model + "/tokenizer.json");
  std::ofstream(model + "/config.json")
      << R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096,
      "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32, "vocab_size": 32000,
      "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "hidden_act": "silu"})";
  std::ofstream(recipe) << "[run]\nname = \"7b\"\nmethod = \"onebit\"\noutput_dir = \"" << folder_
                        << "\"\n[teacher]\nmodel = \"" << model
                        << "\"\n[data]\nmax_seq_length = 2048\n"
                           "train = [\"" HALFTONE_SOURCE_DIR
                           "/recipes/quickstart/heldout.txt\"]\n"
                           "[train]\nmax_steps = 9\nper_device_train_batch_size = 2\n";
  const auto check = [&](const std::string& memory, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{"check", recipe, "--ranks", "8", "--memory", memory};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Output got = program(arguments);
    EXPECT_EQ(got.code, 0) << got.err;
    EXPECT_NE(got.err.find("has no weights, which `run` expects"), std::string::npos) << got.err;
    return got.out;
  };
  const auto holds = [](const std::string& text, const std::string& phrase) {
    EXPECT_NE(text.find(phrase), std::string::npos) << phrase << "\n" << text;
  };
  holds(check("80G"), "# 8 ranks of 80.00 GB");
  holds(check("80G"), "# fits               with train.gradient_checkpointing = true\n");
  holds(check("40G"),
        "# fits               with train.gradient_checkpointing = true and "
        "train.shard_parameters = true\n");
  holds(check("40G", {"--set", "train.gradient_checkpointing=true"}),
        "# fits               with train.shard_parameters = true\n");
  holds(check("1T"), "# fits               as the recipe is\n");
  holds(check("512M"), "nothing of this: ");
  holds(check("1000000000"), "# 8 ranks of 1.00 GB");
  for (const char* bad : {"80X", "G", "-1G", "0", "80GB", "nan", ""})
    expect_failure(2, "--memory: found ", {"check", recipe, "--ranks", "8", "--memory", bad});
  EXPECT_EQ(program({"check", recipe, "--memory", "80G"}).code, 2);
  // A run of here needs the weights.
  expect_failure(3, "7b", {"check", recipe, "--ranks", "8"});
}

// A launcher's variables, and no MPI in the build: each process would be a run of its own.
#ifndef HALFTONE_MPI
TEST_F(CommandsTest, SeveralRanksWithoutMpiAreRefused) {
  setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
  expect_failure(2, "HALFTONE_MPI",
                 {"run", HALFTONE_SOURCE_DIR "/recipes/quickstart/onebit.toml", "--run-dir",
                  folder_ + "/run"});
  setenv("OMPI_COMM_WORLD_SIZE", "1", 1);
  expect_failure(2, "nothing.toml", {"run", folder_ + "/nothing.toml"});
  unsetenv("OMPI_COMM_WORLD_SIZE");
}
#endif

TEST_F(CommandsTest, EvalAsJsonGivesTheSameFiguresTwice) {
  const std::vector<std::string> arguments{"eval", teacher_,        "--text", text_,    "--context",
                                           "64",   "--max-windows", "4",      "--json", "--quiet"};
  const Output first = program(arguments), second = program(arguments);
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.out, second.out);
  const auto json = nlohmann::json::parse(first.out);
  EXPECT_EQ(json["windows"], 4);
  EXPECT_EQ(json["predictions"], 4 * 63);
  EXPECT_EQ(json["protocol"], "hf");
  EXPECT_GT(json["perplexity"], 1);
  EXPECT_LT(json["perplexity"], 60);
}

TEST_F(CommandsTest, TokenizePrintsIdsAndTheirText) {
  const std::string text = "Once upon a time<|endoftext|> caf\xc3\xa9\n";
  std::ofstream(folder_ + "/text.txt") << text;
  const Output plain = program({"tokenize", teacher_, "--text", folder_ + "/text.txt"});
  EXPECT_EQ(plain.code, 0) << plain.err;
  const Output json = program({"tokenize", teacher_, "--text", folder_ + "/text.txt", "--json"});
  const auto said = nlohmann::json::parse(json.out);
  std::string ids;
  for (const int id : said["ids"]) ids += (ids.empty() ? "" : " ") + std::to_string(id);
  EXPECT_EQ(plain.out, ids + "\n");
  EXPECT_EQ(said["count"], said["ids"].size());
  EXPECT_EQ(said["tokens"].size(), said["ids"].size());
  EXPECT_EQ(said["tokens"][0], "Once");
  EXPECT_EQ(said["eos_token_id"], 0);
  EXPECT_TRUE(said["bos_token_id"].is_null());
  EXPECT_EQ(said["hash"].get<std::string>().size(), 64u);
  std::ofstream(folder_ + "/ids.txt") << plain.out;
  std::ofstream(folder_ + "/ids.json") << json.out;
  for (const char* file : {"/text.txt", "/ids.txt", "/ids.json"})
    EXPECT_EQ(program({"tokenize", teacher_, "--text", folder_ + file, "--decode"}).out, text)
        << file;
  std::ofstream(folder_ + "/far.txt") << "5 2000000000 6";
  EXPECT_EQ(program({"tokenize", teacher_, "--text", folder_ + "/far.txt", "--decode"}).code, 0);
  expect_failure(3, "nothing.txt", {"tokenize", teacher_, "--text", folder_ + "/nothing.txt"});
  expect_failure(3, "neither tokenizer.json", {"tokenize", folder_, "--text", folder_ + "/x"});
}

TEST_F(CommandsTest, GenerateRepeatsWithItsSeed) {
  const std::vector<std::string> arguments{"generate", teacher_, "--prompt", "Once upon a time",
                                           "--tokens", "12",     "--seed",   "5"};
  const Output first = program(arguments);
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.out.find("Once upon a time"), 0u);
  EXPECT_EQ(first.out, program(arguments).out);
}

TEST_F(CommandsTest, ARunReportsPacksEvaluatesAndExports) {
  make_teacher();
  const std::string more = "eval_steps = 3\n[student]\npost_layer_norm = false\n[eval]\ntext = \"" +
                           text_ + "\"\ncontext = 32\nmax_windows = 5\n";
  const std::string recipe = write_recipe_file("whole", "max_steps = 6\n", more);
  const Output got = program({"run", recipe, "--json", "--quiet"});
  ASSERT_EQ(got.code, 0) << got.err;
  const auto result = nlohmann::json::parse(got.out);
  EXPECT_EQ(nlohmann::json::parse(read_whole(folder_ + "/whole/result.json")), result);
  EXPECT_EQ(result["tokens_seen"], 6 * 2 * 32);
  // 2 x (2 (64 x 64) + 2 (64 x 32) + 3 (64 x 96)) weights, scales of 16 bits on both sides
  EXPECT_EQ(result["student"]["quantised_parameters"], 61440);
  EXPECT_EQ(result["student"]["parameters"], 61440 + 2048 * 64 + 5 * 64);
  EXPECT_NEAR(result["bits"]["linear"], 1 + 16.0 * 2 * (2 * 128 + 2 * 96 + 3 * 160) / 61440, 1e-12);
  EXPECT_EQ(result["bytes"]["model"], std::filesystem::file_size(folder_ + "/whole/model.h5"));
  const std::string log = read_whole(folder_ + "/whole/log.jsonl");
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 6 + 2);
  EXPECT_NE(log.find("eval_perplexity"), std::string::npos);

  // The packed run, evaluated again, and its dense export give the result's perplexity.
  const auto perplexity = [&](const std::string& model) {
    const Output eval = program({"eval", model, "--text", text_, "--context", "32", "--max-windows",
                                 "5", "--json", "--quiet"});
    EXPECT_EQ(eval.code, 0) << eval.err;
    return nlohmann::json::parse(eval.out)["perplexity"].get<double>();
  };
  const double expected = result["eval"]["perplexity"];
  EXPECT_EQ(perplexity(folder_ + "/whole"), expected);
  ASSERT_EQ(program({"export", folder_ + "/whole", "--out", folder_ + "/dense"}).code, 0);
  EXPECT_NEAR(perplexity(folder_ + "/dense"), expected, 2e-3 * expected);
  expect_failure(2, "holds checkpoints of an earlier run", {"run", recipe, "--quiet"});
}

TEST_F(CommandsTest, StudentsWithoutAnInputScaleAreWhatTheirFilesHold) {
  make_teacher();
  // Of 61440 weights: a scale for 32, or a row.
  for (const auto& [student, scales] :
       {std::pair<std::string, int>{"scale_group = 32\n", 61440 / 32},
        {"foldable = true\n", 2 * (2 * 64 + 2 * 32 + 2 * 96 + 64)}}) {
    const std::string recipe =
        write_recipe_file("scaled", "max_steps = 3\n",
                          "[student]\npost_layer_norm = false\n" + student + "[eval]\ntext = \"" +
                              text_ + "\"\ncontext = 32\nmax_windows = 5\n");
    const Output got = program({"run", recipe, "--json", "--quiet"});
    ASSERT_EQ(got.code, 0) << got.err;
    const auto result = nlohmann::json::parse(got.out);
    EXPECT_NEAR(result["bits"]["linear"], 1 + 16.0 * scales / 61440, 1e-12);
    const auto perplexity = [&](const std::string& model) {
      const Output eval = program({"eval", model, "--text", text_, "--context", "32",
                                   "--max-windows", "5", "--json", "--quiet"});
      EXPECT_EQ(eval.code, 0) << eval.err;
      return nlohmann::json::parse(eval.out)["perplexity"].get<double>();
    };
    const double expected = result["eval"]["perplexity"];
    EXPECT_EQ(perplexity(folder_ + "/scaled"), expected);
    ASSERT_EQ(program({"export", folder_ + "/scaled", "--out", folder_ + "/dense"}).code, 0);
    EXPECT_NEAR(perplexity(folder_ + "/dense"), expected, 2e-3 * expected);
    for (const char* directory : {"/scaled", "/dense"})
      std::filesystem::remove_all(folder_ + directory);
  }
}

TEST_F(CommandsTest, ALayerNormalisationCannotBeExportedAndSaysSo) {
  make_teacher();
  ASSERT_EQ(program({"run", write_recipe_file("normed", "max_steps = 1\n"), "--quiet"}).code, 0);
  expect_failure(2, "post_layer_norm = false",
                 {"export", folder_ + "/normed", "--out", folder_ + "/dense"});
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/dense"));
}

TEST_F(CommandsTest, NumbersThatAreNotFiniteStopTheRunWithSixAndSaveNothing) {
  make_teacher();
  const Output got =
      program({"run", write_recipe_file("wild", "max_steps = 40\nsave_steps = 1\n"), "--quiet",
               "--set", "train.learning_rate=1000", "--set", "student.post_layer_norm=false"});
  EXPECT_EQ(got.code, 6) << got.err;
  EXPECT_NE(got.err.find("not finite"), std::string::npos) << got.err;
  // What was saved before is whole.
  EXPECT_EQ(program({"inspect", folder_ + "/wild", "--digest"}).code, 0);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/wild/model.h5"));
}

TEST_F(CommandsTest, ASecondTrainerOnTheSameRunIsRefused) {
  make_teacher();
  const std::string recipe = write_recipe_file("shared", "max_steps = 4000\n");
  Output second{};
  const Output first = program({"run", recipe, "--quiet"}, SIGTERM, [&] {
    if (read_whole(folder_ + "/shared/log.jsonl").empty()) return false;
    second = program({"resume", folder_ + "/shared"});
    return true;
  });
  EXPECT_EQ(first.code, 7) << first.err;
  EXPECT_EQ(second.code, 2) << second.err;
  EXPECT_NE(second.err.find("shared"), std::string::npos) << second.err;
}

}  // namespace
}  // namespace halftone
