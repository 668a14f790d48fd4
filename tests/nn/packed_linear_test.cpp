#include "halftone/nn/packed_linear.h"

#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/tensor/packed_signs.h"
#include "nn/nn_testing.h"

namespace halftone {
namespace {

using testing::largest_difference;
using testing::random_floats;

// Neither a multiple of 16 rows nor of 32 columns; of several groups the second must be one.
struct Case {
  int64_t out, in, groups;  // groups 0: h S g
  bool normed, biased;

  std::string text() const {
    return fmt::format("{} x {}, {} groups{}", out, in, groups, normed ? ", normed" : "");
  }
};

const Case kCases[] = {{83, 77, 0, false, false}, {83, 77, 0, true, true},
                       {33, 40, 1, false, true},  {16, 32, 1, false, false},
                       {21, 64, 2, false, true},  {48, 96, 3, false, false}};

using Tensors = std::map<std::string, Tensor>;

Tensor halves(const Shape& shape, uint64_t stream) {
  return random_floats(shape, stream).to(DType::f16).to(DType::f32);
}

// The layer with latent weights that a packed one is made from.
std::unique_ptr<LinearLike> latent_linear(const Case& c) {
  const Tensor latent = random_floats({c.out, c.in}, 1),
               bias = c.biased ? random_floats({c.out}, 2) : Tensor();
  if (c.groups > 0)
    return std::make_unique<GroupScaledLinear>("l", latent, halves({c.out, c.groups}, 3), bias);
  return std::make_unique<OneBitLinear>("l", latent, halves({c.in}, 4), halves({c.out}, 5), bias,
                                        OneBitOptions{.post_layer_norm = c.normed});
}

std::unique_ptr<LinearLike> linear_from(const Tensors& tensors, const LinearLike& like,
                                        const Case& c) {
  return linear_of(like.form(), "l", c.out, c.in, [&](const std::string& part) {
    const auto it = tensors.find("l." + part);
    return it == tensors.end() ? Tensor() : it->second;
  });
}

bool is_packed(const LinearLike& linear) {
  return dynamic_cast<const PackedLinear*>(&linear) != nullptr;
}

Tensor output(LinearLike& linear, const Tensor& x) {
  Tape tape(Tape::Mode::no_grad);
  return linear.forward(tape, tape.constant(x)).value();
}

void expect_equal(const Tensors& found, const Tensors& expected, const std::string& what) {
  ASSERT_EQ(found.size(), expected.size()) << what;
  for (const auto& [name, tensor] : expected) {
    ASSERT_TRUE(found.contains(name)) << what << ": " << name;
    const Tensor& other = found.at(name);
    ASSERT_EQ(other.dtype(), tensor.dtype()) << what << ": " << name;
    ASSERT_EQ(other.shape(), tensor.shape()) << what << ": " << name;
    EXPECT_EQ(std::memcmp(other.raw(), tensor.raw(), tensor.bytes()), 0) << what << ": " << name;
  }
}

TEST(PackedLinear, ComputesAsTheLayerThatItWasPackedFrom) {
  for (const Case& c : kCases) {
    const auto latent = latent_linear(c), packed = linear_from(latent->stored(), *latent, c);
    ASSERT_TRUE(is_packed(*packed)) << c.text();
    EXPECT_EQ(packed->form(), latent->form());
    for (const int64_t tokens : {1, 5, 40}) {
      const Tensor x = random_floats({tokens, c.in}, 6, 1);
      EXPECT_LT(largest_difference(output(*packed, x), output(*latent, x)), 1e-5) << c.text();
    }
  }
}

TEST(PackedLinear, ComputesTheSameUnpacked) {
  for (const Case& c : kCases) {
    const auto latent = latent_linear(c), packed = linear_from(latent->stored(), *latent, c),
               parameters = unpacked(*packed);
    ASSERT_FALSE(is_packed(*parameters)) << c.text();
    EXPECT_EQ(parameters->form(), latent->form()) << c.text();
    const Tensor x = random_floats({5, c.in}, 6, 1);
    EXPECT_LT(largest_difference(output(*parameters, x), output(*latent, x)), 1e-5) << c.text();
  }
}

TEST(PackedLinear, IsStoredAndMappedAsItWasReadBitForBit) {
  for (const Case& c : kCases) {
    const auto latent = latent_linear(c), packed = linear_from(latent->stored(), *latent, c);
    expect_equal(packed->stored(), latent->stored(), c.text());
    const Tensors mapped = packed->mapped();
    EXPECT_TRUE(mapped.contains("l.words") && mapped.contains("l.scales")) << c.text();
    EXPECT_FALSE(mapped.contains("l.sign")) << c.text();
    const auto again = linear_from(mapped, *latent, c);
    ASSERT_TRUE(is_packed(*again));
    expect_equal(again->mapped(), mapped, c.text());
    expect_equal(again->stored(), latent->stored(), c.text());
    const Tensor x = random_floats({2, c.in}, 6, 1);
    EXPECT_EQ(largest_difference(output(*again, x), output(*packed, x)), 0) << c.text();
  }
}

TEST(PackedLinear, TakesTheTilesWithoutCopyingThem) {
  const Case c = kCases[0];
  const auto latent = latent_linear(c), packed = linear_from(latent->stored(), *latent, c);
  const Tensors mapped = packed->mapped();
  const Tensors again = linear_from(mapped, *latent, c)->mapped();
  for (const char* name : {"l.words", "l.scales"})
    EXPECT_EQ(again.at(name).raw(), mapped.at(name).raw()) << name;
}

TEST(PackedLinear, CountsTheBitsOfTheLayerAndReadsItsTiles) {
  for (const Case& c : kCases) {
    const auto latent = latent_linear(c), packed = linear_from(latent->stored(), *latent, c);
    const LinearBits bits = packed->bits(), expected = latent->bits();
    EXPECT_EQ(bits.weights, expected.weights) << c.text();
    EXPECT_EQ(bits.paper_bits, expected.paper_bits) << c.text();
    EXPECT_EQ(bits.paper_numbers, expected.paper_numbers) << c.text();
    EXPECT_EQ(bits.stored_bits, expected.stored_bits) << c.text();
    // Whole tiles of 16 rows: a word of four bytes for 32 columns, two bytes a scale.
    const int64_t rows = (c.out + 15) / 16 * 16, groups = std::max<int64_t>(c.groups, 1);
    EXPECT_EQ(packed->read_bytes(), rows * ((c.in + 31) / 32 * 4 + groups * 2)) << c.text();
  }
}

TEST(PackedLinear, ItsDenseWeightIsThatOfTheLayer) {
  for (const Case& c : kCases) {
    const auto latent = latent_linear(c), packed = linear_from(latent->stored(), *latent, c);
    if (c.normed) {
      try {
        packed->dense_weight();
        FAIL();
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::recipe);
        EXPECT_EQ(std::string(error.what()).find("'l' has a layer normalisation"), 0u);
      }
      continue;
    }
    EXPECT_EQ(largest_difference(packed->dense_weight(), latent->dense_weight()), 0) << c.text();
  }
}

TEST(PackedLinear, TheBiasAloneIsAParameter) {
  for (const Case& c : kCases) {
    const auto latent = latent_linear(c), packed = linear_from(latent->stored(), *latent, c);
    std::string names;
    packed->visit([&](Param& param) { names += param.name; });
    EXPECT_EQ(names, c.biased ? "l.bias" : "") << c.text();
  }
}

TEST(PackedLinear, RefusesGradients) {
  const Case c = kCases[0];
  const auto latent = latent_linear(c), packed = linear_from(latent->stored(), *latent, c);
  Tape tape;
  EXPECT_THROW(packed->forward(tape, tape.variable(random_floats({2, c.in}, 6))),
               std::invalid_argument);
}

// What does not fall on tiles, or would lose numbers in F16, keeps its latent form.
TEST(PackedLinear, IsMadeWhereNothingIsLostAlone) {
  const Case odd{21, 66, 3, false, false};  // groups of 22
  const auto grouped = latent_linear(odd);
  EXPECT_FALSE(is_packed(*linear_from(grouped->stored(), *grouped, odd)));
  const Case c = kCases[0];
  const auto latent = latent_linear(c);
  Tensors wide = latent->stored();
  wide["l.out_scale"] = wide.at("l.out_scale").to(DType::f32);
  EXPECT_FALSE(is_packed(*linear_from(wide, *latent, c)));
}

TEST(PackedLinear, AShapeThatDoesNotFitIsNamed) {
  for (const Case& c : kCases) {
    const auto latent = latent_linear(c), packed = linear_from(latent->stored(), *latent, c);
    for (const auto& [name, tensor] : packed->mapped()) {
      Tensors other = packed->mapped();
      other[name] = Tensor::zeros({3}, tensor.dtype());
      try {
        linear_from(other, *latent, c);
        ADD_FAILURE() << c.text() << ": " << name;
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::format);
        EXPECT_NE(std::string(error.what()).find("'" + name + "' has shape [3]"), std::string::npos)
            << error.what();
      }
    }
    Tensors none = packed->mapped();
    none.erase("l.scales");
    EXPECT_THROW(linear_from(none, *latent, c), Error) << c.text();
  }
}

