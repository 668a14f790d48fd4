#include "halftone/io/safetensors.h"

#include "io/file_builders.h"

namespace halftone {
namespace {

using testing::expect_refused;
using testing::MalformedCase;
using testing::raw;
using testing::safetensors_bytes;
using testing::TemporaryDirectory;

const std::string kEight(8, '\0');

// A header with one tensor "w", and 8 bytes of data.
std::string one(const std::string& fields) {
  return safetensors_bytes("{\"w\":{" + fields + "}}", kEight);
}

std::string shaped(const std::string& shape) {
  return one(R"("dtype":"F32","shape":)" + shape + R"(,"data_offsets":[0,8])");
}

std::string offsets(const std::string& offsets) {
  return one(R"("dtype":"F32","shape":[2],"data_offsets":)" + offsets);
}

// Two F32 tensors of 4 bytes each at the offsets given.
std::string two(const std::string& a, const std::string& b, const std::string& data = kEight) {
  const std::string start = R"({"dtype":"F32","shape":[1],"data_offsets":)";
  return safetensors_bytes("{\"a\":" + start + a + "},\"b\":" + start + b + "}}", data);
}

std::string small_file() {
  return safetensors_bytes(
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[2,1],"data_offsets":[8,12]},)"
      R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}   )",
      raw(std::vector<float>{1.5f, -2}) + raw(std::vector<uint16_t>{0x3c00, 0xc000}));
}

TEST(Safetensors, TensorsAreViewsOfTheFile) {
  const TemporaryDirectory directory;
  const Safetensors file = read_safetensors(directory.write("a", small_file()));
  ASSERT_EQ(file.tensors.size(), 2u);
  EXPECT_EQ(file.metadata.at("format"), "pt");
  const Tensor& a = file.tensors.at("a");
  const Tensor& b = file.tensors.at("b");
  EXPECT_EQ(a.shape(), (Shape{2}));
  EXPECT_EQ(a.data<float>()[0], 1.5f);
  EXPECT_EQ(a.data<float>()[1], -2.0f);
  EXPECT_EQ(b.shape(), (Shape{2, 1}));
  EXPECT_EQ(to_float(b.data<half_t>()[0]), 1.0f);
  EXPECT_EQ(to_float(b.data<half_t>()[1]), -2.0f);
}

TEST(Safetensors, ScalarsAndEmptyTensorsAreValid) {
  const TemporaryDirectory directory;
  const Safetensors file = read_safetensors(directory.write(
      "a", safetensors_bytes(R"({"s":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
                             R"("e":{"dtype":"F32","shape":[3,0],"data_offsets":[8,8]},)"
                             R"("f":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})",
                             raw<int64_t>(-7))));
  EXPECT_EQ(file.tensors.at("s").data<int64_t>()[0], -7);
  EXPECT_EQ(file.tensors.at("s").rank(), 0);
  EXPECT_EQ(file.tensors.at("e").shape(), (Shape{3, 0}));
  EXPECT_EQ(file.tensors.at("f").numel(), 0);
  EXPECT_TRUE(read_safetensors(directory.write("b", safetensors_bytes("{}"))).tensors.empty());
}

