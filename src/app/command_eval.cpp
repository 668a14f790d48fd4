#include <filesystem>
#include <set>

#include "app/commands.h"
#include "app/console.h"
#include "app/evaluation.h"
#include "app/many_ranks.h"
#include "app/model_argument.h"
#include "halftone/base/error.h"
#include "halftone/base/number_text.h"
#include "halftone/base/threads.h"
#include "halftone/io/atomic_file.h"
#include "halftone/model/companions.h"
#include "halftone/tensor/device.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

void check_options(const EvalOptions& options) {
  const EvalSettings& s = options.settings;
  const auto expect = [](bool good, std::string_view text) {
    if (!good) throw Error(ErrorKind::recipe, std::string(text));
  };
  expect(!s.texts.empty() || !s.tasks.empty(), "eval: --text or --tasks expected");
  expect(s.tasks.empty() || !s.tasks_dir.empty(),
         "--tasks: --tasks-dir expected, the directory of their documents");
  expect(std::set<std::string>(s.tasks.begin(), s.tasks.end()).size() == s.tasks.size(),
         "--tasks: found a task twice, each once expected");
  expect(!s.tasks.empty() || options.samples.empty(), "--samples: --tasks expected");
  const std::string twice = name_given_twice(texts_of(s));
  expect(twice.empty(),
         fmt::format("--text: found two files called {}, different names expected", twice));
  if (options.samples.empty()) return;
  // Before the work, not behind it.
  const fs::path parent = fs::absolute(options.samples).parent_path();
  if (!fs::is_directory(parent))
    throw_error(ErrorKind::io, "--samples: {} cannot be written: there is no directory {}",
                printable(options.samples), printable(parent.string()));
}

EvalInputs read_eval_inputs(const EvalSettings& settings, const LoadedModel& model) {
  const std::unique_ptr<Tokenizer> tokenizer = load_model_tokenizer(model.home, model.config);
  EvalInputs out;
  for (const TextSettings& text : texts_of(settings)) {
    check_context(model.decoder.spec, text.context, "--context");
    out.texts.push_back(read_held_out(text, *tokenizer, model.config));
    evaluation_windows(out.texts.back().text, text);
  }
  for (const std::string& task : settings.tasks)
    add_task(task, settings, *tokenizer, model.config, out);
  return out;
}

void print_texts(const std::vector<TextResult>& texts) {
  for (const TextResult& text : texts) {
    if (texts.size() > 1) print("{}: ", printable(text.settings.name));
    print("perplexity {}  ({} windows of {} tokens of {}, BOS {}, protocol {})\n",
          fixed_text(text.eval.perplexity, 4), text.eval.windows, text.settings.context,
          text.tokens, bos_name(text.settings.bos), protocol_name(text.settings.protocol));
  }
}

// Windows and batches go round the ranks; the first tells the figures.
int evaluate_on(const Ranks& ranks, const EvalOptions& options) {
  LoadedModel model;
  EvalInputs inputs;
  set_threads(ranks.cores());
  ranks.together([&] {
    check_options(options);
    const Device device = use_device(options.device);
    model = load_model_argument(options.model, {.dtype = options.dtype, .widen = true});
    take_inputs(model, options.inputs, device);
    inputs = read_eval_inputs(options.settings, model);
    move_to_evaluate(model.decoder, device);
  });
  std::map<std::string, std::string> own = digests(inputs);
  own["model: sha256"] = model.sha256;
  require_agreement(ranks, ErrorKind::format, own);
  std::string samples;
  const EvalResults results =
      evaluate_all(model.decoder, nullptr, inputs,
                   {.quiet = options.quiet || !ranks.first(), .samples = &samples, .ranks = ranks});
  ranks.first_does([&] {
    if (options.json) {
      print("{}\n", evaluation_json(results));
    } else {
      print_texts(results.texts);
      print_tasks(results.tasks, "");
    }
    if (!options.samples.empty()) write_text_durably(options.samples, samples);
  });
  return 0;
}

}  // namespace

int eval_command(const EvalOptions& options) {
  return on_ranks([&](const Ranks& ranks) { return evaluate_on(ranks, options); });
}

}  // namespace halftone
