// Every method on three real linears against plain NumPy (tests/fixtures/quant).
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "halftone/base/sha256.h"
#include "halftone/io/safetensors.h"
#include "halftone/io/strict_json.h"
#include "halftone/quant/methods.h"
#include "halftone/quant/packed_codes.h"

namespace halftone {
namespace {

using Json = nlohmann::json;

const std::string kFolder = HALFTONE_SOURCE_DIR "/tests/fixtures/quant/";
constexpr int64_t kStride = 7;  // of the elements kept in the fixture

struct Fixture {
  Safetensors file = read_safetensors(kFolder + "quant.safetensors");
  Json variants = read_json_file(kFolder + "variants.json", 1 << 20);

  Tensor hessian(const std::string& name, int64_t m) const {
    const Tensor upper = file.tensors.at("hessian." + name);
    Tensor out = Tensor::uninitialized({m, m}, DType::f64);
    const float* next = upper.data<float>();
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = i; j < m; ++j)
        out.data<double>()[i * m + j] = out.data<double>()[j * m + i] = *next++;
    return out;
  }
};

PtqSettings settings_of(const Json& options) {
  PtqSettings s{.block_comp = BlockCompensation::none, .cgb = options.value("cgb", false)};
  s.bits = options.value("bits", 2);
  s.group_size = options.value("group_size", 128);
  s.x_joint = options.value("joint", false);
  const std::string search = options.value("search", "saliency"),
                    comp = options.value("comp", "none");
  if (search != "saliency") s.search = search == "paper" ? Search::paper : Search::magnitude;
  if (comp != "none")
    s.block_comp = comp == "diag" ? BlockCompensation::diag : BlockCompensation::exact;
  return s;
}

// Without error feedback, and for GPTQ, W-hat and masks are the reference's. With it, near ties of
// later blocks' searches flip at rounding: there the first block, and the errors' sum.
TEST(QuantReference, MethodsAgreeWithNumPyOnRealLinears) {
  const Fixture fixture;
  double fed_back = 0, fed_back_expected = 0;
  for (const Json& variant : fixture.variants) {
    const std::string key = variant["key"];
    const Tensor w =
        fixture.file.tensors.at("weight." + variant["layer"].get<std::string>()).to(DType::f32);
    const int64_t m = w.dim(1);
    const Tensor h = fixture.hessian(variant["hessian"], m);
    const PtqSettings settings = settings_of(variant["options"]);
    const LowBitMatrix q =
        ptq_method(variant["options"]["method"].get<std::string>()).quantise(w, h, settings);
    const Tensor found = reconstruct(q), expected = fixture.file.tensors.at(key);
    const bool feedback = settings.block_comp != BlockCompensation::none;

    double worst = 0;
    for (int64_t k = 0; k < expected.numel(); ++k)
      if (!feedback || k * kStride % m < settings.blocksize)
        worst = std::max(worst, std::abs(static_cast<double>(found.data<float>()[k * kStride]) -
                                         expected.data<float>()[k]));
    EXPECT_LE(worst, feedback ? 1e-5 : 1e-6) << key;

    const double error = relative_error(w, found, h);
    if (feedback) {
      fed_back += error;
      fed_back_expected += variant["relative_error"].get<double>();
      continue;
    }
    EXPECT_NEAR(error / variant["relative_error"].get<double>(), 1, 1e-6) << key;
    const auto* binary = std::get_if<BinaryLayout>(&q.layout);
    if (!binary || !binary->partitioned) continue;
    const Tensor columns = fixture.file.tensors.at(key + ".columns");
    EXPECT_EQ(unpack_codes(q.parts.at("salient"), m, 1),
              std::vector<uint8_t>(columns.data<uint8_t>(), columns.data<uint8_t>() + m))
        << key;
    const Tensor groups = q.parts.at("groups");
    EXPECT_EQ(sha256_hex({static_cast<const char*>(groups.raw()), groups.bytes()}),
              variant["groups_sha256"].get<std::string>())
        << key;
  }
  EXPECT_NEAR(fed_back / fed_back_expected, 1, 0.01);
}

}  // namespace
}  // namespace halftone
