#include "halftone/nn/student_settings.h"

#include <gtest/gtest.h>

namespace halftone {
namespace {

TEST(StudentSettings, TheLatentScaleFollowsTheStartUnlessItIsGiven) {
  EXPECT_EQ(resolved_latent_scale({.latent_init = LatentInit::magnitude}), 0.02);
  EXPECT_EQ(resolved_latent_scale({.latent_init = LatentInit::sign}), 0.01);
  EXPECT_EQ(resolved_latent_scale({.latent_init = LatentInit::sign, .latent_scale = 0.5}), 0.5);
}

}  // namespace
}  // namespace halftone
