// Memory for time: a part of a computation whose intermediate values are not kept, but made again
// when backward comes to it (gradient checkpointing: Chen et al., arXiv 1604.06174).
#pragma once

#include <functional>

#include "halftone/autograd/tape.h"

namespace halftone {

// A pure function of its input and of parameters; what it refers to must outlive the tape.
using Segment = std::function<Var(Tape&, const Var&)>;

// y = segment(x). Forward keeps x alone; backward runs the segment again on a tape of its own:
// the same gradients, bit for bit, at the price of a second forward. Where x needs no gradient the
// segment runs as it is.
Var recomputed(const Var& x, Segment segment);

}  // namespace halftone