std::vector<MalformedCase> malformed_files() {
  const std::string good = R"("dtype":"F32","shape":[2],"data_offsets":[0,8])";
  const std::string w = "\"w\":{" + good + "}";
  return {
      // The size of the header.
      {"empty file", "", "0 bytes, a safetensors file has at least 8"},
      {"seven bytes", "\x02\0\0\0\0\0\0", "a safetensors file has at least 8"},
      {"header longer than the file", raw<uint64_t>(3) + "{}", "the file ends 2 bytes after"},
      {"header of 2^64 - 1 bytes", raw<uint64_t>(UINT64_MAX) + "{}", "a header of 1844674407"},
      {"header of 2^63 bytes", raw<uint64_t>(1ull << 63) + "{}", "at most 16777216 expected"},
      {"header above the limit", raw<uint64_t>((16u << 20) + 1) + "{}", "a header of 16777217"},
      {"header of no bytes", raw<uint64_t>(0), "does not start with '{'"},
      // The text as a whole.
      {"space first", safetensors_bytes(" {}"), "does not start with '{'"},
      {"byte order mark", safetensors_bytes("\xef\xbb\xbf{}"), "does not start with '{'"},
      {"a list", safetensors_bytes("[]"), "does not start with '{'"},
      {"newline behind", safetensors_bytes("{}\n"), "does not end in '}' and spaces"},
      {"zero bytes behind", safetensors_bytes(std::string("{}\0\0", 4)), "header byte 2 is a zero"},
      {"hidden second header", safetensors_bytes(std::string("{}\0{}", 5)), "is a zero byte"},
      {"second object", safetensors_bytes("{}{}"), "header byte"},
      {"cut short", safetensors_bytes("{" + w, kEight), "header byte"},
      {"no fields", safetensors_bytes("{\"w\":{}}"), "tensor 'w' has no 'dtype'"},
      {"not JSON", safetensors_bytes("{w}"), "header byte"},
      {"invalid UTF-8", safetensors_bytes("{\"\xff\":{" + good + "}}", kEight), "UTF-8"},
      {"surrogate in UTF-8", safetensors_bytes("{\"\xed\xa0\x80\":{}}", kEight), "UTF-8"},
      {"lone surrogate", safetensors_bytes("{\"\\ud800\":{" + good + "}}", kEight), "header byte"},
      {"deep lists", safetensors_bytes("{\"w\":{\"shape\":" + std::string(9999, '[') + "}"),
       "found a list, expected a whole number"},
      {"deep objects", safetensors_bytes("{\"w\":{\"shape\":{\"x\":{}}}}"), "found an object"},
      // Keys.
      {"tensor twice", safetensors_bytes("{" + w + "," + w + "}", kEight), "'w' is given twice"},
      {"tensor twice, escaped", safetensors_bytes("{" + w + ",\"\\u0077\":{" + good + "}}", kEight),
       "tensor 'w' is given twice"},
      {"dtype twice", one(good + ",\"dtype\":\"F16\""), "gives 'dtype' twice"},
      {"shape twice", one(good + ",\"shape\":[2]"), "gives 'shape' twice"},
      {"offsets twice", one(good + ",\"data_offsets\":[0,8]"), "gives 'data_offsets' twice"},
      {"unknown key", one(good + ",\"stride\":[1]"), "has a key 'stride'"},
      {"no dtype", one(R"("shape":[2],"data_offsets":[0,8])"), "tensor 'w' has no 'dtype'"},
      {"no shape", one(R"("dtype":"F32","data_offsets":[0,8])"), "tensor 'w' has no 'shape'"},
      {"no offsets", one(R"("dtype":"F32","shape":[2])"), "tensor 'w' has no 'data_offsets'"},
      {"name with a zero byte", safetensors_bytes("{\"a\\u0000\":{" + good + "}}", kEight),
       "'a\\x00' holds a zero byte"},
      {"name too long", safetensors_bytes("{\"" + std::string(1025, 'n') + "\":{}}"),
       "a tensor name of 1025 bytes"},
      {"tensor is a list", safetensors_bytes("{\"w\":[]}"), "found a list, expected an object"},
      {"tensor is null", safetensors_bytes("{\"w\":null}"), "found null, expected an object"},
      // Metadata.
      {"metadata twice", safetensors_bytes(R"({"__metadata__":{},"__metadata__":{}})"),
       "'__metadata__' is given twice"},
      {"metadata key twice", safetensors_bytes(R"({"__metadata__":{"k":"1","k":"2"}})"),
       "__metadata__ gives key 'k' twice"},
      {"metadata number", safetensors_bytes(R"({"__metadata__":{"k":1}})"),
       "found the number 1, expected a text"},
      {"metadata object", safetensors_bytes(R"({"__metadata__":{"k":{}}})"), "expected a text"},
      {"metadata list", safetensors_bytes(R"({"__metadata__":{"k":[]}})"), "expected a text"},
      {"metadata text", safetensors_bytes(R"({"__metadata__":"x"})"),
       "expected an object of texts"},
      // Dtypes.
      {"unknown dtype", one(R"("dtype":"F33","shape":[2],"data_offsets":[0,8])"),
       "dtype F33 is unknown"},
      {"lower-case dtype", one(R"("dtype":"f32","shape":[2],"data_offsets":[0,8])"),
       "dtype f32 is unknown"},
      {"8-bit float", one(R"("dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8])"),
       "dtype F8_E4M3 is not supported"},
      {"4-bit float", one(R"("dtype":"F4","shape":[16],"data_offsets":[0,8])"),
       "dtype F4 is not supported"},
      {"numeric dtype", one(R"("dtype":1,"shape":[2],"data_offsets":[0,8])"), "expected a text"},
      // Shapes.
      {"negative", shaped("[-2]"), "found the number -2, expected a whole number"},
      {"minus zero", shaped("[-0]"), "expected a whole number"},
      {"fraction", shaped("[2.0]"), "found the number 2.0"},
      {"exponent", shaped("[2e0]"), "found the number 2e0"},
      {"leading zero", shaped("[02]"), "header byte"},
      {"2^64", shaped("[18446744073709551616]"), "found the number 18446744073709551616"},
      {"2^63", shaped("[9223372036854775808]"), "tensor 'w': shape: the size overflows"},
      {"product of 2^64", shaped("[4294967296,4294967296]"), "shape: the size overflows"},
      {"bytes of 2^64", shaped("[4611686018427387904]"), "shape: the size overflows"},
      {"bytes of 2^63", shaped("[2305843009213693952]"), "shape: the size overflows"},
      {"overflow before a zero", shaped("[4294967296,4294967296,0]"), "the size overflows"},
      {"9 dimensions", shaped("[1,1,1,1,1,1,1,1,2]"), "more than 8 numbers"},
      {"text", shaped("[\"2\"]"), "found the text"},
      {"bare number", shaped("2"), "found the number 2, expected a list"},
      {"null", shaped("null"), "found null, expected a list"},
      {"true", shaped("[true]"), "found true, expected a whole number"},
      {"list in the list", shaped("[[2]]"), "found a list, expected a whole number"},
      // Offsets.
      {"one offset", offsets("[0]"), "data_offsets holds 1 numbers, 2 expected"},
      {"three offsets", offsets("[0,8,8]"), "data_offsets holds more than 2 numbers"},
      {"no offsets in the list", offsets("[]"), "data_offsets holds 0 numbers, 2 expected"},
      {"size differs", offsets("[0,4]"), "span 4 bytes, F32 [2] takes 8"},
      {"hole in front", offsets("[4,12]"), "begin at 4, 0 expected (a hole)"},
      {"hole between", two("[0,4]", "[8,12]", kEight + "1234"), "begin at 8, 4 expected (a hole)"},
      {"overlap", two("[0,4]", "[2,6]"), "begin at 2, 4 expected (tensors overlap)"},
      {"same bytes twice", two("[0,4]", "[0,4]"), "begin at 0, 4 expected (tensors overlap)"},
      {"reversed", two("[0,4]", "[4,0]"), "data_offsets [4, 0] end before they begin"},
      {"past the end", two("[0,4]", "[4,8]", "123456"),
       "ends at byte 8 of the data, the file holds 6"},
      {"bytes behind", two("[0,4]", "[4,8]", kEight + "x"),
       "end at byte 8 of the data, the file holds 9"},
      {"data without tensors", safetensors_bytes("{}", "x"), "the file holds 1"},
      {"offsets of 2^64 - 1", offsets("[18446744073709551607,18446744073709551615]"), "a hole"},
  };
}

