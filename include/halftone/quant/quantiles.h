// Quantiles of a block's magnitudes without sorting them: a histogram of their leading bits finds
// the few that matter, and those are sorted.
#pragma once

#include <cstdint>
#include <vector>

namespace halftone {

// What a sort would put at `ranks` (0 is the least). Magnitudes are >= 0; O(n).
std::vector<double> in_order(const std::vector<double>& magnitudes,
                             const std::vector<int64_t>& ranks);

// Quantiles 0.10, 0.11 ... `last` by linear interpolation. A position within 1e-9 of an element is
// that element: rounding must not decide on which side of the threshold it lies.
std::vector<double> quantiles(const std::vector<double>& magnitudes, double last);

}  // namespace halftone
