// The program: arguments in, exit codes out; the only place that catches.
#include <CLI/CLI.hpp>
#include <new>

#include "halftone/app/commands.h"
#include "halftone/app/interrupt.h"
#include "halftone/app/recipe.h"
#include "halftone/base/error.h"

namespace {

using namespace halftone;

int run_program(int argc, char** argv) {
  CLI::App app{"halftone: 1-bit language models, distilled and measured"};
  app.require_subcommand(1);
  app.set_version_flag("--version", HALFTONE_VERSION);
  app.footer(
      "Exit codes: 0 ok, 1 internal, 2 usage or recipe, 3 input file, 4 I/O, 5 memory, 6 numerical "
      "stop,\n"
      "7 interrupted with a checkpoint saved, 8 checkpoint does not fit the recipe.");
  std::function<int()> command;

  std::string recipe, run_dir, model;
  std::vector<std::string> overrides;
  RunOptions run_options;
  const auto add_overrides = [&](CLI::App* sub) {
    sub->add_option("--set", overrides, "section.key=value: in place of the recipe's value")
        ->type_name("KEY=VALUE");
  };
  const auto add_run_flags = [&](CLI::App* sub) {
    sub->add_flag("--quiet", run_options.quiet, "no progress on stderr");
    sub->add_flag("--json", run_options.json, "print result.json on stdout");
  };

  CLI::App* check =
      app.add_subcommand("check", "Validate a recipe; print what it would do; compute nothing");
  check->add_option("RECIPE", recipe)->required();
  add_overrides(check);
  check->footer(
      recipe_help() +
      "\nExample: halftone check recipes/quickstart/onebit.toml --set train.max_steps=20");
  check->callback([&] { command = [&] { return check_command(recipe, overrides); }; });

  CLI::App* run = app.add_subcommand("run", "Carry out a recipe");
  run->add_option("RECIPE", recipe)->required();
  run->add_option("--run-dir", run_options.run_dir,
                  "where the run's files go [<run.output_dir>/<run.name>]");
  add_overrides(run);
  add_run_flags(run);
  run->footer("Example: halftone run recipes/quickstart/onebit.toml");
  run->callback([&] { command = [&] { return run_command(recipe, overrides, run_options); }; });

  CLI::App* resume =
      app.add_subcommand("resume", "Go on with a run from its newest whole checkpoint");
  resume->add_option("RUN_DIR", run_dir)->required();
  resume->add_flag("--allow-inexact", run_options.allow_inexact,
                   "go on also on another machine type or thread count");
  add_overrides(resume);
  add_run_flags(resume);
  resume->footer("Example: halftone resume runs/quickstart-onebit --set train.max_steps=300");
  resume->callback(
      [&] { command = [&] { return resume_command(run_dir, overrides, run_options); }; });

  EvalSettings eval_settings;
  bool json = false, quiet = false;
  const std::map<std::string, Protocol> protocols{{"hf", Protocol::hf},
                                                  {"llamacpp", Protocol::llamacpp}};
  const std::map<std::string, Join> joins{{"none", Join::none}, {"wikitext", Join::wikitext}};
  CLI::App* eval = app.add_subcommand("eval", "Perplexity of a model on a text");
  eval->add_option("MODEL", model, "HF directory, .gguf, run directory or checkpoint")->required();
  eval->add_option("--text", eval_settings.text, "UTF-8 text file")->required();
  eval->add_option("--context", eval_settings.context, "tokens a window [2048]")
      ->check(CLI::Range(2, 1 << 20));
  eval->add_option("--protocol", eval_settings.protocol, "hf or llamacpp [hf]")
      ->transform(CLI::CheckedTransformer(protocols));
  eval->add_option("--max-windows", eval_settings.max_windows,
                   "stop after so many windows; 0: all [0]")
      ->check(CLI::NonNegativeNumber);
  eval->add_option("--join", eval_settings.join,
                   "none, or wikitext: rows joined as the HF data set has them [none]")
      ->transform(CLI::CheckedTransformer(joins));
  eval->add_flag("--json", json, "print one object on stdout");
  eval->add_flag("--quiet", quiet, "no progress on stderr");
  eval->footer(
      "Example: halftone eval runs/quickstart-onebit --text recipes/quickstart/heldout.txt "
      "--context 256");
  eval->callback(
      [&] { command = [&] { return eval_command(model, eval_settings, json, quiet); }; });

  GenerateOptions generate_options;
  CLI::App* generate = app.add_subcommand("generate", "Continue a prompt");
  generate->add_option("MODEL", generate_options.model)->required();
  generate->add_option("--prompt", generate_options.prompt)->required();
  generate->add_option("--tokens", generate_options.tokens, "at most so many new tokens [64]")
      ->check(CLI::Range(1, 1 << 20));
  generate->add_option("--temperature", generate_options.temperature, "0 takes the likeliest [0.8]")
      ->check(CLI::NonNegativeNumber);
  generate->add_option("--top-k", generate_options.top_k, "0: all tokens [40]")
      ->check(CLI::NonNegativeNumber);
  generate->add_option("--seed", generate_options.seed, "[0]")->check(CLI::NonNegativeNumber);
  generate->footer(
      "Example: halftone generate runs/quickstart-onebit --prompt \"Once upon a time\"");
  generate->callback([&] { command = [&] { return generate_command(generate_options); }; });

  TokenizeOptions tokenize_options;
  CLI::App* tokenize =
      app.add_subcommand("tokenize", "Ids of a text as the model's tokenizer makes them");
  tokenize->add_option("MODEL", tokenize_options.model)->required();
  tokenize->add_option("--text", tokenize_options.text, "UTF-8 text file, taken as one text")
      ->required();
  tokenize->add_flag("--decode", tokenize_options.decode,
                     "print the text of the ids in the file, else the text that its ids give back");
  tokenize->add_flag("--json", tokenize_options.json,
                     "print one object on stdout: ids, tokens, count, bos, eos, hash");
  tokenize->footer(
      "Example: halftone tokenize recipes/quickstart/teacher --text "
      "recipes/quickstart/heldout.txt");
  tokenize->callback([&] { command = [&] { return tokenize_command(tokenize_options); }; });

  CompareOptions compare_options;
  CLI::App* compare = app.add_subcommand("compare", "Finished runs side by side");
  compare->add_option("RUN_DIR", compare_options.runs)->required()->expected(1, -1);
  compare->add_option("--html", compare_options.html, "write a self-contained page to this file");
  compare->add_option("--csv", compare_options.csv, "write the table to this file");
  compare->add_option("--sort", compare_options.sort,
                      "column to sort by: bits_linear, megabytes, perplexity, kl ... [perplexity]");
  compare->add_flag("--json", compare_options.json, "print one object on stdout");
  compare->footer("Example: halftone compare runs/* --html report.html");
  compare->callback([&] { command = [&] { return compare_command(compare_options); }; });

  bool digest = false;
  CLI::App* inspect =
      app.add_subcommand("inspect", "What a file or directory is: tensors, shapes, bits a weight");
  inspect->add_option("PATH", model)->required();
  inspect->add_flag("--digest", digest,
                    "only the sha256 over all tensors (of a run: its newest checkpoint)");
  inspect->add_flag("--json", json, "print one object on stdout");
  inspect->footer("Example: halftone inspect runs/quickstart-onebit --digest");
  inspect->callback([&] { command = [&] { return inspect_command(model, digest, json); }; });

  std::string format = "hf", out;
  CLI::App* exporter =
      app.add_subcommand("export", "Write a model in a format that other tools load");
  exporter->add_option("MODEL", model)->required();
  exporter->add_option("--format", format, "hf: dense F16 weights under Hugging Face names [hf]")
      ->check(CLI::IsMember({"hf"}));
  exporter->add_option("--out", out, "directory to make")->required();
  exporter->footer("Example: halftone export runs/teacher --format hf --out teacher");
  exporter->callback([&] { command = [&] { return export_command(model, format, out); }; });

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return command();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run_program(argc, argv);
  } catch (const Error& error) {
    fmt::print(stderr, "halftone: {}\n", error.what());
    return exit_code(error.kind());
  } catch (const Interrupted&) {
    fmt::print(stderr, "halftone: interrupted; what was done is saved\n");
    return kExitInterrupted;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "halftone: out of memory\n");
    return exit_code(ErrorKind::memory);
  } catch (const std::exception& error) {
    fmt::print(stderr, "halftone: internal error: {}\n", error.what());
    return 1;
  }
}
