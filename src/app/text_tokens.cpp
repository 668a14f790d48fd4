#include "app/text_tokens.h"

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "app/interrupt.h"
#include "app/many_ranks.h"
#include "app/progress.h"
#include "halftone/base/error.h"
#include "halftone/base/rng.h"
#include "halftone/base/sha256.h"
#include "halftone/io/atomic_file.h"
#include "halftone/io/file_kind.h"
#include "halftone/model/companions.h"
#include "halftone/tensor/device.h"
#include "halftone/tensor/memory.h"
#include "halftone/text/documents.h"
#include "halftone/text/token_file.h"
#include "halftone/text/token_stream.h"
#include "halftone/train/generate_data.h"

namespace halftone {
namespace {

constexpr std::chrono::seconds kSaveInterval{30};

// The cache's name says all that decides its content but the number of sequences.
std::string cache_path(const Recipe& recipe, const Tokenizer& tokenizer, const LoadedModel& teacher,
                       const std::vector<int32_t>& prefixes) {
  const GenerateSettings& g = recipe.data.generate;
  std::string key = fmt::format(
      "{} {} {} {} {} {} {} {}", teacher.sha256, dtype_text(recipe.teacher), tokenizer.hash(),
      recipe.data.max_seq_length, g.top_k, g.temperature, fmt::join(g.greedy_prefix, "-"), g.seed);
  if (!prefixes.empty())
    key += fmt::format(" {} {}", fmt::join(g.prefix_tokens, "-"),
                       sha256_hex(std::string(reinterpret_cast<const char*>(prefixes.data()),
                                              prefixes.size() * sizeof prefixes[0])));
  return fmt::format("{}/generated-{}.tok", recipe.run.output_dir, sha256_hex(key).substr(0, 16));
}

// To the device of the run, in what it multiplies in there.
void move_teacher(const Recipe& recipe, Decoder& teacher) {
  const Device device = use_device(recipe.run.device);
  if (device == Device::cpu) return;
  teacher.activations = recipe.train.precision == Precision::bf16 ? DType::bf16 : DType::f32;
  teacher.move_to(device, teacher.activations);
}

// Makes sequences number `done` and on, and saves the cache every half minute. The teacher is
// loaded anew with F32 weights for it: widening them for every token would cost more than the
// products.
void generate_missing(const Recipe& recipe, const RunOptions& options, const Tokenizer& tokenizer,
                      const std::string& cache, int64_t done, std::vector<int32_t> prefixes,
                      std::vector<int32_t>& tokens) {
  const GenerateSettings& g = recipe.data.generate;
  LoadedModel teacher =
      load_model(recipe.teacher.model, {.dtype = recipe.teacher.dtype, .widen = true});
  move_teacher(recipe, teacher.decoder);
  GeneratorVocabulary vocabulary = generator_vocabulary(tokenizer);
  vocabulary.prefixes = std::move(prefixes);
  Progress progress("generate", g.sequences, options.quiet, done);
  const Ranks& ranks = options.ranks;
  ranks.first_does([&] { make_directories(recipe.run.output_dir); });
  for (auto saved = std::chrono::steady_clock::now(); done < g.sequences;) {
    const int64_t own = done + ranks.rank() * g.batch_size,
                  count = std::clamp<int64_t>(g.sequences - own, 0, g.batch_size);
    std::vector<double> drawn;  // as ranks gather numbers
    if (count > 0)
      for (const auto& sequence : generate_sequences(teacher.decoder, vocabulary, g,
                                                     recipe.data.max_seq_length, own, count)) {
        drawn.insert(drawn.end(), sequence.begin(), sequence.end());
        drawn.push_back(vocabulary.end_token);
      }
    for (const std::vector<double>& of_rank : ranks.gather(drawn))
      for (const double id : of_rank) tokens.push_back(static_cast<int32_t>(id));
    done = std::min(done + ranks.size() * g.batch_size, g.sequences);
    progress.update(done, fmt::format("{} tokens", tokens.size()));
    const bool stopped = ranks.any(interrupted()),
               due = ranks.any(std::chrono::steady_clock::now() - saved >= kSaveInterval);
    if (done < g.sequences && !stopped && !due) continue;
    ranks.first_does([&] { write_token_file(cache, tokens, tokenizer); });
    saved = std::chrono::steady_clock::now();
    if (stopped && done < g.sequences) throw Interrupted();
  }
}

// Of the texts whose passages sequences begin with. What data.held_out keeps is in none of them.
std::vector<int32_t> prefix_tokens(const Recipe& recipe, const Tokenizer& tokenizer) {
  const GenerateSettings& g = recipe.data.generate;
  return read_sources({.train = g.prefix,
                       .sources = g.prefixes,
                       .held_out = recipe.data.held_out,
                       .generate = {}},
                      tokenizer, token_cache(recipe, true))
      .tokens.all();
}

// Tokens of data.generate.sequences sequences, each followed by the end token.
std::vector<int32_t> generated_tokens(const Recipe& recipe, const RunOptions& options,
                                      const Tokenizer& tokenizer, const LoadedModel& teacher) {
  const int32_t end = *tokenizer.eos();
  const int64_t wanted = recipe.data.generate.sequences;
  const std::vector<int32_t> prefixes = prefix_tokens(recipe, tokenizer);
  const std::string cache = cache_path(recipe, tokenizer, teacher, prefixes);
  std::vector<int32_t> tokens;
  if (exists_at(cache)) tokens = read_token_file(cache, tokenizer);
  const int64_t done = std::count(tokens.begin(), tokens.end(), end);
  require_agreement(options.ranks, ErrorKind::format,
                    {{"sequences in " + cache, std::to_string(done)}});
  if (done < wanted) generate_missing(recipe, options, tokenizer, cache, done, prefixes, tokens);
  release_kept_memory();
  // A cache with more sequences than asked for gives its first ones.
  size_t kept = 0;
  for (int64_t left = wanted; left > 0 && kept < tokens.size(); ++kept) left -= tokens[kept] == end;
  tokens.resize(kept);
  return tokens;
}

// With its BOS where the settings and the model want it, and no tokens yet.
HeldOutText empty_held_out(const TextSettings& settings, const Tokenizer& tokenizer,
                           const ModelConfig& config) {
  HeldOutText out{.text = {}, .settings = settings, .sha256 = {}};
  const std::optional<int32_t> bos = tokenizer.bos();
  BosPlace& place = out.settings.bos;
  if (place == BosPlace::window && !bos)
    throw_error(ErrorKind::recipe,
                "eval.bos is window, but the model's tokenizer puts no token in front of texts");
  place = bos ? bos_place(settings, needs_bos_in_windows(config)) : BosPlace::none;
  if (place == BosPlace::window) out.text.window_bos = bos;
  return out;
}

}  // namespace

HeldOutText read_held_out(const TextSettings& settings, const Tokenizer& tokenizer,
                          const ModelConfig& config) {
  if (file_kind(settings.text) == FileKind::tokens) {
    if (settings.join != Join::none)
      throw_error(ErrorKind::recipe,
                  "{}: is a token file: found join \"wikitext\" for it, \"none\" expected",
                  settings.text);
    return held_out_tokens(settings, read_token_file(settings.text, tokenizer), tokenizer, config);
  }
  std::string text = read_text(settings.text);
  HeldOutText out = empty_held_out(settings, tokenizer, config);
  out.sha256 = sha256_hex(text);
  if (settings.join == Join::wikitext) text = join_wikitext(text);
  const std::optional<int32_t> bos = tokenizer.bos();
  const BosPlace place = out.settings.bos;
  out.text.tokens = tokenizer.encode(text);
  // llama.cpp cuts its windows with the text's BOS in front, and so does the protocol.
  const bool keeps = !bos || place == BosPlace::document ||
                     (place == BosPlace::window && settings.protocol == Protocol::llamacpp);
  if (!keeps) out.text.tokens.erase(out.text.tokens.begin());
  require_rows(out.text.tokens, config, settings.text);
  return out;
}

HeldOutText held_out_tokens(const TextSettings& settings, std::vector<int32_t> ids,
                            const Tokenizer& tokenizer, const ModelConfig& config) {
  HeldOutText out = empty_held_out(settings, tokenizer, config);
  out.sha256 = sha256_hex(
      std::string_view(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof ids[0]));
  out.text.tokens = std::move(ids);
  require_rows(out.text.tokens, config, settings.text);
  return out;
}

TextSettings held_out_settings(const Recipe& recipe, const std::string& path) {
  TextSettings out = recipe.eval;
  out.name = kHeldOutName;
  out.text = path;
  out.join = Join::none;
  return out;
}

TokenCache token_cache(const Recipe& recipe, bool write) {
  return {.directory = recipe.run.output_dir, .write = write};
}

std::vector<int32_t> random_ids(int64_t count, int64_t vocabulary) {
  Rng rng(0, RngStream::test);
  std::vector<int32_t> out;
  for (int64_t i = 0; i < count; ++i)
    out.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(vocabulary))));
  return out;
}