TEST(Safetensors, RefusesEveryMalformedFile) {
  testing::expect_all_refused(malformed_files(),
                              [](const std::string& path) { read_safetensors(path); });
}

TEST(Safetensors, RefusesAFileCutAnywhere) {
  testing::expect_truncations_refused(small_file(),
                                      [](const std::string& path) { read_safetensors(path); });
}

TEST(Safetensors, ReadsOrRefusesRandomChanges) {
  const int refused = testing::read_mutations(small_file(), 4000, 1, [](const std::string& path) {
    tensors_digest(list_safetensors(path));  // reads every byte that it lists
    double sum = 0;                          // every byte that a view promises can be read
    for (const auto& [name, tensor] : read_safetensors(path).tensors)
      for (size_t i = 0; i < tensor.bytes(); ++i)
        sum += static_cast<const uint8_t*>(tensor.raw())[i];
    ASSERT_GE(sum, 0);
  });
  EXPECT_GT(refused, 2000);
  EXPECT_LT(refused, 4000);
}

TEST(Safetensors, WritesTheBytesOfTheReferenceImplementation) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("out");
  const std::map<std::string, Tensor> tensors = {
      {"b", Tensor::of<float>({2}, {1.5f, -2})}, {"a\"", Tensor::of<uint8_t>({3}, {7, 8, 9})},
      {"d", Tensor::of<uint8_t>({2}, {1, 255})}, {"c", Tensor::of<int64_t>({}, {-1})},
      {"a", Tensor::of<float>({1, 1}, {4})},
  };
  write_safetensors(path, tensors, {{"format", "pt"}}, {"d"});
  // Widest dtype first, then by name; padded to a multiple of 8 with spaces.
  std::string header = R"({"__metadata__":{"format":"pt"},)"
                       R"("c":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
                       R"("a":{"dtype":"F32","shape":[1,1],"data_offsets":[8,12]},)"
                       R"("b":{"dtype":"F32","shape":[2],"data_offsets":[12,20]},)"
                       R"("d":{"dtype":"I8","shape":[2],"data_offsets":[20,22]},)"
                       R"("a\"":{"dtype":"U8","shape":[3],"data_offsets":[22,25]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  EXPECT_EQ(testing::read_bytes(path),
            safetensors_bytes(header, raw<int64_t>(-1) + raw(std::vector<float>{4, 1.5f, -2}) +
                                          "\x01\xff\x07\x08\x09"));
}

