// The same predictions by a model and by what was written of it.
#include "app/read_back.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "app/text_tokens.h"
#include "halftone/base/error.h"
#include "halftone/base/number_text.h"
#include "halftone/io/file_kind.h"
#include "halftone/model/companions.h"
#include "halftone/model/spec.h"
#include "halftone/tensor/numbers.h"

namespace halftone {
namespace {

template <class... Args>
[[noreturn]] void differ(const LoadedModel& written, fmt::format_string<Args...> text,
                         Args&&... args) {
  throw std::runtime_error(fmt::format("{}: read back, it is not the model that was exported: {}",
                                       written.path,
                                       fmt::format(text, std::forward<Args>(args)...)));
}

void compare_shapes(const LoadedModel& model, const LoadedModel& written) {
  const auto wanted = expected_weights(model.decoder.spec),
             found = expected_weights(written.decoder.spec);
  if (wanted.size() != found.size())
    differ(written, "{} parameters, {} expected", found.size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i)
    if (wanted[i].name != found[i].name || wanted[i].shape != found[i].shape)
      differ(written, "'{}' of shape {}, '{}' of shape {} expected", found[i].name,
             shape_text(found[i].shape), wanted[i].name, shape_text(wanted[i].shape));
}

HeldOutText text_of(const LoadedModel& model, const TextSettings& settings) {
  return read_held_out(settings, *load_model_tokenizer(model.home, model.config), model.config);
}

ReadBack compare_text(LoadedModel& model, LoadedModel& written, TextSettings settings) {
  settings.max_windows = settings.max_windows == 0
                             ? kWindowsReadBack
                             : std::min(settings.max_windows, kWindowsReadBack);
  const HeldOutText wanted = text_of(model, settings), found = text_of(written, settings);
  if (wanted.text.window_bos != found.text.window_bos || wanted.text.tokens != found.text.tokens) {
    const auto [a, b] = std::ranges::mismatch(wanted.text.tokens, found.text.tokens);
    differ(written, "its tokenizer gives other ids from token {} of {} on",
           a - wanted.text.tokens.begin(), settings.text);
  }
  const Evaluation first = evaluate(model.decoder, nullptr, wanted.text, wanted.settings),
                   second = evaluate(written.decoder, nullptr, wanted.text, wanted.settings);
  ReadBack out{.windows = first.windows, .model = first.perplexity, .written = second.perplexity};
  out.difference = std::abs(out.written / out.model - 1);
  // A broken model's figures are compared as they are.
  if (!(out.difference <= kMostDifference) && !(std::isnan(out.model) && std::isnan(out.written)) &&
      out.model != out.written)
    differ(written, "perplexity {} over {} windows of {}, {} expected (relative difference {:.1e})",
           fixed_text(out.written, 4), out.windows, settings.text, fixed_text(out.model, 4),
           out.difference);
  return out;
}

std::vector<double> logits_of(LoadedModel& model, const std::vector<int32_t>& ids) {
  Tape tape(Tape::Mode::no_grad);
  return values_of(model.decoder.logits(model.decoder.hidden(tape, ids, 1).value()));
}

ReadBack compare_logits(LoadedModel& model, LoadedModel& written) {
  const int64_t tokens =
      std::min(kTokensReadBack, model.decoder.spec.longest_context().value_or(kTokensReadBack));
  const std::vector<int32_t> ids = random_ids(tokens, model.config.vocab_size);
  const std::vector<double> wanted = logits_of(model, ids), found = logits_of(written, ids);
  double norm = 0, difference = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    norm += wanted[i] * wanted[i];
    difference += (found[i] - wanted[i]) * (found[i] - wanted[i]);
  }
  ReadBack out{.difference = difference == 0 ? 0 : std::sqrt(difference / norm)};
  if (!(out.difference <= kMostLogitDifference))
    differ(written,
           "logits of {} random tokens differ by {:.1e} of their norm, at most {} expected", tokens,
           out.difference, kMostLogitDifference);
  return out;
}

}  // namespace

std::string ReadBack::text() const {
  if (windows == 0)
    return fmt::format(
        "read back: logits of {} random tokens differ by {:.1e} (no evaluation text is known{})",
        kTokensReadBack, difference, no_text.empty() ? "" : ": " + no_text);
  return fmt::format("read back: perplexity {} over {} windows, the model's is {} ({:.1e})",
                     fixed_text(written, 4), windows, fixed_text(model, 4), difference);
}

std::optional<Recipe> recipe_of(const LoadedModel& model, std::string& fault) {
  if (!exists_at(model.home + "/recipe.toml")) return {};
  try {
    return read_run_recipe(model.home);
  } catch (const Error& error) {
    fault = error.what();  // the model is whole without what it was made of
    std::ranges::replace(fault, '\n', ';');
    return {};
  }
}

ReadBack compare_models(LoadedModel& model, LoadedModel& written,
                        const std::optional<TextSettings>& settings) {
  compare_shapes(model, written);
  return settings ? compare_text(model, written, *settings) : compare_logits(model, written);
}

}  // namespace halftone
