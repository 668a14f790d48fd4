// Section [student] of a recipe: the OneBit student and how it starts from the teacher.
#pragma once

#include "halftone/base/settings.h"
#include "halftone/ops/onebit_linear.h"
#include "halftone/quant/svid.h"

namespace halftone {

// How the latent weights start; their signs are the teacher's, or those that the start has found.
enum class LatentInit {
  magnitude,  // proportional to the teacher's weights
  sign,       // the signs alone, all of one magnitude
};

// Where the first scales and signs come from.
enum class StudentStart {
  svid,    // the weights alone
  arb_rc,  // refined on the teacher's inputs of [calibration], see compress/onebit_start.h
};

struct StudentSettings {
  bool post_layer_norm = true;
  StudentStart start = StudentStart::svid;
  SvidMethod svid = SvidMethod::svd;
  SvidSplit svid_split = SvidSplit::balanced;
  LatentInit latent_init = LatentInit::magnitude;
  double latent_scale = 0;  // 0: by latent_init, see resolved_latent_scale
  Ste ste = Ste::tanh;
  // Neighbouring inputs of a row that share a scale, in place of g and h: 0, 32, 64 or 128; 0 is
  // none. Where this or `foldable` is set, linears are GroupScaledLinear, and post_layer_norm must
  // be false.
  int64_t scale_group = 0;
  bool foldable = false;  // g becomes part of the norms and linears in front; see compress

  // No linear keeps an in_scale.
  bool group_scaled() const { return scale_group > 0 || foldable; }
};

void fields(FieldVisitor& v, StudentSettings& s);

// latent_scale, or where it is 0: 0.02 for magnitude, 0.01 for sign.
double resolved_latent_scale(const StudentSettings& s);

}  // namespace halftone