TEST(Safetensors, WhatIsReadIsWrittenAgainByteForByte) {
  const TemporaryDirectory directory;
  const std::string first = directory.file("first"), second = directory.file("second");
  std::map<std::string, Tensor> tensors;
  for (DType dtype :
       {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i32, DType::i64, DType::u8})
    tensors[dtype_name(dtype)] = Tensor::full({3, 5}, dtype, 7);
  tensors["empty"] = Tensor::zeros({0, 4}, DType::f32);
  tensors["I8"] = Tensor::full({3, 5}, DType::u8, 200);
  write_safetensors(first, tensors, {{"a", "1"}, {"b", "\xe2\x82\xac\n"}}, {"I8"});
  const Safetensors read = read_safetensors(first);
  EXPECT_EQ(read.int8, std::set<std::string>{"I8"});
  write_safetensors(second, read.tensors, read.metadata, read.int8);
  EXPECT_EQ(testing::read_bytes(first), testing::read_bytes(second));
}

TEST(Safetensors, RefusesToWriteNamesThatCannotBeRead) {
  const TemporaryDirectory directory;
  const auto write = [&](const std::string& name) {
    write_safetensors(directory.file("x"), {{name, Tensor::zeros({1}, DType::f32)}});
  };
  EXPECT_THROW(write("__metadata__"), std::invalid_argument);
  EXPECT_THROW(write(std::string("a\0", 2)), std::invalid_argument);
  EXPECT_THROW(write(std::string(1025, 'a')), std::invalid_argument);
  EXPECT_THROW(write("\xff"), std::invalid_argument);
  EXPECT_THROW(
      write_safetensors(directory.file("x"), {{"a", Tensor::zeros({1}, DType::f32)}}, {}, {"a"}),
      std::invalid_argument);
  EXPECT_FALSE(std::filesystem::exists(directory.file("x")));
}

TEST(Safetensors, AFailedWriteIsAnIoErrorNamingTheFile) {
  const TemporaryDirectory directory;
  try {
    write_safetensors(directory.file("no/such/x"), {{"a", Tensor::zeros({1}, DType::f32)}});
    FAIL() << "written into a directory that is not there";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_NE(std::string(error.what()).find("no/such/x"), std::string::npos) << error.what();
  }
}