TrainingText training_text(const Recipe& recipe, const RunOptions& options,
                           const Tokenizer& tokenizer, TokenStream tokens,
                           const LoadedModel* teacher) {
  const int64_t read = tokens.size();
  if (teacher && recipe.data.generate.sequences > 0)
    append_documents(generated_tokens(recipe, options, tokenizer, *teacher), *tokenizer.eos(),
                     recipe.data, tokens);
  const int64_t generated = tokens.size() - read;
  TokenSequences sequences(std::move(tokens), recipe.data.max_seq_length);
  std::string sha256 = sequences.sha256();
  return {std::move(sequences), std::move(sha256), generated};
}

void require_calibration_windows(const CalibrationSettings& settings, int64_t tokens) {
  const int64_t windows = tokens / settings.max_seq_length;
  if (windows < settings.num_calibration_samples)
    throw_error(ErrorKind::recipe,
                "calibration.num_calibration_samples: found {}, but the text has {} windows of "
                "calibration.max_seq_length = {} tokens",
                settings.num_calibration_samples, windows, settings.max_seq_length);
}

CalibrationText calibration_text(const Recipe& recipe, const RunOptions& options,
                                 const Tokenizer& tokenizer, TokenStream read,
                                 const LoadedModel& teacher) {
  const CalibrationSettings& settings = recipe.calibration;
  if (settings.text.empty())
    read = TokenStream(generated_tokens(recipe, options, tokenizer, teacher));
  require_calibration_windows(settings, read.size());
  const TokenSequences windows(std::move(read), settings.max_seq_length);
  const auto order =
      permutation(static_cast<uint64_t>(windows.count()), static_cast<uint64_t>(settings.seed),
                  static_cast<uint64_t>(RngStream::calibration));
  CalibrationText out{.tokens = {}, .sequences = settings.num_calibration_samples, .sha256 = {}};
  for (int64_t s = 0; s < out.sequences; ++s) {
    const auto window = windows.sequence(static_cast<int64_t>(order[s]));
    out.tokens.insert(out.tokens.end(), window.begin(), window.end());
  }
  out.sha256 = TokenSequences(out.tokens, settings.max_seq_length).sha256();
  return out;
}

}  // namespace halftone
