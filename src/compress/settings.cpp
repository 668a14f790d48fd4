#include "halftone/compress/settings.h"

namespace halftone {

void fields(FieldVisitor& v, CalibrationSettings& s) {
  v.paths("text", s.text, "texts or token files; none: the text of data.generate");
  v.field("num_calibration_samples", s.num_calibration_samples, {1, 1 << 20},
          "windows drawn without replacement");
  v.field("max_seq_length", s.max_seq_length, {2, 1 << 20}, "tokens a window");
  v.field("seed", s.seed, {}, "of the draw");
}

void fields(FieldVisitor& v, NormTweakSettings& s) {
  v.field("learning_rate", s.learning_rate, {}, "of block l of L times 1 + scale l / L");
  v.field("scale", s.scale, {}, "how much faster later blocks learn");
  v.field("iterations", s.iterations, {0, 1000}, "passes over the calibration windows");
  choice(v, "loss", s.loss, {{"dist", TweakLoss::dist}, {"mse", TweakLoss::mse}},
         "distance of the channels' means and variances, or of the outputs");
}

void fields(FieldVisitor& v, CompressSettings& s) {
  fields(v, s.ptq);
  if (v.open("norm_tweak", s.norm_tweak_present, "train the norms of each quantised block")) {
    fields(v, s.norm_tweak);
    v.close();
  }
}

}  // namespace halftone
