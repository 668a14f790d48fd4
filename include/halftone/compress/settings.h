// What a recipe says of calibration and norm tweaking: [calibration], [ptq] and [ptq.norm_tweak].
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "halftone/quant/settings.h"

namespace halftone {

struct CalibrationSettings {
  std::vector<std::string> text;  // .txt, .txt.gz or .tok; none: data.generate's text
  int64_t num_calibration_samples = 128;
  int64_t max_seq_length = 2048;
  int64_t seed = 0;
};

enum class TweakLoss { dist, mse };

struct NormTweakSettings {
  double learning_rate = 1e-5;  // of block l of L: learning_rate (1 + scale l / L)
  double scale = 5;
  int64_t iterations = 1;  // passes over the calibration sequences
  TweakLoss loss = TweakLoss::dist;
};

struct CompressSettings {
  PtqSettings ptq;
  bool norm_tweak_present = false;
  NormTweakSettings norm_tweak;
};

void fields(FieldVisitor& v, CalibrationSettings& s);
void fields(FieldVisitor& v, NormTweakSettings& s);
void fields(FieldVisitor& v, CompressSettings& s);

}  // namespace halftone
