// The program: arguments in, exit codes out; what is thrown ends here as one.
#include <CLI/CLI.hpp>
#include <cmath>
#include <sstream>

#include "app/commands.h"
#include "app/console.h"
#include "app/failure.h"
#include "app/recipe.h"
#include "halftone/base/error.h"
#include "halftone/eval/tasks.h"
#include "halftone/tensor/environment.h"
#include "recipe_sections.h"

namespace {

using namespace halftone;

const CLI::Validator kFiniteFromZero(
    [](std::string& text) {
      double value = 0;
      const bool good =
          CLI::detail::lexical_cast(text, value) && value >= 0 && std::isfinite(value);
      return good ? std::string()
                  : fmt::format("found {}, a finite number from 0 on expected", printable(text));
    },
    "", "");
const CLI::Validator kAboveZero(
    [](std::string& text) {
      double value = 0;
      const bool good = CLI::detail::lexical_cast(text, value) && value > 0 && std::isfinite(value);
      return good ? std::string()
                  : fmt::format("found {}, a finite number above 0 expected", printable(text));
    },
    "", "");
const CLI::Range kFromZero(int64_t{0}, std::numeric_limits<int64_t>::max());

// "'evl' is no command, did you mean `eval`?", or the same of an option; "" where all are known.
std::string unknown_word(const CLI::App& app, int argc, char** argv) {
  const CLI::App* command = &app;
  std::string place = app.get_name();
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    std::vector<std::string> known;
    if (word.size() > 1 && word[0] == '-' && word != "--") {
      word = word.substr(0, word.find('='));
      for (const CLI::Option* option : command->get_options())
        for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
      if (!command->get_option_no_throw(word))
        return fmt::format("{}: {} is no option{}", place, printable(word),
                           suggestion(word, known));
    } else if (command == &app) {
      for (const CLI::App* sub : app.get_subcommands({})) {
        known.push_back(sub->get_name());
        if (sub->get_name() == word) command = sub;
      }
      if (command == &app)
        return fmt::format("{}: '{}' is no command{}", place, printable(word),
                           suggestion(word, known));
      place += " " + word;
    }
  }
  return "";
}

// The help or the version on stdout, or what is wrong with the command line on stderr.
int answer(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
  const bool lost = dynamic_cast<const CLI::ExtrasError*>(&error) ||
                    dynamic_cast<const CLI::RequiredError*>(&error);
  if (const std::string text = lost ? unknown_word(app, argc, argv) : ""; !text.empty()) {
    say("{}\nRun with --help for more information.\n", text);
    return exit_code(ErrorKind::recipe);
  }
  std::ostringstream out, err;
  const bool good = app.exit(error, out, err) == 0;
  print_text(out.str());
  say_text(err.str());
  return good ? 0 : exit_code(ErrorKind::recipe);
}

