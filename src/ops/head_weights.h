// What the head's losses of a chunk are weighted by.
#pragma once

namespace halftone {

// The KL's temperature, and what a row's losses count in the mean, as they scale its gradients.
struct HeadWeights {
  double tau, kl_gradient, label_gradient;
};

}  // namespace halftone