// --- Shards ------------------------------------------------------------------------------------

class SafetensorsIndex : public ::testing::Test {
 protected:
  SafetensorsIndex() {
    write_safetensors(directory_.file("one.safetensors"), {{"a", Tensor::full({2}, DType::f32, 1)}},
                      {{"format", "pt"}});
    write_safetensors(
        directory_.file("two.safetensors"),
        {{"b", Tensor::full({1}, DType::f32, 2)}, {"c", Tensor::full({1}, DType::f32, 3)}});
  }

  Safetensors read(const std::string& index) {
    return read_sharded_safetensors(directory_.write("model.safetensors.index.json", index));
  }
  void expect_index_refused(const std::string& index, const std::string& phrase) {
    SCOPED_TRACE(index);
    expect_refused(phrase, [&] { read(index); });
  }

  TemporaryDirectory directory_;
};

const char* kMap =
    R"("weight_map":{"a":"one.safetensors","b":"two.safetensors","c":"two.safetensors"})";

TEST_F(SafetensorsIndex, JoinsTheShards) {
  for (const char* size : {"16", "16.0"}) {
    const Safetensors all =
        read(fmt::format("{{\"metadata\":{{\"total_size\":{}}},{}}}", size, kMap));
    ASSERT_EQ(all.tensors.size(), 3u);
    EXPECT_EQ(all.tensors.at("c").data<float>()[0], 3);
    EXPECT_EQ(all.files.size(), 2u);
    EXPECT_EQ(all.metadata.at("format"), "pt");
  }
  EXPECT_EQ(read(fmt::format("{{{}}}", kMap)).tensors.size(), 3u);
}

TEST_F(SafetensorsIndex, RefusesShardNamesThatLeadElsewhere) {
  for (const char* name :
       {"../one.safetensors", "/etc/passwd", "", ".", "..", "x/one.safetensors",
        "x\\\\one.safetensors", "one\\u0000.safetensors", "one\\n.safetensors", ".hidden"})
    expect_index_refused(fmt::format(R"({{"weight_map":{{"a":"{}"}}}})", name),
                         "is not a plain file name");
}

TEST_F(SafetensorsIndex, RefusesAnIndexThatDoesNotDescribeItsShards) {
  expect_index_refused("[]", "has no object 'weight_map'");
  expect_index_refused("{}", "has no object 'weight_map'");
  expect_index_refused(R"({"weight_map":[]})", "has no object 'weight_map'");
  expect_index_refused(R"({"weight_map":{"a":1}})", "weight_map['a'] is 1, expected a file name");
  expect_index_refused(R"({"weight_map":{"a":"one.safetensors","a":"one.safetensors"}})",
                       "key 'a' is given twice");
  expect_index_refused(R"({"weight_map":{"a":"three.safetensors"}})", "three.safetensors");
  expect_index_refused(R"({"weight_map":{"a":"one.safetensors","z":"one.safetensors"}})",
                       "tensor 'z' is not in 'one.safetensors'");
  expect_index_refused(R"({"weight_map":{"b":"two.safetensors"}})",
                       "holds tensor 'c', which the index does not list");
  expect_index_refused(
      R"({"weight_map":{"a":"two.safetensors","b":"two.safetensors","c":"two.safetensors"}})",
      "tensor 'a' is not in 'two.safetensors'");
  for (const char* size : {"12", "\"16\"", "null", "-16", "16.5"})
    expect_index_refused(fmt::format("{{\"metadata\":{{\"total_size\":{}}},{}}}", size, kMap),
                         "the tensors hold 16 bytes");
}

TEST_F(SafetensorsIndex, RefusesATensorInTwoShards) {
  write_safetensors(directory_.file("two.safetensors"), {{"a", Tensor::full({2}, DType::f32, 1)},
                                                         {"b", Tensor::full({1}, DType::f32, 2)}});
  expect_index_refused(R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})",
                       "holds tensor 'a', which the index puts into 'one.safetensors'");
}

}  // namespace
}  // namespace halftone
