#include "halftone/io/gguf.h"

#include "io/gguf_testing.h"

namespace halftone {
namespace {

using testing::changed;
using testing::expect_refused;
using testing::f32_tensor;
using testing::GgufBuilder;
using testing::kData;
using testing::MalformedCase;
using testing::one_tensor;
using testing::raw;
using testing::rich_file;
using testing::TemporaryDirectory;

TEST(Gguf, ReadsTensorsWithTheSlowestDimensionFirst) {
  const TemporaryDirectory directory;
  const GgufFile file = GgufFile::open(directory.write("a.gguf", rich_file().bytes()));
  ASSERT_EQ(file.tensors().size(), 3u);
  const Tensor first = file.read(*file.find("first"));
  EXPECT_EQ(first.shape(), (Shape{2, 3}));
  EXPECT_EQ(first.data<float>()[3], 4);
  const Tensor second = file.read(*file.find("second"));
  EXPECT_EQ(second.dtype(), DType::f32);
  EXPECT_EQ(second.data<float>()[31], 2);
  const Tensor third = file.read(*file.find("third"));
  EXPECT_EQ(third.dtype(), DType::f16);
  EXPECT_EQ(to_float(third.data<half_t>()[15]), -1);
  EXPECT_EQ(file.find("fourth"), nullptr);
}

TEST(Gguf, ReadsVersionTwoOtherAlignmentsAndNoTensors) {
  const TemporaryDirectory directory;
  GgufBuilder two = rich_file();
  two.version = 2;
  EXPECT_EQ(GgufFile::open(directory.write("a", two.bytes())).metadata().version(), 2u);
  for (uint32_t alignment : {1u, 8u, 64u, 4096u}) {
    GgufBuilder b = rich_file();
    b.alignment = alignment;
    b.add_u32("general.alignment", alignment);
    const GgufFile file = GgufFile::open(directory.write("a", b.bytes()));
    const Tensor second = file.read(*file.find("second")), third = file.read(*file.find("third"));
    EXPECT_EQ(second.data<float>()[0], 2) << alignment;
    EXPECT_EQ(to_float(third.data<half_t>()[0]), -1) << alignment;
  }
  EXPECT_TRUE(GgufFile::open(directory.write("a", GgufBuilder().bytes())).tensors().empty());
}

TEST(Gguf, TheLastTensorNeedsNoPadding) {
  const TemporaryDirectory directory;
  GgufBuilder b = GgufBuilder().add_tensor({"t", {2}, 0, std::string(8, '\0')});
  b.pad_end = false;
  EXPECT_EQ(GgufFile::open(directory.write("a", b.bytes())).tensors().size(), 1u);
}

TEST(Gguf, NamesTheTensorWhoseTypeItCannotRead) {
  const TemporaryDirectory directory;
  const GgufFile file = GgufFile::open(directory.write(
      "a", GgufBuilder().add_tensor({"t", {256}, 16, std::string(66, '\0')}).bytes()));
  expect_refused("tensor 't' is of type IQ2_XXS, which is not supported",
                 [&] { file.read(*file.find("t")); });
}

TEST(Gguf, ListsTensorsOfEveryTypeAndReadsThoseItCan) {
  const TemporaryDirectory directory;
  const auto one = raw(std::vector<float>{1, 2});
  const GgufFile file = GgufFile::open(
      directory.write("a", GgufBuilder()
                               .add_tensor({"first", {256}, 23, std::string(136, 'a')})
                               .add_tensor({"removed", {32}, 4, std::string(100, 'b')})
                               .add_tensor({"known", {2}, 0, one})
                               .add_tensor({"new", {64, 3}, 99, std::string(50, 'c')})
                               .add_tensor({"end", {64}, 40, std::string(36, 'd')})
                               .bytes()));
  const StoredTensors stored = file.list();
  const auto expect = [&](const char* name, const char* dtype, Shape shape, size_t bytes) {
    const StoredTensor* found = stored.find(name);
    ASSERT_NE(found, nullptr) << name;
    EXPECT_EQ(found->dtype, dtype);
    EXPECT_EQ(found->shape, shape);
    EXPECT_EQ(found->bytes.size(), bytes) << name;
  };
  expect("first", "IQ4_XS", {256}, 136);
  expect("removed", "Q4_2 (removed)", {32}, 128);  // up to the next one, padding and all
  expect("known", "F32", {2}, 8);
  expect("new", "type 99", {3, 64}, 64);
  expect("end", "NVFP4", {64}, 36);
  EXPECT_EQ(stored.find("none"), nullptr);
  EXPECT_EQ(stored.tensors.front().name, "end");  // by name
  const Tensor known = file.read(*file.find("known"));
  EXPECT_EQ(known.data<float>()[1], 2);
  for (const char* name : {"first", "removed", "new", "end"})
    expect_refused(fmt::format("tensor '{}' is of type {}, which is not supported", name,
                               stored.find(name)->dtype),
                   [&] { file.read(*file.find(name)); });
}

// Sizes of blocks from the sources of ggml: type, numbers, bytes.
TEST(Gguf, KnowsTheBlocksOfEveryTypeOfTheFormat) {
  const TemporaryDirectory directory;
  for (const auto& [id, name, numbers, bytes] :
       std::vector<std::tuple<uint32_t, const char*, uint64_t, size_t>>{
           {0, "F32", 1, 4},         {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},
           {3, "Q4_1", 32, 20},      {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},
           {8, "Q8_0", 32, 34},      {10, "Q2_K", 256, 84},    {11, "Q3_K", 256, 110},
           {12, "Q4_K", 256, 144},   {13, "Q5_K", 256, 176},   {14, "Q6_K", 256, 210},
           {15, "Q8_K", 256, 292},   {16, "IQ2_XXS", 256, 66}, {17, "IQ2_XS", 256, 74},
           {18, "IQ3_XXS", 256, 98}, {19, "IQ1_S", 256, 50},   {20, "IQ4_NL", 32, 18},
           {21, "IQ3_S", 256, 110},  {22, "IQ2_S", 256, 82},   {23, "IQ4_XS", 256, 136},
           {24, "I8", 1, 1},         {25, "I16", 1, 2},        {26, "I32", 1, 4},
           {27, "I64", 1, 8},        {28, "F64", 1, 8},        {29, "IQ1_M", 256, 56},
           {30, "BF16", 1, 2},       {34, "TQ1_0", 256, 54},   {35, "TQ2_0", 256, 66},
           {39, "MXFP4", 32, 17},    {40, "NVFP4", 64, 36},    {41, "Q1_0", 128, 18},
           {42, "Q2_0", 64, 18}}) {
    const auto file = [&](size_t size) {
      GgufBuilder b = GgufBuilder().add_tensor({"t", {numbers, 3}, id, std::string(size, 'x')});
      b.pad_end = false;
      return directory.write("a", b.bytes());
    };
    const StoredTensors stored = GgufFile::open(file(3 * bytes)).list();
    EXPECT_EQ(stored.tensors.at(0).dtype, name);
    EXPECT_EQ(stored.tensors.at(0).bytes.size(), 3 * bytes) << name;
    expect_refused("ends at byte", [&] { GgufFile::open(file(3 * bytes - 1)); });
  }
}

// A file whose only tensor is given piece by piece.
std::string entry(const std::string& fields) {
  GgufBuilder b;
  b.tensor_count = 1;
  return b.bytes() + fields + std::string(64, '\0');
}

std::string with_dims(std::vector<uint64_t> dims, uint32_t type = 0) {
  return GgufBuilder().add_tensor({"t", std::move(dims), type, kData}).bytes();
}

std::vector<MalformedCase> malformed_headers() {
  using B = GgufBuilder;
  return {
      {"empty", "", "the magic needs 1 bytes, the file has 0 left"},
      {"other magic", changed([](B& b) { b.magic = "GGML"; }),
       "starts with 'GGML', 'GGUF' expected"},
      {"lower-case magic", changed([](B& b) { b.magic = "gguf"; }), "'GGUF' expected"},
      {"version 0", changed([](B& b) { b.version = 0; }), "version 0 is not supported"},
      {"version 1", changed([](B& b) { b.version = 1; }), "version 1 is not supported"},
      {"version 4", changed([](B& b) { b.version = 4; }), "version 4 is not supported"},
      {"big-endian", changed([](B& b) { b.version = 0x03000000; }), "in big-endian order"},
      {"2^64 - 1 tensors", changed([](B& b) { b.tensor_count = UINT64_MAX; }),
       "tensors cannot be in"},
      {"2^59 tensors", changed([](B& b) { b.tensor_count = 1ull << 59; }), "tensors cannot be in"},
      {"2^64 - 1 keys", changed([](B& b) { b.key_count = UINT64_MAX; }), "keys cannot be in"},
      {"2^32 keys", changed([](B& b) { b.key_count = 1ull << 32; }), "keys cannot be in"},
      {"one key too many", changed([](B& b) { b.key_count = 1; }), "bytes, at most 64 expected"},
      {"one key too few", changed([](B& b) { b.add_u32("k", 1).key_count = 0; }),
       "tensor 'k': the size overflows"},
      {"one tensor too many", changed([](B& b) { b.tensor_count = 2; }), "name is empty"},
      {"one tensor too few", changed([](B& b) { b.tensor_count = 0; }), "bytes follow the last"},
  };
}

std::vector<MalformedCase> malformed_tensors() {
  using B = GgufBuilder;
  const std::string name = B::text("t"), dim = raw<uint64_t>(8), f32 = raw(0u),
                    zero = raw<uint64_t>(0);
  const uint64_t max = UINT64_MAX;
  return {
      {"name of 2^64 - 1 bytes", entry(raw(max)), "a tensor's name has 18446744073709551615 bytes"},
      {"name of 65 bytes", changed([](B& b) { b.tensors[0].name = std::string(65, 'n'); }),
       "has 65 bytes, at most 64"},
      {"empty name", changed([](B& b) { b.tensors[0].name = ""; }), "the name is empty"},
      {"name with a zero byte", changed([](B& b) { b.tensors[0].name = std::string("t\0", 2); }),
       "tensor 't\\x00': the name is empty or holds a zero byte"},
      {"name twice", changed([](B& b) { b.add_tensor(f32_tensor()); }),
       "tensor 't' is given twice"},
      {"no dimensions", entry(name + raw(0u) + f32 + zero), "tensor 't': 0 dimensions, 1 to 4"},
      {"5 dimensions", with_dims({1, 1, 1, 1, 8}), "5 dimensions, 1 to 4 expected"},
      {"2^32 - 1 dimensions", entry(name + raw(UINT32_MAX) + dim), "4294967295 dimensions"},
      {"dimension 0", with_dims({8, 0}), "dimension 1 is 0"},
      {"dimension 2^63", with_dims({1ull << 63}), "dimension 0 is 9223372036854775808"},
      {"dimension -1", with_dims({max}), "dimension 0 is 18446744073709551615"},
      {"product of 2^64", with_dims({1ull << 32, 1ull << 32}), "tensor 't': the size overflows"},
      {"product wraps to 8", with_dims({(1ull << 62) + 2, 4}), "the size overflows"},
      {"four times 2^16", with_dims({65536, 65536, 65536, 65536}), "the size overflows"},
      {"bytes of 2^63", with_dims({1ull << 61}), "the size overflows"},
      {"bytes of 2^62", with_dims({1ull << 60}), "the size overflows"},
      {"quantised, padding wraps", with_dims({((1ull << 63) - 32), 1}, 2), "the size overflows"},
      {"unknown type, the next before it", changed([](B& b) {
         b.tensors[0].type = 99;
         b.add_tensor({"u", {1}, 99, ""}).add_tensor(f32_tensor("v"));
         b.tensors[2].offset = 0;
       }),
       "tensor 'u': begins at byte"},
      {"unknown type, the next not aligned", changed([](B& b) {
         b.tensors[0].type = 99;
         b.add_tensor(f32_tensor("u")).tensors[1].offset = 8;
       }),
       "tensor 't': begins at byte"},
      {"unknown type, the next far away", changed([&](B& b) {
         b.tensors[0].type = 99;
         b.add_tensor(f32_tensor("u")).tensors[1].offset = max - 31;
       }),
       "tensor 't': the size overflows"},
      {"unknown type, the next past the end", changed([](B& b) {
         b.tensors[0].type = 99;
         b.add_tensor(f32_tensor("u")).tensors[1].offset = 1 << 20;
       }),
       "type 99 [2, 4] ends at byte 1048704"},
      {"unknown type past the end", with_dims({8}, 99).substr(0, with_dims({8}, 99).size() - 33),
       "begins at byte"},
      {"row no multiple of 32", with_dims({40, 2}, 2),
       "rows of 40 numbers are no multiple of Q4_0's"},
      {"row no multiple of 256", with_dims({128}, 12), "no multiple of Q4_K's block of 256"},
      {"first offset", changed([](B& b) { b.tensors[0].offset = 32; }), "offset 32 in the data, 0"},
      {"offset 2^64 - 1", changed([&](B& b) { b.tensors[0].offset = max; }), "0 expected"},
      {"offset of the first again",
       changed([](B& b) { b.add_tensor(f32_tensor("u")).tensors[1].offset = 0; }),
       "tensor 'u': offset 0 in the data, 32 expected"},
      {"hole", changed([](B& b) { b.add_tensor(f32_tensor("u")).tensors[1].offset = 64; }),
       "tensor 'u': offset 64 in the data, 32 expected"},
      {"offset without padding", changed([](B& b) {
         b.tensors[0] = {"t", {1}, 0, "1234"};
         b.add_tensor(f32_tensor("u"));
         b.tensors[1].offset = 4;
       }),
       "offset 4 in the data, 32 expected"},
      {"data past the end", with_dims({8, 2}), "F32 [2, 8] ends at byte 160, the file has 128"},
      {"data far past the end", with_dims({1ull << 40}), "the file has"},
      {"bytes behind", changed([](B& b) { b.tail = std::string(7, 'x'); }),
       "7 bytes follow the last"},
  };
}

TEST(Gguf, RefusesEveryMalformedHeader) {
  testing::expect_all_refused(malformed_headers(),
                              [](const std::string& path) { GgufFile::open(path); });
}

TEST(Gguf, RefusesEveryMalformedTensor) {
  testing::expect_all_refused(malformed_tensors(),
                              [](const std::string& path) { GgufFile::open(path); });
}

TEST(Gguf, RefusesAFileCutAnywhere) {
  testing::expect_truncations_refused(rich_file().bytes(),
                                      [](const std::string& path) { GgufFile::open(path); });
}

TEST(Gguf, ReadsOrRefusesRandomChanges) {
  const auto read_all = [](const std::string& path) {
    const GgufFile file = GgufFile::open(path);
    for (const std::string& key : file.metadata().keys()) {
      testing::format_error([&] { file.metadata().get_int(key); });
      testing::format_error([&] { file.metadata().get_string(key); });
      testing::format_error([&] { file.metadata().get_strings(key); });
      testing::format_error([&] { file.metadata().get_ints(key); });
      testing::format_error([&] { file.metadata().get_floats(key); });
    }
    tensors_digest(file.list());  // reads every byte that it lists
    for (const GgufTensor& tensor : file.tensors()) (void)file.read(tensor).to(DType::f32).clone();
  };
  const int refused = testing::read_mutations(rich_file().bytes(), 4000, 2, read_all);
  EXPECT_GT(refused, 2000);
  EXPECT_LT(refused, 4000);
}

TEST(Gguf, ManyTensorsAreReadInLinearTime) {
  const TemporaryDirectory directory;
  GgufBuilder b;
  b.alignment = 1;
  b.add_u32("general.alignment", 1);
  for (int i = 0; i < 100000; ++i) b.add_tensor({"t" + std::to_string(i), {1}, 24, "x"});
  const GgufFile file = GgufFile::open(directory.write("a", b.bytes()));
  EXPECT_EQ(file.tensors().size(), 100000u);
  EXPECT_EQ(file.find("t99999")->shape, (Shape{1}));
}

}  // namespace
}  // namespace halftone
