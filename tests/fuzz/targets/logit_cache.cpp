// The one part of a cache of a teacher's logits, without its seal, which is put behind it.
#include "halftone/io/sealed_file.h"
#include "logit_spec.h"
#include "target.h"

namespace halftone::fuzz {

HT_FUZZ_TARGET(logit_cache) {
  for (const bool wide : {false, true}) {
    const LogitCacheSpec spec = logit_spec(scratch().path(), wide);
    scratch().write("part-000", input);
    if (!accepted([&] { seal_file(spec.part_file(0)); })) return;
    accepted([&] {
      const LogitCache cache(spec);
      if (!cache.whole()) throw std::logic_error("a part that is there is not seen");
      const std::vector<int64_t> sequences{1, 0, 1};
      const TopLogProbs rows = cache.rows(sequences);
      touch(rows.log_probs.raw(), rows.log_probs.bytes());
      for (int64_t i = 0; i < rows.ids.numel(); ++i)
        if (const int32_t id = rows.ids.data<int32_t>()[i]; id < 0 || id >= spec.vocabulary)
          throw std::logic_error("an id that the vocabulary has not");
      cache.sha256();
    });
  }
}

}  // namespace halftone::fuzz