int run_program(int argc, char** argv) {
  CLI::App app{"halftone: 1-bit language models, distilled and measured", "halftone"};
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
    sub->add_option(
           "--set", overrides,
           "section.key=value: in place of the recipe's value. Paths given here are relative "
           "to the working directory, those in a recipe to the recipe's directory")
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
  CheckOptions check_options;
  check
      ->add_option("--ranks", check_options.ranks,
                   "what each of so many ranks would hold and send, and how long a step would take")
      ->check(CLI::Range(1, 1 << 20));
  check
      ->add_option("--memory", check_options.memory,
                   "with --ranks: what a rank has, as 80G; says which settings of the recipe fit")
      ->needs("--ranks");
  check->add_option("--gflops", check_options.gflops, "GFLOP/s that a rank computes at [100]")
      ->check(kAboveZero);
  check->add_option("--gbytes", check_options.gbytes, "GB/s that a rank sends at [1]")
      ->check(kAboveZero);
  check->add_option("--latency", check_options.latency, "microseconds that a message takes [20]")
      ->check(kFiniteFromZero);
  check->footer(
      recipe_help() +
      "\nExample: halftone check recipes/quickstart/onebit.toml --set train.max_steps=20");
  check->callback(
      [&] { command = [&] { return check_command(recipe, overrides, check_options); }; });

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

  const auto add_device = [](CLI::App* sub, std::string& device) {
    sub->add_option("--device", device, "cpu, or cuda:0 for the first GPU [cpu]");
  };
  const auto add_activations = [](CLI::App* sub, SignInputs& inputs) {
    std::map<std::string, SignInputs> names;
    for (const SignInputs one : {SignInputs::f32, SignInputs::int11})
      names[sign_inputs_name(one)] = one;
    sub->add_option("--activations", inputs,
                    "what packed signs multiply: f32, or int11, inputs rounded to 11 bits with a "
                    "step for each 32 of them, which is faster [f32]")
        ->transform(CLI::CheckedTransformer(names));
  };
  EvalOptions eval_options;
  EvalSettings& eval_settings = eval_options.settings;
  std::vector<std::string> eval_texts;
  const std::map<std::string, Protocol> protocols{
      {protocol_name(Protocol::hf), Protocol::hf},
      {protocol_name(Protocol::llamacpp), Protocol::llamacpp}};
  const std::map<std::string, BosPlace> places{{bos_name(BosPlace::automatic), BosPlace::automatic},
                                               {bos_name(BosPlace::document), BosPlace::document},
                                               {bos_name(BosPlace::window), BosPlace::window},
                                               {bos_name(BosPlace::none), BosPlace::none}};
  const std::map<std::string, WeightDtype> weight_dtypes{{"auto", WeightDtype::automatic},
                                                         {"f32", WeightDtype::f32},
                                                         {"f16", WeightDtype::f16},
                                                         {"bf16", WeightDtype::bf16}};
  const std::map<std::string, Join> joins{{"none", Join::none}, {"wikitext", Join::wikitext}};
  CLI::App* eval = app.add_subcommand("eval", "Perplexity of a model on texts, zero-shot tasks");
  eval->add_option("MODEL", model, "HF directory, .gguf, run directory or checkpoint")->required();
  eval->add_option("--text", eval_texts, "UTF-8 text file; each --text is measured by itself")
      ->expected(1)
      ->take_all();
  eval->add_option("--context", eval_settings.context, "tokens a window [2048]")
      ->check(CLI::Range(2, 1 << 20));
  eval->add_option("--protocol", eval_settings.protocol, "hf or llamacpp [hf]")
      ->transform(CLI::CheckedTransformer(protocols));
  eval->add_option("--bos", eval_settings.bos,
                   "where the text's first token (BOS) stands: document, window (in front of "
                   "each), none; auto: window with protocol llamacpp and for Gemma 3, else "
                   "document [auto]")
      ->transform(CLI::CheckedTransformer(places));
  eval->add_option("--max-windows", eval_settings.max_windows,
                   "stop after so many windows; 0: all [0]")
      ->check(kFromZero);
  eval->add_option("--join", eval_settings.join,
                   "none, or wikitext: rows joined as the HF data set has them [none]")
      ->transform(CLI::CheckedTransformer(joins));
  add_activations(eval, eval_options.inputs);
  eval->add_option(
          "--tasks", eval_settings.tasks,
          fmt::format("zero-shot tasks, split by commas: {}", fmt::join(task_names(), ", ")))
      ->delimiter(',')
      ->check(CLI::IsMember(task_names()));
  eval->add_option("--tasks-dir", eval_settings.tasks_dir,
                   "where their documents lie, <task>.jsonl or .jsonl.gz");
  eval->add_option("--task-limit", eval_settings.task_limit,
                   "documents of each task, the first ones; 0: all [0]")
      ->check(kFromZero);
  eval->add_option(
      "--samples", eval_options.samples,
      "write the scores of each document of the tasks to this file, one object a line");
  eval->add_option(
          "--dtype", eval_options.dtype,
          "the matrices: f32, as stored; f16 or bf16, rounded; auto, as a run has its teacher's: "
          "quantised ones of a GGUF file in F16 [f32]")
      ->transform(CLI::CheckedTransformer(weight_dtypes));
  add_device(eval, eval_options.device);
  eval->add_flag("--json", eval_options.json, "print one object on stdout");
  eval->add_flag("--quiet", eval_options.quiet, "no progress on stderr");
  eval->footer(
      "The protocols: docs/evaluation.md.\n"
      "Example: halftone eval runs/quickstart-onebit --text recipes/quickstart/heldout.txt "
      "--context 256\n"
      "         halftone eval smollm2.gguf --tasks piqa,arc_easy --tasks-dir tasks");
  eval->callback([&] {
    eval_options.model = model;
    for (const std::string& path : eval_texts) {
      TextSettings text = eval_settings;
      text.text = path;
      eval_settings.texts.push_back(text);
    }
    command = [&] { return eval_command(eval_options); };
  });

  const auto add_sampling = [](CLI::App* sub, SamplingOptions& sampling) {
    sub->add_option("--tokens", sampling.tokens,
                    fmt::format("at most so many new tokens [{}]", sampling.tokens))
        ->check(CLI::Range(1, 1 << 20));
    sub->add_option("--temperature", sampling.temperature, "0 takes the likeliest [0.8]")
        ->check(kFiniteFromZero);
    sub->add_option("--top-k", sampling.top_k, "0: all tokens [40]")->check(kFromZero);
    sub->add_option("--seed", sampling.seed, "[0]")->check(kFromZero);
  };
  GenerateOptions generate_options;
  CLI::App* generate = app.add_subcommand("generate", "Continue a prompt");
  generate->add_option("MODEL", generate_options.model)->required();
  generate->add_option("--prompt", generate_options.prompt)->required();
  add_sampling(generate, generate_options.sampling);
  add_activations(generate, generate_options.inputs);
  add_device(generate, generate_options.device);
  generate->add_flag("--chat", generate_options.chat,
                     "the prompt is a message, put into the model's own chat template");
  generate->add_flag("--json", generate_options.json,
                     "print one object on stdout: text, ids, tokens a second");
  generate->footer(
      "Example: halftone generate runs/quickstart-onebit --prompt \"Once upon a time\"");
  generate->callback([&] { command = [&] { return generate_command(generate_options); }; });

  TalkOptions chat_options;
  CLI::App* chat = app.add_subcommand("chat", "Talk to a model in its own chat template");
  chat->add_option("MODEL", chat_options.model)->required();
  chat->add_option("--system", chat_options.system, "the system message [the template's own]");
  chat->add_option("--context", chat_options.context,
                   "tokens of the whole conversation at most [2048]")
      ->check(CLI::Range(16, 1 << 20));
  add_sampling(chat, chat_options.sampling);
  add_activations(chat, chat_options.inputs);
  add_device(chat, chat_options.device);
  chat->footer(
      "A line is a message; an empty line, /exit or the end of the input leaves, /reset begins "
      "anew.\n"
      "Example: halftone chat smollm2.gguf");
  chat->callback([&] { command = [&] { return chat_command(chat_options); }; });

  BenchOptions bench_options;
  CLI::App* bench = app.add_subcommand(
      "bench", "Tokens a second of prompt and decoding, and their share of the read bandwidth");
  bench->add_option("MODEL", bench_options.model)->required();
  bench->add_option("--prompt", bench_options.prompt, "tokens of the prompt [128]")
      ->check(CLI::Range(1, 1 << 20));
  bench->add_option("--tokens", bench_options.tokens, "decoded tokens [64]")
      ->check(CLI::Range(1, 1 << 20));
  bench->add_option("--repetitions", bench_options.repetitions, "of which the median counts [5]")
      ->check(CLI::Range(1, 1000));
  add_activations(bench, bench_options.inputs);
  bench->add_flag("--json", bench_options.json, "print one object on stdout");
  bench->footer("Example: halftone bench runs/quickstart-onebit");
  bench->callback([&] { command = [&] { return bench_command(bench_options); }; });

  TokenizeOptions tokenize_options;
  CLI::App* tokenize =
      app.add_subcommand("tokenize", "Ids of a text as the model's tokenizer makes them");
  tokenize->add_option("MODEL", tokenize_options.model)->required();
  tokenize->add_option("--text", tokenize_options.text, "UTF-8 text file, taken as one text")
      ->required();
  tokenize->add_flag("--decode", tokenize_options.decode,
                     "print the text of the ids in the file, else the text that its ids give back");
  tokenize->add_flag("--json", tokenize_options.json,
                     "print one object on stdout: ids, tokens, count, vocab_size, bos_token_id, "
                     "eos_token_id, hash");
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
  compare->footer(
      "What has no result.json is named on stderr and left out. No file of a run is overwritten.\n"
      "Example: halftone compare runs/* --html report.html");
  compare->callback([&] { command = [&] { return compare_command(compare_options); }; });

  bool digest = false, json = false;
  std::string tokenizer;
  CLI::App* inspect = app.add_subcommand(
      "inspect",
      "What a model is: tensors, shapes, bits a weight; what a text is: documents, sizes");
  inspect->add_option("PATH", model)->required();
  inspect->add_option("--tokenizer", tokenizer,
                      "of a text: a model or a tokenizer whose tokens are counted");
  inspect->add_flag("--digest", digest,
                    "only the sha256 over all tensors (of a run: its newest checkpoint), or of "
                    "a text");
  inspect->add_flag("--json", json, "print one object on stdout");
  inspect->footer(
      "Example: halftone inspect runs/quickstart-onebit --digest\n"
      "         halftone inspect recipes/quickstart/train.txt.gz --tokenizer "
      "recipes/quickstart/teacher");
  inspect->callback(
      [&] { command = [&] { return inspect_command(model, tokenizer, digest, json); }; });

  ExportOptions export_options;
  const std::map<std::string, ExportDtype> dtypes{{"auto", ExportDtype::automatic},
                                                  {"f16", ExportDtype::f16},
                                                  {"bf16", ExportDtype::bf16},
                                                  {"f32", ExportDtype::f32}};
  CLI::App* exporter =
      app.add_subcommand("export", "Write a model in a format that other tools load");
  exporter->add_option("MODEL", export_options.model)->required();
  exporter
      ->add_option("--format", export_options.format,
                   "hf: a directory of dense weights under Hugging Face names; gguf: one file for "
                   "llama.cpp; packed: one file that Halftone maps; onebit: the released OneBit "
                   "layout; compressed-tensors: two bits a weight for transformers [hf]")
      ->check(CLI::IsMember(export_format_names()));
  exporter
      ->add_option("--out", export_options.out,
                   "directory or file to make; it must be new, or an empty directory")
      ->required();
  exporter
      ->add_option("--dtype", export_options.dtype,
                   "hf, of the tensors: f16, bf16, f32, or auto: f16, and wider for a tensor with "
                   "numbers beyond it [auto]")
      ->transform(CLI::CheckedTransformer(dtypes));
  exporter
      ->add_option("--gguf-type", export_options.gguf_type,
                   "gguf, of the blocks' linears: q1_0, q2_0, tq1_0, tq2_0, q4_0, f16, or auto: "
                   "of each the smallest that holds it exactly, else f16 [auto]")
      ->check(CLI::IsMember(gguf_type_names()));
  exporter
      ->add_option("--embedding-type", export_options.embedding_type,
                   "gguf and packed, of embedding and head: f16 or q8_0 [f16]")
      ->check(CLI::IsMember({"f16", "q8_0"}));
  exporter->footer(
      "What is written is loaded again and compared with the model before it gets its name.\n"
      "Example: halftone export runs/quickstart-onebit --format gguf --out onebit.gguf");
  exporter->callback([&] { command = [&] { return export_command(export_options); }; });

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return answer(app, error, argc, argv);
  }
  return command();
}

}  // namespace

int main(int argc, char** argv) {
  start_with_environment(argv);
  open_console();
  try {
    const int code = run_program(argc, argv);
    close_results();
    return code;
  } catch (...) {
    return tell_failure(std::current_exception());
  }
}
