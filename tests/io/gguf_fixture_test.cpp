// Every GGUF type against the numbers of the gguf Python package.
#include <gtest/gtest.h>

#include <cstring>

#include "halftone/io/gguf.h"
#include "halftone/io/safetensors.h"

namespace halftone {
namespace {

const std::string kFolder = HALFTONE_SOURCE_DIR "/tests/fixtures/gguf/";

class GgufFixtures : public ::testing::TestWithParam<const char*> {};

TEST_P(GgufFixtures, AreDequantisedAsThePackageDoes) {
  const GgufFile file = GgufFile::open(kFolder + GetParam() + ".gguf");
  const GgufTensor* entry = file.find("x");
  ASSERT_NE(entry, nullptr);
  const Tensor found = file.read(*entry).to(DType::f32);
  const Safetensors reference = read_safetensors(kFolder + GetParam() + ".safetensors");
  const Tensor& expected = reference.tensors.at("x");
  ASSERT_EQ(found.shape(), expected.shape());
  for (int64_t i = 0; i < found.numel(); ++i)
    ASSERT_EQ(found.data<float>()[i], expected.data<float>()[i]) << "entry " << i;
}

INSTANTIATE_TEST_SUITE_P(Types, GgufFixtures,
                         ::testing::Values("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0",
                                           "q5_1", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl",
                                           "tq1_0", "tq2_0"));

}  // namespace
}  // namespace halftone
