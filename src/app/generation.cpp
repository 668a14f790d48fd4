// The loop of generation: read what is new, draw, show.
#include "app/generation.h"

#include <algorithm>
#include <chrono>

#include "app/interrupt.h"
#include "halftone/model/companions.h"
#include "halftone/text/tokenizer_files.h"
#include "halftone/train/generate_data.h"

namespace halftone {
namespace {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

size_t whole_characters(std::string_view text) {
  // The last byte that begins a character, at most four back, says how many it has.
  for (size_t back = 1; back <= std::min<size_t>(4, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xc0) == 0x80) continue;
    const size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? text.size() - back : text.size();
  }
  return text.size();
}

Generator::Generator(LoadedModel& model, int64_t capacity)
    : Generator(model, load_model_tokenizer(model.home, model.config), capacity) {}

Generator::Generator(LoadedModel& model, std::unique_ptr<Tokenizer> tokenizer, int64_t capacity)
    : model_(model),
      tokenizer_(std::move(tokenizer)),
      cache_(model.decoder.make_cache(1, capacity, DType::f16)),
      ends_(end_tokens(model.home)),
      known_(generator_vocabulary(*tokenizer_).known) {}

Tensor Generator::read(const std::vector<int32_t>& ids) {
  cached_.insert(cached_.end(), ids.begin(), ids.end());
  return model_.decoder.next_logits(ids, 1, cache_);
}

Generated Generator::run(const std::vector<int32_t>& ids, const SamplingOptions& options,
                         const std::function<void(std::string_view)>& show) {
  Rng rng(static_cast<uint64_t>(options.seed), RngStream::generate);
  Generated out;
  // At least the last token is read, for what follows it.
  const auto same = std::ranges::mismatch(cached_, ids).in1 - cached_.begin();
  const int64_t kept = std::min<int64_t>(same, static_cast<int64_t>(ids.size()) - 1);
  cached_.resize(static_cast<size_t>(kept));
  cache_.position = kept;
  out.read = static_cast<int64_t>(ids.size()) - kept;
  double begin = seconds_now();
  Tensor logits = read({ids.begin() + kept, ids.end()});
  out.read_seconds = seconds_now() - begin;
  std::string waiting;
  begin = seconds_now();
  while (static_cast<int64_t>(out.ids.size()) < options.tokens && !interrupted()) {
    SampleDraw draw{.temperature = options.temperature};
    if (draw.temperature > 0) draw.uniform = rng.uniform();
    const int32_t next = sample_tokens(logits, {options.top_k, known_}, {draw}).front();
    out.ended = std::ranges::find(ends_, next) != ends_.end();
    if (out.ended) break;
    out.ids.push_back(next);
    waiting += tokenizer_->decode(std::vector{next});
    const size_t whole = whole_characters(waiting);
    out.text += waiting.substr(0, whole);
    if (whole > 0) show(std::string_view(waiting).substr(0, whole));
    waiting.erase(0, whole);
    if (static_cast<int64_t>(out.ids.size()) < options.tokens) logits = read({next});
  }
  out.seconds = seconds_now() - begin;
  out.text += waiting;
  if (!waiting.empty()) show(waiting);
  return out;
}

}  // namespace halftone