// Three groups of 22 inputs, in words and scales of shapes that would fit.
TEST(PackedLinear, TilesWhoseGroupsDoNotFallOnWordsAreRefused) {
  const Case odd{21, 66, 3, false, false};
  const auto latent = latent_linear(odd);
  const Tensors tensors{{"l.words", Tensor::zeros({2, 3, 64}, DType::u8)},
                        {"l.scales", Tensor::zeros({2, 3, 16}, DType::f16)}};
  try {
    linear_from(tensors, *latent, odd);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::format);
    EXPECT_EQ(std::string(error.what()),
              "model: tensor 'l.words' has 3 groups of 22 inputs, a multiple of 32 expected");
  }
}

// Words and scales of another dtype are other bytes: refused, not read.
TEST(PackedLinear, ADtypeThatDoesNotFitIsNamed) {
  const Case c = kCases[0];
  const auto latent = latent_linear(c), packed = linear_from(latent->stored(), *latent, c);
  for (const auto& [name, dtype] : std::map<std::string, DType>{
           {"l.words", DType::f32}, {"l.scales", DType::f32}, {"l.in_scale", DType::u8}}) {
    Tensors other = packed->mapped();
    other[name] = Tensor::zeros(other.at(name).shape(), dtype);
    try {
      linear_from(other, *latent, c);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::format) << name;
      EXPECT_NE(std::string(error.what()).find("'" + name + "'"), std::string::npos)
          << error.what();
    }
  }
}

}  // namespace
}  // namespace halftone
