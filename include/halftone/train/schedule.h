// Learning rate over the steps of a run.
#pragma once

#include <cstdint>

#include "halftone/train/settings.h"

namespace halftone {

// The rate of step `step` (from 0) of `max_steps`, as Hugging Face's schedulers give it: linear
// from 0 over warmup_steps, then constant, linear to 0, or a half cosine to 0.
double learning_rate_at(int64_t step, int64_t max_steps, const TrainSettings& settings);

// What the rate of latent weights is of that: their schedule ends after freeze_signs_at of the
// steps, and then it is 0.
double latent_lr_mult_at(int64_t step, int64_t max_steps, const TrainSettings& settings);

}  // namespace halftone
