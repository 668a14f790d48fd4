#include "halftone/quant/settings.h"

namespace halftone {

void fields(FieldVisitor& v, PtqSettings& s) {
  v.field("bits", s.bits, {1, 8}, "rtn, gptq: bits a code");
  v.field("group_size", s.group_size, {0, 1 << 20},
          "rtn, gptq: columns that share a scale and a zero; 0 = the whole row");
  v.field("symmetric", s.symmetric, "rtn, gptq: a grid around 0, no zero point stored");
  v.field("mse", s.mse, "rtn, gptq: shrink each grid to the least sum of |error|^2.4");
  v.field("act_order", s.act_order, "gptq: columns in falling order of the Hessian's diagonal");
  v.field("blocksize", s.blocksize, {1, 1 << 20}, "columns quantised before a lazy update");
  v.field("damp_percent", s.damp_percent, {0, 1}, "of the Hessian's mean diagonal, added to it");
  choice(v, "metric", s.metric, {{"hessian", Metric::hessian}, {"magnitude", Metric::magnitude}},
         "what ranks the columns: w^2 / U_jj^2, or |w|");
  choice(
      v, "search", s.search,
      {{"saliency", Search::saliency}, {"magnitude", Search::magnitude}, {"paper", Search::paper}},
      "where columns and split are searched: in the metric's domain (released code), on W, or as "
      "the paper's pseudo-code");
  v.field("percentile_max", s.percentile_max, {0.1, 1}, "last candidate of the split search");
  choice(v, "block_comp", s.block_comp,
         {{"diag", BlockCompensation::diag},
          {"exact", BlockCompensation::exact},
          {"none", BlockCompensation::none}},
         "how a block's error is fed to later columns: released, exact OBS, not at all");
  v.field("iterations", s.iterations, {0, 1000}, "arb, arb-x, arb-rc: alternating updates");
  v.field("cgb", s.cgb,
          "split the salient columns too (column-group bitmap); BiLLM as published: false");
  v.field("num_p", s.num_p, {1, 7}, "splits of the other columns");
  v.field("x_joint", s.x_joint, "arb-x: each group sees the error of the others");
  v.field("true_sequential", s.true_sequential,
          "calibrate q,k,v; o; gate,up; down one after another instead of together");
}

}  // namespace halftone
