// The program's commands; each returns an exit code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "app/generation.h"
#include "app/run.h"
#include "halftone/eval/settings.h"
#include "halftone/model/export_hf.h"
#include "halftone/tensor/sign_tiles.h"

namespace halftone {

// With `ranks` a table of so many, and of fewer: what each holds and sends, and how long a step
// takes. With `memory` too, which settings fit ranks that have so much: "80G". Such a run is
// planned for other machines: the teacher's weights need not be here, nor room for checkpoints.
struct CheckOptions {
  int64_t ranks = 0;
  std::optional<std::string> memory;
  double gflops = 100, gbytes = 1, latency = 20;  // of a rank, a second; microseconds a message
};
int check_command(const std::string& recipe, const std::vector<std::string>& overrides,
                  const CheckOptions& options);
int run_command(const std::string& recipe, const std::vector<std::string>& overrides,
                const RunOptions& options);
int resume_command(const std::string& run_dir, const std::vector<std::string>& overrides,
                   RunOptions options);

struct EvalOptions {
  std::string model;
  EvalSettings settings;
  std::string device = "cpu";
  WeightDtype dtype = WeightDtype::f32;
  SignInputs inputs = SignInputs::f32;
  std::string samples;  // empty: not written
  bool json = false, quiet = false;
};
int eval_command(const EvalOptions& options);

struct GenerateOptions {
  std::string model, prompt, device = "cpu";
  SamplingOptions sampling;
  SignInputs inputs = SignInputs::f32;
  bool chat = false;  // the prompt is a message, in the model's chat template
  bool json = false;
};
int generate_command(const GenerateOptions& options);

struct TalkOptions {
  std::string model, system, device = "cpu";
  int64_t context = 2048;
  SignInputs inputs = SignInputs::f32;
  SamplingOptions sampling{.tokens = 512};
};
int chat_command(const TalkOptions& options);

struct BenchOptions {
  std::string model;
  int64_t prompt = 128, tokens = 64, repetitions = 5;
  SignInputs inputs = SignInputs::f32;
  bool json = false;
};
int bench_command(const BenchOptions& options);

// Prints the ids of a text, or with `decode` the text of the ids in a file: numbers, what `json`
// prints, a token file; of another text what its ids give back.
struct TokenizeOptions {
  std::string model, text;
  bool decode = false, json = false;
};
int tokenize_command(const TokenizeOptions& options);

struct CompareOptions {
  std::vector<std::string> runs;
  std::string html, csv, sort = "perplexity";
  bool json = false;
};
int compare_command(const CompareOptions& options);

// Of a text with `tokenizer`, a model or a tokenizer, its tokens too.
int inspect_command(const std::string& path, const std::string& tokenizer, bool digest, bool json);

// The options behind --out are of some formats alone; one that is given to another is an error.
struct ExportOptions {
  std::string model, out;
  std::string format = "hf";
  std::optional<ExportDtype> dtype;
  std::optional<std::string> gguf_type;       // of gguf_type_names()
  std::optional<std::string> embedding_type;  // f16 or q8_0
};
int export_command(const ExportOptions& options);

std::vector<std::string> export_format_names();
std::vector<std::string> gguf_type_names();

}  // namespace halftone
