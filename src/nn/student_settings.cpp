#include "halftone/nn/student_settings.h"

namespace halftone {

void fields(FieldVisitor& v, StudentSettings& s) {
  v.field("post_layer_norm", s.post_layer_norm, "layer normalisation behind each 1-bit linear");
  choice(v, "start", s.start, {{"svid", StudentStart::svid}, {"arb-rc", StudentStart::arb_rc}},
         "first scales and signs: of the weights alone, or refined on [calibration]");
  choice(v, "svid", s.svid, {{"svd", SvidMethod::svd}, {"nmf", SvidMethod::nmf}},
         "rank-one approximation of the teacher's |W|");
  choice(v, "svid_split", s.svid_split,
         {{"balanced", SvidSplit::balanced},
          {"nmf", SvidSplit::nmf},
          {"out", SvidSplit::out},
          {"in", SvidSplit::in}},
         "how the singular value is shared between in_scale and out_scale");
  choice(v, "latent_init", s.latent_init,
         {{"magnitude", LatentInit::magnitude}, {"sign", LatentInit::sign}},
         "latent weights: the teacher's magnitudes, or its signs alone");
  v.field("latent_scale", s.latent_scale, {0, 1e3},
          "size of the latent weights; 0 = 0.02 for magnitude, 0.01 for sign");
  choice(v, "ste", s.ste,
         {{"tanh", Ste::tanh}, {"identity", Ste::identity}, {"clipped", Ste::clipped}},
         "straight-through factor of the sign's gradient");
  v.field("scale_group", s.scale_group, {0, 128},
          "inputs of a row that share a scale: 32, 64, 128; 0 = in_scale and out_scale");
  v.field("foldable", s.foldable,
          "no in_scale: the start multiplies it into the norms and linears in front");
}

double resolved_latent_scale(const StudentSettings& s) {
  if (s.latent_scale > 0) return s.latent_scale;
  return s.latent_init == LatentInit::magnitude ? 0.02 : 0.01;
}

}  // namespace halftone
