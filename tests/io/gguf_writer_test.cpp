#include "halftone/io/gguf_writer.h"

#include <filesystem>

#include "halftone/io/gguf.h"
#include "io/file_builders.h"

namespace halftone {
namespace {

using testing::TemporaryDirectory;

GgufTensorSource source(const std::string& name, const char* type, const Tensor& numbers) {
  const GgmlType* found = &ggml_type(type);
  return {name, found, numbers.shape(), [found, numbers](std::span<uint8_t> bytes) {
            EXPECT_TRUE(gguf_encode(*found, numbers, bytes));
          }};
}

// d or -d, d a number of the row.
Tensor signs(int64_t rows, int64_t columns) {
  std::vector<float> out;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      out.push_back((c * c + 3 * r) % 7 < 3 ? 0.25f * static_cast<float>(r + 1)
                                            : -0.25f * static_cast<float>(r + 1));
  return Tensor::of({rows, columns}, out);
}

TEST(GgufWriter, ValuesOfEveryTypeComeBackInTheirTypes) {
  const TemporaryDirectory folder;
  const std::vector<GgufKey> keys = {{"u32", uint32_t{4000000000}},
                                     {"i32", int32_t{-7}},
                                     {"u64", uint64_t{1} << 40},
                                     {"f32", 0.1f},
                                     {"f64", 0.1},
                                     {"yes", true},
                                     {"text", std::string("caf\xc3\xa9")},
                                     {"ids", std::vector<int32_t>{1, -2, 3}},
                                     {"scores", std::vector<float>{-1.5f, 0.1f}},
                                     {"tokens", std::vector<std::string>{"a", "", "\xff b"}}};
  write_gguf(folder.file("a.gguf"), keys, {});
  const GgufMetadata back = GgufMetadata::read(folder.file("a.gguf"));
  EXPECT_EQ(back.version(), 3u);
  EXPECT_EQ(back.keys().size(), keys.size());
  for (const auto& [key, type] : {std::pair{"u32", "u32"},
                                  {"i32", "i32"},
                                  {"u64", "u64"},
                                  {"f32", "f32"},
                                  {"f64", "f64"},
                                  {"yes", "bool"},
                                  {"text", "string"},
                                  {"ids", "i32[3]"},
                                  {"scores", "f32[2]"},
                                  {"tokens", "string[3]"}})
    EXPECT_EQ(back.type_text(key), type);
  EXPECT_EQ(back.get_int("u32"), 4000000000);
  EXPECT_EQ(back.get_int("i32"), -7);
  EXPECT_EQ(back.get_int("u64"), int64_t{1} << 40);
  EXPECT_EQ(back.get_float("f32"), static_cast<double>(0.1f));
  EXPECT_EQ(back.get_float("f64"), 0.1);
  EXPECT_TRUE(back.get_bool("yes"));
  EXPECT_EQ(back.get_string("text"), "caf\xc3\xa9");
  EXPECT_EQ(back.get_ints("ids"), (std::vector<int64_t>{1, -2, 3}));
  EXPECT_EQ(back.get_floats("scores"), (std::vector<double>{-1.5, static_cast<double>(0.1f)}));
  EXPECT_EQ(back.get_strings("tokens"), (std::vector<std::string>{"a", "", "\xff b"}));
}

TEST(GgufWriter, TensorsComeBackInTheirOrderAndBitForBit) {
  const TemporaryDirectory folder;
  const Tensor norm = Tensor::of({3}, std::vector<float>{1, 0.1f, -2}), matrix = signs(3, 256),
               eighths = Tensor::of({1, 32}, std::vector<float>(32, 0.125));
  std::vector<GgufTensorSource> tensors = {source("z.norm", "F32", norm),
                                           source("half", "F16", matrix),
                                           source("eight", "Q8_0", eighths)};
  for (const char* type : {"Q1_0", "Q2_0", "TQ1_0", "TQ2_0", "Q4_0"})
    tensors.push_back(source(type, type, matrix));
  write_gguf(folder.file("a.gguf"), {{"general.alignment", uint32_t{32}}}, tensors);
  const GgufFile back = GgufFile::open(folder.file("a.gguf"));
  ASSERT_EQ(back.tensors().size(), tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const GgufTensor& found = back.tensors()[i];
    EXPECT_EQ(found.name, tensors[i].name);
    EXPECT_EQ(found.type, tensors[i].type);
    EXPECT_EQ(found.shape, tensors[i].shape);
    EXPECT_EQ(found.offset % 32, 0u);
    const Tensor numbers = back.read(found).to(DType::f32);
    const Tensor& wanted = i == 0 ? norm : i == 2 ? eighths : matrix;
    for (int64_t j = 0; j < wanted.numel(); ++j)
      ASSERT_NEAR(numbers.data<float>()[j], wanted.data<float>()[j], i == 2 ? 1e-4 : 0) << i;
  }
}

TEST(GgufWriter, SaysWhereATypeDoesNotHoldTheNumbers) {
  Tensor matrix = signs(2, 128);
  std::vector<uint8_t> bytes(gguf_bytes(ggml_type("Q1_0"), matrix.shape()));
  EXPECT_TRUE(gguf_encode(ggml_type("Q1_0"), matrix, bytes));
  matrix.data<float>()[200] = 0;
  EXPECT_FALSE(gguf_encode(ggml_type("Q1_0"), matrix, bytes));
  EXPECT_THROW(gguf_bytes(ggml_type("TQ1_0"), matrix.shape()), std::invalid_argument);
}

TEST(GgufWriter, TheCheckSeesTheWholeFileAndLeavesNothingWhereItThrows) {
  const TemporaryDirectory folder;
  const std::vector<GgufTensorSource> tensors = {source("t", "F32", signs(2, 4))};
  bool seen = false;
  write_gguf(folder.file("a.gguf"), {}, tensors, [&](const std::string& written) {
    EXPECT_FALSE(std::filesystem::exists(folder.file("a.gguf")));
    EXPECT_EQ(GgufFile::open(written).tensors().size(), 1u);
    seen = true;
  });
  EXPECT_TRUE(seen);
  EXPECT_TRUE(std::filesystem::exists(folder.file("a.gguf")));
  EXPECT_THROW(write_gguf(folder.file("b.gguf"), {}, tensors,
                          [](const std::string&) { throw std::runtime_error("no"); }),
               std::runtime_error);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(GgufWriter, NamesThatAReaderRefusesAreRefused) {
  const TemporaryDirectory folder;
  const GgufTensorSource tensor = source("t", "F32", signs(1, 4)),
                         longer = source(std::string(65, 'n'), "F32", signs(1, 4));
  const std::string path = folder.file("a.gguf");
  EXPECT_THROW(write_gguf(path, {}, {tensor, tensor}), std::invalid_argument);
  EXPECT_THROW(write_gguf(path, {}, {longer}), std::invalid_argument);
  EXPECT_THROW(write_gguf(path, {{"", true}}, {}), std::invalid_argument);
  EXPECT_THROW(write_gguf(path, {{"k", true}, {"k", false}}, {}), std::invalid_argument);
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace halftone
