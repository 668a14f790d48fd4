#include "app/teacher_logits.h"

#include <algorithm>
#include <functional>
#include <optional>

#include "app/interrupt.h"
#include "app/many_ranks.h"
#include "app/progress.h"
#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "halftone/io/atomic_file.h"
#include "halftone/io/directory_lock.h"
#include "halftone/tensor/device.h"
#include "halftone/tensor/memory.h"

namespace halftone {
namespace {

constexpr int kFormat = 1;  // of what the key stands for
// Tokens that the teacher runs on at a time; not the run's batch, for any batch may use the cache.
constexpr int64_t kBatchTokens = 2048;

// Sequences begin .. end of the text.
TopLogProbs rows_of(Decoder& teacher, const TokenSequences& sequences, int64_t begin, int64_t end,
                    const Recipe& recipe) {
  std::vector<int32_t> ids;
  for (int64_t s = begin; s < end; ++s) {
    const auto sequence = sequences.sequence(s);
    ids.insert(ids.end(), sequence.begin(), sequence.end());
  }
  const TopLogProbs rows = teacher_rows(teacher, ids, end - begin, recipe.teacher.cache_top_k,
                                        recipe.loss.kl_temperature);
  return {rows.ids.to(Device::cpu), rows.log_probs.to(Device::cpu)};
}

// Makes one part; false when a signal ended it.
bool make_part(LogitCache& cache, int64_t part, const Recipe& recipe,
               const TokenSequences& sequences, Decoder& teacher,
               const std::function<void(int64_t sequences)>& made) {
  const LogitCacheSpec& spec = cache.spec();
  const int64_t at_a_time = std::max<int64_t>(1, kBatchTokens / spec.length);
  std::vector<TopLogProbs> rows;
  const int64_t last = spec.first_sequence(part + 1);
  for (int64_t begin = spec.first_sequence(part); begin < last; begin += at_a_time) {
    if (interrupted()) return false;
    const int64_t end = std::min(begin + at_a_time, last);
    rows.push_back(rows_of(teacher, sequences, begin, end, recipe));
    made(end - begin);
  }
  cache.write(part, rows);
  return true;
}

// A part of each rank at a time.
void make_missing(LogitCache& cache, const Recipe& recipe, const RunOptions& options,
                  const TokenSequences& sequences, Decoder& teacher) {
  const LogitCacheSpec& spec = cache.spec();
  const Ranks& ranks = options.ranks;
  std::vector<int64_t> missing;
  int64_t done = sequences.count();
  for (int64_t part = 0; part < spec.parts(); ++part) {
    if (cache.holds(part)) continue;
    missing.push_back(part);
    done -= spec.first_sequence(part + 1) - spec.first_sequence(part);
  }
  require_agreement(
      ranks, ErrorKind::format,
      {{"parts missing in " + spec.directory, fmt::format("{}", fmt::join(missing, " "))}});
  Progress progress("teacher logits", sequences.count(), options.quiet, done);
  const auto made = [&](int64_t count) {
    done = std::min(done + count * ranks.size(), sequences.count());
    progress.update(done, fmt::format("{} tokens", done * spec.length));
  };
  for (size_t next = 0; next < missing.size(); next += static_cast<size_t>(ranks.size())) {
    const size_t own = next + static_cast<size_t>(ranks.rank());
    const bool stopped =
        own < missing.size() && !make_part(cache, missing[own], recipe, sequences, teacher, made);
    if (ranks.any(stopped)) throw Interrupted();
  }
}

}  // namespace

LogitCacheSpec planned_teacher_logits(const Recipe& recipe, const ModelConfig& teacher,
                                      int64_t sequences) {
  const int64_t k = recipe.teacher.cache_top_k;
  if (k > teacher.vocab_size)
    throw_error(ErrorKind::recipe,
                "teacher.cache_top_k: found {}, at most the teacher's vocabulary of {} expected", k,
                teacher.vocab_size);
  return {.sequences = sequences,
          .length = recipe.data.max_seq_length,
          .vocabulary = teacher.vocab_size,
          .top_k = k};
}

LogitCache teacher_logits(const Recipe& recipe, const RunOptions& options, const TrainingText& text,
                          LoadedModel& teacher) {
  LogitCacheSpec spec = planned_teacher_logits(recipe, teacher.config, text.sequences.count());
  spec.key = sha256_hex(fmt::format("{} {} {} {} {} {} {}", teacher.sha256,
                                    dtype_text(recipe.teacher), text.sha256, spec.length,
                                    spec.top_k, recipe.loss.kl_temperature, kFormat));
  spec.directory =
      fmt::format("{}/teacher-logits-{}", recipe.run.output_dir, spec.key.substr(0, 16));
  const Ranks& ranks = options.ranks;
  LogitCache cache(spec);
  if (!ranks.any(!cache.whole())) return cache;
  std::optional<DirectoryLock> lock;
  ranks.first_does([&] {
    make_directories(spec.directory);
    lock.emplace(spec.directory);
    remove_temporaries(spec.directory);
  });
  const Device device = use_device(recipe.run.device);
  if (device == Device::cpu) {
    make_missing(cache, recipe, options, text.sequences, teacher.decoder);
  } else {
    // In F32, whatever the run's precision, for any run may use the cache.
    LoadedModel there =
        load_model(recipe.teacher.model, {.dtype = recipe.teacher.dtype, .widen = true});
    there.decoder.move_to(device, DType::f32);
    make_missing(cache, recipe, options, text.sequences, there.decoder);
  }
  release_kept_memory();
  if (!ranks.alone()) cache = LogitCache(spec);
  if (!cache.whole())
    throw_error(ErrorKind::io, "{}: what other ranks wrote is not there; a shared folder expected",
                spec.directory);
  return cache;
}

}  // namespace halftone
