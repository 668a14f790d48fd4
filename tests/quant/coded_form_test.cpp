#include "halftone/quant/coded_form.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/quant/methods.h"
#include "quant/quant_testing.h"

namespace halftone {
namespace {

constexpr int64_t kRows = 21, kColumns = 90;

// Every method, with groups and blocks that the columns are no multiple of.
std::vector<LowBitMatrix> matrices() {
  const Tensor w = testing::random_weight(kRows, kColumns, 1),
               h = testing::random_hessian(kColumns, 2);
  std::vector<LowBitMatrix> out;
  const auto add = [&](const char* method, const PtqSettings& settings) {
    out.push_back(ptq_method(method).quantise(w, h, settings));
  };
  for (const int64_t bits : {1, 2, 3, 4}) {
    add("rtn", {.bits = bits, .group_size = 20});
    add("rtn", {.bits = bits, .group_size = 0, .symmetric = true});
    add("gptq", {.bits = bits, .group_size = 32, .act_order = true});
  }
  add("xnor", {});
  for (const char* method : {"billm", "arb", "arb-x", "arb-rc"})
    for (const bool cgb : {false, true})
      for (const int64_t splits : {1, 2, 4})
        add(method, {.blocksize = 40, .iterations = 2, .cgb = cgb, .num_p = splits});
  return out;
}

// W, row by row, as the product with the unit vectors.
Tensor weights_of(const CodedMatrix& coded) {
  Tensor x = Tensor::zeros({coded.columns, coded.columns}, DType::f32);
  for (int64_t j = 0; j < coded.columns; ++j) x.data<float>()[j * coded.columns + j] = 1;
  Tensor y = Tensor::uninitialized({coded.columns, coded.rows}, DType::f32);
  multiply_coded(x, coded, y);
  return y;
}

std::string text_of(const LowBitMatrix& m) {
  return layout_text(m.layout);
}

void expect_equal(const std::map<std::string, Tensor>& found,
                  const std::map<std::string, Tensor>& expected, const std::string& what) {
  ASSERT_EQ(found.size(), expected.size()) << what;
  for (const auto& [name, tensor] : expected) {
    ASSERT_TRUE(found.contains(name)) << what << ": " << name;
    const Tensor& other = found.at(name);
    ASSERT_EQ(other.dtype(), tensor.dtype()) << what << ": " << name;
    ASSERT_EQ(other.numel(), tensor.numel()) << what << ": " << name;
    EXPECT_EQ(std::memcmp(other.raw(), tensor.raw(), tensor.bytes()), 0) << what << ": " << name;
  }
}

CodedMatrix from_tensors(const LowBitLayout& layout, const std::map<std::string, Tensor>& tensors) {
  const auto take = [&](const std::string& name) {
    const auto it = tensors.find(name);
    return it == tensors.end() ? Tensor() : it->second;
  };
  return coded_from(layout, kRows, kColumns, take, "model: tensor 'l").value();
}

TEST(CodedForm, ItsWeightsAreThoseOfTheMatrix) {
  for (const LowBitMatrix& m : matrices()) {
    const Tensor wanted = reconstruct(m), found = weights_of(coded_form(m));
    for (int64_t i = 0; i < kRows; ++i)
      for (int64_t j = 0; j < kColumns; ++j) {
        const float a = wanted.data<float>()[i * kColumns + j],
                    b = found.data<float>()[j * kRows + i];
        ASSERT_LE(std::abs(a - b), 2e-7 * (std::abs(a) + 0.1))
            << text_of(m) << " " << i << " " << j;
      }
  }
}

TEST(CodedForm, TheMatrixComesBackByteForByte) {
  for (const LowBitMatrix& m : matrices()) {
    const CodedMatrix coded = coded_form(m);
    expect_equal(low_bit_matrix(m.layout, coded).parts, m.parts, text_of(m));
    const auto tensors = coded_tensors(coded);
    expect_equal(coded_tensors(from_tensors(m.layout, tensors)), tensors, text_of(m));
  }
}

TEST(CodedForm, ItCountsTheBitsOfTheMatrix) {
  for (const LowBitMatrix& m : matrices()) {
    const LowBitCount wanted = count_bits(m), found = count_bits(m.layout, coded_form(m));
    EXPECT_EQ(found.weights, wanted.weights);
    EXPECT_EQ(found.stored_bits, wanted.stored_bits) << text_of(m);
    EXPECT_EQ(found.paper_bits, wanted.paper_bits) << text_of(m);
  }
}

TEST(CodedForm, CodesOfMoreThanFourBitsHaveNone) {
  EXPECT_TRUE(has_coded_form(UniformLayout{.bits = 4}));
  EXPECT_FALSE(has_coded_form(UniformLayout{.bits = 5}));
  EXPECT_TRUE(has_coded_form(BinaryLayout{.partitioned = true, .num_p = 7}));
}

TEST(CodedForm, TensorsThatDoNotFitAreNamed) {
  for (const LowBitMatrix& m : matrices()) {
    const auto whole = coded_tensors(coded_form(m));
    const auto refused = [&](const std::string& name, const Tensor& other,
                             const std::string& phrase) {
      auto tensors = whole;
      tensors[name] = other;
      try {
        from_tensors(m.layout, tensors);
        ADD_FAILURE() << text_of(m) << ": " << name;
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::format);
        EXPECT_NE(std::string(error.what()).find(phrase), std::string::npos) << error.what();
      }
    };
    for (const auto& [name, tensor] : whole) {
      const std::string place = name.find("columns") != std::string::npos ? "" : "'l." + name + "'";
      refused(name, Tensor::zeros({3, 1, 1, 1}, tensor.dtype()), place);
      refused(name, Tensor::zeros(tensor.shape(), DType::f64), place);
      if (name != "words") refused(name, Tensor(), "'l." + name + "' is missing");
    }
    // A column twice, one that is not there, groups behind the positions.
    for (const auto& [at, column] : {std::pair{0, 1}, {0, 90}, {0, -2}, {0, -1}}) {
      Tensor columns = whole.at("columns").clone();
      columns.data<int32_t>()[at] = column;
      if (columns.data<int32_t>()[at] == whole.at("columns").data<int32_t>()[at]) continue;
      refused("columns", columns, "columns'");
    }
    Tensor ends = whole.at("ends").clone();
    ends.data<int32_t>()[ends.numel() - 1] += 1;
    refused("ends", ends, "ends'");
  }
}

TEST(CodedForm, AZeroPointThatIsNoCodeIsRefused) {
  const LowBitMatrix m = matrices().front();
  for (const double zero : {-1.0, 0.5, 2.0, std::nan("")}) {
    auto tensors = coded_tensors(coded_form(m));
    Tensor values = tensors.at("values").to(DType::f32);
    values.data<float>()[1] = static_cast<float>(zero);
    tensors["values"] = values.to(DType::f16);
    EXPECT_THROW(from_tensors(m.layout, tensors), Error) << zero;
  }
}

}  // namespace
}  // namespace halftone
