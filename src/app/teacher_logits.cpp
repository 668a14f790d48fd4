#include "app/teacher_logits.h"

#include <algorithm>

#include "app/interrupt.h"
#include "app/progress.h"
#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "halftone/io/atomic_file.h"
#include "halftone/io/directory_lock.h"
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
  return teacher_rows(teacher, ids, end - begin, recipe.teacher.cache_top_k,
                      recipe.loss.kl_temperature);
}

void make_missing(LogitCache& cache, const Recipe& recipe, const RunOptions& options,
                  const TokenSequences& sequences, Decoder& teacher) {
  const LogitCacheSpec& spec = cache.spec();
  int64_t done = 0;
  for (int64_t part = 0; part < spec.parts(); ++part)
    if (cache.holds(part)) done += spec.first_sequence(part + 1) - spec.first_sequence(part);
  Progress progress("teacher logits", sequences.count(), options.quiet, done);
  const int64_t at_a_time = std::max<int64_t>(1, kBatchTokens / spec.length);
  for (int64_t part = 0; part < spec.parts(); ++part) {
    if (cache.holds(part)) continue;
    std::vector<TopLogProbs> rows;
    const int64_t last = spec.first_sequence(part + 1);
    for (int64_t begin = spec.first_sequence(part); begin < last; begin += at_a_time) {
      if (interrupted()) throw Interrupted();
      const int64_t end = std::min(begin + at_a_time, last);
      rows.push_back(rows_of(teacher, sequences, begin, end, recipe));
      done += end - begin;
      progress.update(done, fmt::format("{} tokens", done * spec.length));
    }
    cache.write(part, rows);
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
  LogitCache cache(spec);
  if (cache.whole()) return cache;
  make_directories(spec.directory);
  const DirectoryLock lock(spec.directory);
  remove_temporaries(spec.directory);
  make_missing(cache, recipe, options, text.sequences, teacher.decoder);
  release_kept_memory();
  return cache;
}

}  // namespace halftone
