// What a recipe says of post-training quantisation: [ptq].
#pragma once

#include <cstdint>

#include "halftone/base/settings.h"

namespace halftone {

// What ranks columns and, under search = saliency, is split: w^2 / U_jj^2, or w itself.
enum class Metric { hessian, magnitude };
// saliency: both searches in the metric's domain (released code). magnitude: both on W. paper: the
// pseudo-code of BiLLM, columns ranked by the metric, errors measured on W without a mean.
enum class Search { saliency, magnitude, paper };
// What a block's error gives to the later columns: E = D / diag(U) (released), E = D U^-1, nothing.
enum class BlockCompensation { diag, exact, none };

struct PtqSettings {
  int64_t bits = 2;          // rtn, gptq
  int64_t group_size = 128;  // rtn, gptq; 0: one grid a row
  bool symmetric = false;    // rtn, gptq
  bool mse = false;          // rtn, gptq: shrink each grid to the least sum of |error|^2.4
  bool act_order = false;    // gptq
  int64_t blocksize = 128;
  double damp_percent = 0.01;
  Metric metric = Metric::hessian;
  Search search = Search::saliency;
  double percentile_max = 0.90;
  BlockCompensation block_comp = BlockCompensation::diag;
  int64_t iterations = 15;
  bool cgb = true;
  int64_t num_p = 1;
  bool x_joint = false;
  bool true_sequential = false;
};

void fields(FieldVisitor& v, PtqSettings& s);

}  // namespace halftone
