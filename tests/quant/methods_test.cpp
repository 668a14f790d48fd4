#include "halftone/quant/methods.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <stdexcept>
#include <string_view>
#include <variant>

#include "quant_testing.h"

namespace halftone {
namespace {

using testing::random_hessian;
using testing::random_weight;

TEST(RelativeError, OfNanOutputsIsNanAndOfDeadOnesZero) {
  const Tensor w = random_weight(3, 4, 1), other = random_weight(3, 4, 2);
  EXPECT_TRUE(std::isnan(relative_error(w, other, Tensor::full({4, 4}, DType::f64, NAN))));
  EXPECT_EQ(relative_error(w, other, Tensor::zeros({4, 4}, DType::f64)), 0);
}

TEST(RelativeError, IsTheShareOfTheOutputsEnergy) {
  const Tensor w = Tensor::of<float>({1, 2}, {3, 4}), back = Tensor::of<float>({1, 2}, {3, 2}),
               h = Tensor::of<double>({2, 2}, {1, 0.5, 0.5, 2});
  // (0, 2) H (0, 2)^T over (3, 4) H (3, 4)^T
  EXPECT_DOUBLE_EQ(relative_error(w, back, h), 8.0 / (9 + 12 + 32));
}

TEST(PtqMethods, AreFoundByTheirNames) {
  std::set<std::string_view> names;
  for (const PtqMethod& method : ptq_methods()) {
    EXPECT_TRUE(names.insert(method.name).second) << method.name;
    EXPECT_EQ(find_ptq_method(method.name), &method);
    EXPECT_EQ(&ptq_method(method.name), &method);
  }
  EXPECT_EQ(find_ptq_method("rtn "), nullptr);
  EXPECT_THROW(ptq_method("none"), std::invalid_argument);
}

TEST(PtqMethods, EveryOneGivesTheLayoutAndTheBitsThatItPlans) {
  const int64_t n = 8, m = 96;
  const Tensor w = random_weight(n, m, 40), h = random_hessian(m, 41);
  const PtqSettings settings{.group_size = 32, .act_order = true, .blocksize = 32};
  for (const PtqMethod& method : ptq_methods()) {
    const LowBitMatrix q = method.quantise(w, method.needs_hessian ? h : Tensor(), settings);
    EXPECT_EQ(q.layout, method.layout(settings)) << method.name;
    check_parts(q, "w");
    const LowBitCount count = count_bits(q);
    const int64_t salient = std::holds_alternative<BinaryLayout>(q.layout)
                                ? std::lround((count.paper_bits - 1) * m)
                                : 0;
    EXPECT_EQ(planned_bits(q.layout, n, m, salient), count.stored_bits) << method.name;
  }
}

}  // namespace
}  // namespace halftone
