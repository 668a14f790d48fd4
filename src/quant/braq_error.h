// ||x - BRAQ(x, order)||^2 of sets known by sums: each order k takes count (mu_k^2 + alpha_k^2) off
// the sum of squares, as alpha_k = mean |x - mu|. Sets of kLanes rows at a time, for use in simd().
#pragma once

#include "halftone/quant/braq.h"
#include "row_lanes.h"

namespace halftone {

// Of every row's set. An empty one has zeros and no error.
struct LaneSet {
  Lanes count{}, sum{}, squares{};
};

// Count and sum of a set's elements that are >= a threshold.
struct LanesAbove {
  Lanes count{}, sum{};
};

HT_INLINE inline void set_mean(const LaneSet& set, Lanes& count, Lanes& mu) {
  count = set.count > 0.0 ? set.count : 1.0 - Lanes{};
  mu = set.sum / count;
}

// above_of(threshold, out) finds the LanesAbove of a threshold.
template <class AboveOf>
HT_INLINE inline void add_order_1_error(const LaneSet& set, const AboveOf& above_of, Lanes& error) {
  Lanes count, mu;
  set_mean(set, count, mu);
  LanesAbove a;
  above_of(mu, a);
  const Lanes alpha = 2.0 * (a.sum - a.count * mu) / count;
  error += set.squares - count * (mu * mu + alpha * alpha);
}

// After the first order, x splits at mu into two shifted halves, whose mean is
// mu_2 = -alpha mean(b).
template <class AboveOf>
HT_INLINE inline void add_order_2_error(const LaneSet& set, const AboveOf& above_of, Lanes& error) {
  Lanes count, mu, rms, rest_rms;
  set_mean(set, count, mu);
  root(set.squares / count, rms);
  LanesAbove a, h, l;
  above_of(mu - kTie * rms, a);
  const Lanes below = set.sum - a.sum;
  const Lanes alpha = ((a.sum - a.count * mu) + ((set.count - a.count) * mu - below)) / count;
  const Lanes mu2 = -alpha * (2.0 * a.count - set.count) / count;
  const Lanes high = mu + alpha + mu2, low = mu - alpha + mu2;
  const Lanes rest = set.squares - count * (mu * mu + alpha * alpha);
  root((rest > 0.0 ? rest : Lanes{}) / count, rest_rms);
  above_of(high - kTie * rest_rms, h);
  above_of(low - kTie * rest_rms, l);
  const Lanes magnitude = (h.sum - h.count * high) +
                          ((a.count - h.count) * high - (a.sum - h.sum)) +
                          ((l.sum - a.sum) - (l.count - a.count) * low) +
                          ((set.count - l.count) * low - (set.sum - l.sum));
  const Lanes alpha2 = magnitude / count;
  error += set.squares - count * (mu * mu + alpha * alpha + mu2 * mu2 + alpha2 * alpha2);
}

}  // namespace halftone
