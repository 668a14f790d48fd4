// A recipe: one TOML file that says everything about one run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/base/settings.h"
#include "halftone/compress/settings.h"
#include "halftone/eval/settings.h"
#include "halftone/model/import.h"
#include "halftone/nn/student_settings.h"
#include "halftone/quant/methods.h"
#include "halftone/text/data_settings.h"
#include "halftone/train/settings.h"

namespace halftone {

enum class Method {
  none,      // the teacher itself, evaluated
  pretrain,  // a full-precision model from scratch
  onebit,    // a OneBit student distilled from the teacher
  ptq,       // a post-training method, see RunSettings::ptq
};

struct RunSettings {
  std::string name;  // of the run directory, output_dir/name
  Method method = Method::none;
  const PtqMethod* ptq = nullptr;  // of the method ptq: which (quant/methods.h)
  std::string output_dir = "runs";
  int64_t seed = 0;
  std::string device = "cpu";
  int64_t threads = 0;      // 0: all
  int64_t trace_steps = 0;  // of training (tensor/trace.h)
};

struct TeacherSettings {
  // A model; for pretrain, an HF directory whose config.json and tokenizer the new model takes.
  std::string model;
  WeightDtype dtype = WeightDtype::automatic;
  // Above 0: the k likeliest tokens of the teacher are kept on disk, and the teacher runs once over
  // the text (train/logit_cache.h).
  int64_t cache_top_k = 0;
};

// The text that data.held_out makes, among those of an evaluation.
inline constexpr std::string_view kHeldOutName = "held-out";

struct Recipe {
  RunSettings run;
  TeacherSettings teacher;
  DataSettings data;
  StudentSettings student;
  LossSettings loss;
  WarmStartSettings warm_start;
  TrainSettings train;
  CalibrationSettings calibration;
  CompressSettings ptq;
  EvalSettings eval;
  std::vector<std::string> sections;  // those that the file or an override gave
};

void fields(FieldVisitor& v, RunSettings& s);
void fields(FieldVisitor& v, TeacherSettings& s);

// The recipe in the file at `path`, then the overrides "section.key=value", in their order. A value
// is TOML; what is no TOML value is a string as it stands.
// An override of train.max_steps takes the place of the file's train.num_train_epochs, and the
// other way round. Paths come back absolute. One written in the file is relative to the file; one
// of an override, or a default, to the working directory. Throws one Error(recipe) that holds every
// fault, a line each, as
//   FILE:LINE: section.key: what was found, what is expected
// ("--set: ..." for an override), with the nearest known key for an unknown one.
Recipe read_recipe(const std::string& path, const std::vector<std::string>& overrides = {});

// The recipe that a run left in its directory. What it reads may have been moved together with the
// directory: a path that is not there is looked for where it lies from the directory's present
// place. run.output_dir is that place.
Recipe read_run_recipe(const std::string& run_directory,
                       const std::vector<std::string>& overrides = {});

// The effective recipe, every default written out; read_recipe gives the same recipe back.
std::string write_recipe(const Recipe& recipe);

std::string recipe_sha256(const Recipe& recipe);  // of write_recipe's text

// "section.key: VALUE -> VALUE" for each field in which the recipes differ.
std::vector<std::string> recipe_differences(const Recipe& from, const Recipe& to);

// Every key with its default, range and meaning.
std::string recipe_help();

// "section.key" -> value, of the text of a recipe, without validating it. Throws Error(format) with
// `where` for text that is no TOML.
std::vector<std::pair<std::string, std::string>> recipe_entries(const std::string& text,
                                                                const std::string& where);

std::string method_name(const RunSettings& s);     // as the recipe spells it
std::string dtype_text(const TeacherSettings& s);  // "auto", "f32", ...
bool is_trained(Method method);                    // pretrain, onebit
bool calibrates(const Recipe& r);                  // the method reads windows of [calibration]

}  // namespace halftone
