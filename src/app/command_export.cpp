// Formats that a model is exported in, a row each, and the frame that reads back what they write.
#include <algorithm>
#include <cctype>
#include <filesystem>

#include "app/commands.h"
#include "app/console.h"
#include "app/model_argument.h"
#include "app/read_back.h"
#include "halftone/base/error.h"
#include "halftone/io/file_kind.h"
#include "halftone/model/export_compressed_tensors.h"
#include "halftone/model/export_gguf.h"
#include "halftone/model/export_hf.h"
#include "halftone/model/export_onebit.h"
#include "halftone/model/packed.h"
#include "halftone/text/ready_tokenizer.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

struct Export {
  LoadedModel& model;
  const Companions& companions;
  const std::optional<Recipe>& recipe;  // of the model's run
  const ExportOptions& options;
  const WrittenCheck& check;
};

std::string directory_text(const ExportSummary& summary, const Export& e) {
  return fmt::format("{} tensors, {} files beside them", summary.tensors,
                     e.companions.files.size());
}

// Each of these writes options.out and returns what there is to say of it.
std::string write_hf(const Export& e) {
  const ExportSummary summary =
      export_hf(e.model, e.companions, e.options.dtype.value_or(ExportDtype::automatic),
                e.options.out, e.check);
  if (summary.beyond_f16 > 0)
    say("{} tensors hold numbers beyond F16 and are written wider\n", summary.beyond_f16);
  return directory_text(summary, e);
}

// A type as an option spells it: "tq1_0".
std::string option_of(const GgmlType& type) {
  std::string out = type.name;
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// The name of a model's directory or file, without what is behind its last dot.
std::string name_of(const std::string& model) {
  fs::path path = fs::absolute(model).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return fs::is_directory(path) ? path.filename().string() : path.stem().string();
}

std::string write_gguf(const Export& e) {
  GgufExportOptions options{.q8_0_embedding = e.options.embedding_type == "q8_0",
                            .name = name_of(e.options.model),
                            .method = e.recipe ? method_name(e.recipe->run) : ""};
  for (const GgmlType* type : gguf_linear_types())
    if (e.options.gguf_type && option_of(*type) == *e.options.gguf_type) options.linears = type;
  const GgufExportSummary summary =
      export_gguf(e.model, e.companions, options, e.options.out, e.check);
  for (const std::string& note : summary.notes) say("{}\n", note);
  if (summary.changed > 0) say("rounding to F16 changed {} numbers\n", summary.changed);
  std::vector<std::string> types;
  for (const auto& [type, count] : summary.linears)
    types.push_back(fmt::format("{} {}", count, type));
  return fmt::format("{} tensors, of the blocks' linears {}, {:.4g} bits a weight", summary.tensors,
                     fmt::join(types, ", "), summary.bits);
}

std::string write_packed(const Export& e) {
  const PackedExportSummary summary =
      export_packed(e.model, e.companions,
                    {.q8_0_embedding = e.options.embedding_type == "q8_0",
                     .tokenizer = ready_tokenizer(e.model.home)},
                    e.options.out, e.check);
  return fmt::format("{} tensors, {} bytes", summary.tensors, summary.bytes);
}

std::string write_onebit(const Export& e) {
  return directory_text(export_onebit(e.model, e.companions, e.options.out, e.check), e);
}

std::string write_compressed_tensors(const Export& e) {
  return directory_text(export_compressed_tensors(e.model, e.companions, e.options.out, e.check),
                        e);
}

struct ExportFormat {
  const char* name;
  bool directory;                         // else a file
  std::vector<std::string_view> options;  // that it takes beside --out
  std::string (*write)(const Export& e);
};

const std::vector<ExportFormat>& formats() {
  static const std::vector<ExportFormat> rows = {
      {"hf", true, {"--dtype"}, write_hf},
      {"gguf", false, {"--gguf-type", "--embedding-type"}, write_gguf},
      {"packed", false, {"--embedding-type"}, write_packed},
      {"onebit", true, {}, write_onebit},
      {"compressed-tensors", true, {}, write_compressed_tensors},
  };
  return rows;
}

void check_options(const ExportFormat& format, const ExportOptions& options) {
  const std::pair<const char*, bool> given[] = {
      {"--dtype", options.dtype.has_value()},
      {"--gguf-type", options.gguf_type.has_value()},
      {"--embedding-type", options.embedding_type.has_value()}};
  for (const auto& [name, is_given] : given)
    if (is_given && std::ranges::find(format.options, name) == format.options.end())
      throw_error(ErrorKind::recipe, "{}: the format {} does not take it", name, format.name);
}

// A directory that is there is looked at where it is made: it may be empty.
void check_place(const ExportFormat& format, const ExportOptions& options) {
  std::error_code ignored;
  if (fs::equivalent(options.model, options.out, ignored))
    throw_error(ErrorKind::recipe, "--out: {} is the model itself, another {} is expected",
                options.out, format.directory ? "directory" : "file");
  if (format.directory) return;
  if (exists_at(options.out))
    throw_error(ErrorKind::recipe, "--out: {} is there already, a new file is expected",
                options.out);
  make_directories(fs::absolute(options.out).parent_path().string());
}

}  // namespace

int export_command(const ExportOptions& options) {
  const auto format = std::ranges::find(formats(), options.format, &ExportFormat::name);
  require(format != formats().end(), "export_command: format '{}'", options.format);
  check_options(*format, options);
  check_place(*format, options);
  LoadedModel model = load_model_argument(options.model, {.widen = true});
  const Companions companions = read_companions(model.home, model.config);
  std::string fault;
  const std::optional<Recipe> recipe = recipe_of(model, fault);
  std::optional<TextSettings> text;
  if (recipe && !texts_of(recipe->eval).empty()) text = texts_of(recipe->eval).front();
  ReadBack found;
  const WrittenCheck check = [&](const std::string& written) {
    LoadedModel again = load_model(written, {.widen = true});
    found = compare_models(model, again, text);
    found.no_text = fault;
  };
  const std::string summary = format->write({model, companions, recipe, options, check});
  print("{}: {}\n{}\n", options.out, summary, found.text());
  return 0;
}

std::vector<std::string> export_format_names() {
  std::vector<std::string> out;
  for (const ExportFormat& format : formats()) out.emplace_back(format.name);
  return out;
}

std::vector<std::string> gguf_type_names() {
  std::vector<std::string> out = {"auto"};
  for (const GgmlType* type : gguf_linear_types()) out.push_back(option_of(*type));
  return out;
}

}  // namespace halftone
