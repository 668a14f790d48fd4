#include "halftone/nn/coded_linear.h"

#include <memory>
#include <stdexcept>
#include <vector>

#include "halftone/quant/billm.h"
#include "halftone/quant/rtn.h"
#include "nn/nn_testing.h"

namespace halftone {
namespace {

using testing::largest_difference;
using testing::random_floats;

constexpr int64_t kOut = 33, kIn = 70;

std::vector<LowBitLinear> dense_linears() {
  const Tensor w = random_floats({kOut, kIn}, 1), bias = random_floats({kOut}, 2);
  std::vector<LowBitLinear> out;
  out.emplace_back("l", xnor(w), Tensor());
  for (const int64_t bits : {2, 3, 4})
    out.emplace_back("l", rtn(w, {.bits = bits, .group_size = 32}), bias);
  return out;
}

std::unique_ptr<LinearLike> linear_from(const std::map<std::string, Tensor>& tensors,
                                        const std::string& form) {
  return linear_of(form, "l", kOut, kIn, [&](const std::string& part) {
    const auto it = tensors.find("l." + part);
    return it == tensors.end() ? Tensor() : it->second;
  });
}

bool is_coded(const LinearLike& linear) {
  return dynamic_cast<const CodedLinear*>(&linear) != nullptr;
}

Tensor output(LinearLike& linear, const Tensor& x) {
  Tape tape(Tape::Mode::no_grad);
  return linear.forward(tape, tape.constant(x)).value();
}

void expect_equal(const std::map<std::string, Tensor>& found,
                  const std::map<std::string, Tensor>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    ASSERT_EQ(found.at(name).bytes(), tensor.bytes()) << name;
    EXPECT_EQ(std::memcmp(found.at(name).raw(), tensor.raw(), tensor.bytes()), 0) << name;
  }
}

TEST(CodedLinear, IsWhatAModelFileOrAMappedOneBecomes) {
  for (LowBitLinear& dense : dense_linears()) {
    const auto stored = linear_from(dense.stored(), dense.form()),
               mapped = linear_from(dense.mapped(), dense.form());
    for (const auto& coded : {stored.get(), mapped.get()}) {
      ASSERT_TRUE(is_coded(*coded)) << dense.form();
      EXPECT_EQ(coded->form(), dense.form());
      for (const int64_t tokens : {1, 5, 40}) {
        const Tensor x = random_floats({tokens, kIn}, 6, 1);
        EXPECT_LT(largest_difference(output(*coded, x), output(dense, x)), 2e-5) << dense.form();
      }
      expect_equal(coded->stored(), dense.stored());
      expect_equal(coded->mapped(), dense.mapped());
      EXPECT_EQ(largest_difference(coded->dense_weight(), dense.dense_weight()), 0);
      const LinearBits bits = coded->bits(), expected = dense.bits();
      EXPECT_EQ(bits.weights, expected.weights);
      EXPECT_EQ(bits.paper_bits, expected.paper_bits);
      EXPECT_EQ(bits.paper_numbers, expected.paper_numbers);
      EXPECT_EQ(bits.stored_bits, expected.stored_bits);
      EXPECT_LT(coded->read_bytes(), dense.read_bytes() / 3);
    }
  }
}

TEST(CodedLinear, TakesWhatIsMappedWithoutCopyingIt) {
  LowBitLinear dense = std::move(dense_linears().front());
  const auto mapped = dense.mapped();
  for (const auto& [name, tensor] : linear_from(mapped, dense.form())->mapped())
    EXPECT_EQ(tensor.raw(), mapped.at(name).raw()) << name;
}

TEST(CodedLinear, TheBiasAloneIsAParameter) {
  for (LowBitLinear& dense : dense_linears()) {
    std::string names;
    linear_from(dense.stored(), dense.form())->visit([&](Param& param) { names += param.name; });
    EXPECT_EQ(names, dense.bias.value.defined() ? "l.bias" : "");
  }
}

TEST(CodedLinear, RefusesGradients) {
  LowBitLinear dense = std::move(dense_linears().front());
  const auto coded = linear_from(dense.stored(), dense.form());
  Tape tape;
  EXPECT_THROW(coded->forward(tape, tape.variable(random_floats({2, kIn}, 6))),
               std::invalid_argument);
}

// A book of 16 numbers does not hold more.
TEST(CodedLinear, CodesOfMoreThanFourBitsAreDecoded) {
  LowBitLinear dense("l", rtn(random_floats({kOut, kIn}, 1), {.bits = 5}), Tensor());
  EXPECT_FALSE(is_coded(*linear_from(dense.stored(), dense.form())));
  expect_equal(dense.mapped(), dense.stored());
}

}  // namespace
}  // namespace halftone
