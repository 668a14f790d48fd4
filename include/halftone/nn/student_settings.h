// Section [student] of a recipe: the OneBit student and how it starts from the teacher.
#pragma once

#include "halftone/base/settings.h"
#include "halftone/ops/onebit_linear.h"
#include "halftone/quant/svid.h"

namespace halftone {

// How the latent weights start, sign(W) being the teacher's in both.
enum class LatentInit {
  magnitude,  // proportional to the teacher's weights
  sign,       // the signs alone, all of one magnitude
};

struct StudentSettings {
  bool post_layer_norm = true;
  SvidMethod svid = SvidMethod::svd;
  SvidSplit svid_split = SvidSplit::balanced;
  LatentInit latent_init = LatentInit::magnitude;
  double latent_scale = 0;  // 0: by latent_init, see resolved_latent_scale
  Ste ste = Ste::tanh;
};

void fields(FieldVisitor& v, StudentSettings& s);

// latent_scale, or where it is 0: 0.02 for magnitude, 0.01 for sign.
double resolved_latent_scale(const StudentSettings& s);

}  // namespace halftone
