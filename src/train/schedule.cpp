#include "halftone/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace halftone {

double learning_rate_at(int64_t step, int64_t max_steps, const TrainSettings& s) {
  if (step < s.warmup_steps)
    return s.learning_rate * static_cast<double>(step) / static_cast<double>(s.warmup_steps);
  const double span = static_cast<double>(std::max<int64_t>(1, max_steps - s.warmup_steps));
  const double progress = std::min(1.0, static_cast<double>(step - s.warmup_steps) / span);
  switch (s.lr_scheduler_type) {
    case LrScheduler::constant:
      return s.learning_rate;
    case LrScheduler::linear:
      return s.learning_rate * (1.0 - progress);
    case LrScheduler::cosine:
      return s.learning_rate * 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  }
  return s.learning_rate;
}

double latent_lr_mult_at(int64_t step, int64_t max_steps, const TrainSettings& s) {
  if (s.freeze_signs_at == 1) return 1;
  const auto last = static_cast<int64_t>(s.freeze_signs_at * static_cast<double>(max_steps));
  const double rate = learning_rate_at(step, max_steps, s);
  return step < last && rate > 0 ? learning_rate_at(step, last, s) / rate : 0;
}

}  // namespace halftone
