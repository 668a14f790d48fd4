#include "halftone/io/packed_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "halftone/base/error.h"
#include "halftone/base/sha256.h"
#include "halftone/io/file_kind.h"
#include "halftone/io/sealed_file.h"
#include "halftone/io/text_file.h"
#include "io/file_builders.h"
#include "io/temporary_folder.h"

namespace halftone {
namespace {

using Json = nlohmann::json;
using testing::expect_refused;
using testing::format_error;
using testing::raw;

constexpr size_t kHead = 32, kDigest = 64;

Tensor counted(Shape shape, DType dtype) {
  Tensor out = Tensor::uninitialized(std::move(shape), DType::f32);
  for (int64_t i = 0; i < out.numel(); ++i) out.data<float>()[i] = static_cast<float>(i) - 3;
  return out.to(dtype);
}

PackedContent every_dtype() {
  PackedContent out{.meta = {{"config", "{\"a\": 1}"}, {"empty", ""}, {"\xc3\xa9", "\n\""}},
                    .files = {{"tokenizer.json", "{}"},
                              {"empty.txt", ""},
                              {"additional_chat_templates/tool.jinja", std::string(100, 'j')},
                              {"bytes", std::string("\0\xff\n", 3)}},
                    .tensors = {}};
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::q8_0})
    out.tensors[std::string("t.") + dtype_name(dtype)] = counted({3, 64}, dtype);
  out.tensors["ids"] = Tensor::of<int32_t>({2, 2}, {1, -2, 3, INT32_MAX});
  out.tensors["long"] = Tensor::of<int64_t>({1}, {INT64_MIN});
  out.tensors["words"] = Tensor::of<uint8_t>({5}, {0, 1, 2, 254, 255});
  out.tensors["scalar"] = Tensor::scalar(2.5, DType::f32);
  out.tensors["none"] = Tensor::zeros({0, 7}, DType::f32);
  return out;
}

// A file of version 1 byte by byte, without a seal's content: 64 zeros stand in its place.
std::string file_of(const std::string& directory, const std::string& list,
                    const std::string& data = std::string(256, 'd')) {
  std::string out = "HTPACKED" + raw(uint32_t{1}) + raw(uint32_t{0}) +
                    raw(uint64_t{directory.size()}) + raw(uint64_t{list.size()}) + directory + list;
  out.resize((out.size() + 63) / 64 * 64, '\0');
  return out + data + std::string(kSealBytes, '\0');
}

const std::string kNoFiles = R"({"meta": {}, "files": {}})";

class PackedFileTest : public TemporaryFolder {
 protected:
  void refuse_directory(const std::string& phrase, const std::string& directory) const {
    put("x.packed", file_of(directory, "{}"));
    expect_refused(at("x.packed"), [&] { PackedFile::open(at("x.packed")); });
    expect_refused(phrase, [&] { PackedFile::open(at("x.packed")); });
  }
  // Of the list of tensors: the file opens, its tensors are refused.
  void refuse_list(const std::string& phrase, const std::string& list) const {
    put("x.packed", file_of(kNoFiles, list));
    const PackedFile file = PackedFile::open(at("x.packed"));
    expect_refused(at("x.packed"), [&] { file.tensors(); });
    expect_refused(phrase, [&] { file.tensors(); });
    expect_refused(phrase, [&] { file.list(); });
  }
  void refuse_tensor(const std::string& phrase, const std::string& entry) const {
    refuse_list("tensor 'w': ", "{\"w\": " + entry + "}");
    refuse_list(phrase, "{\"w\": " + entry + "}");
  }
};

TEST_F(PackedFileTest, GivesBackWhatItWasWrittenOf) {
  const PackedContent content = every_dtype();
  write_packed_file(at("x.packed"), content);
  check_seal(at("x.packed"));
  const PackedFile file = PackedFile::open(at("x.packed"));
  EXPECT_EQ(file.meta(), content.meta);
  EXPECT_EQ(file.files(), content.files);
  const std::map<std::string, Tensor> tensors = file.tensors();
  ASSERT_EQ(tensors.size(), content.tensors.size());
  for (const auto& [name, tensor] : content.tensors) {
    const Tensor& found = tensors.at(name);
    EXPECT_EQ(found.dtype(), tensor.dtype()) << name;
    EXPECT_EQ(found.shape(), tensor.shape()) << name;
    ASSERT_EQ(found.bytes(), tensor.bytes()) << name;
    if (tensor.bytes() > 0) {
      EXPECT_EQ(std::memcmp(found.raw(), tensor.raw(), tensor.bytes()), 0) << name;
    }
  }
  EXPECT_EQ(tensors_digest(file.list()), tensors_digest(stored_tensors(content.tensors)));
  EXPECT_EQ(file.list().file_bytes, std::filesystem::file_size(at("x.packed")));
  EXPECT_EQ(file_kind(at("x.packed")), FileKind::packed);
}

TEST_F(PackedFileTest, AnEmptyOneIsWhole) {
  write_packed_file(at("x.packed"), {});
  const PackedFile file = PackedFile::open(at("x.packed"));
  EXPECT_TRUE(file.meta().empty() && file.files().empty() && file.tensors().empty());
}

TEST_F(PackedFileTest, TensorsAreViewsOfTheMapThatOutliveTheReader) {
  write_packed_file(at("x.packed"), every_dtype());
  std::map<std::string, Tensor> tensors;
  {
    const PackedFile file = PackedFile::open(at("x.packed"));
    tensors = file.tensors();
    const Tensor again = file.tensors().at("t.F32");
    EXPECT_EQ(again.raw(), std::as_const(tensors.at("t.F32")).raw());
  }
  for (const auto& [name, tensor] : tensors) {
    EXPECT_FALSE(tensor.writable()) << name;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.raw()) % 64, 0u) << name;
  }
  std::filesystem::remove(at("x.packed"));
  EXPECT_EQ(std::as_const(tensors.at("t.F32")).data<float>()[5], 2);
}

TEST_F(PackedFileTest, AFileThatIsHeldIsNotReadAgain) {
  PackedContent content = every_dtype();
  write_packed_file(at("x.packed"), content);
  const void* map;
  Tensor held;
  {
    const PackedFile file = PackedFile::open(at("x.packed"));
    map = file.map()->data();
    held = file.tensors().at("t.F32");
  }
  EXPECT_EQ(PackedFile::open(at("x.packed")).map()->data(), map);
  EXPECT_EQ(PackedFile::open(at("x.packed")).meta(), content.meta);
  // What takes its place is.
  content.meta["config"] = "{}";
  write_packed_file(at("x.packed"), content);
  EXPECT_EQ(PackedFile::open(at("x.packed")).meta(), content.meta);
  EXPECT_EQ(std::as_const(held).data<float>()[5], 2);
  std::filesystem::remove(at("x.packed"));
  expect_refused("No such file", [&] { PackedFile::open(at("x.packed")); });
}

TEST_F(PackedFileTest, HasTheDocumentedLayout) {
  PackedContent content{
      .meta = {{"m", "text"}},
      .files = {{"a.json", "[]"}, {"b.json", std::string(65, 'b')}},
      .tensors = {{"t", counted({2, 3}, DType::f16)}, {"u", counted({1, 32}, DType::q8_0)}},
      .tokenizer = "ready"};
  write_packed_file(at("x.packed"), content);
  const std::string bytes = get("x.packed");
  EXPECT_EQ(bytes.substr(0, 16), std::string("HTPACKED\2\0\0\0\0\0\0\0", 16));
  uint64_t lengths[2];
  std::memcpy(lengths, bytes.data() + 16, sizeof lengths);
  EXPECT_EQ(
      bytes.substr(kHead, kDigest),
      sha256_hex(bytes.substr(0, kHead) + bytes.substr(kHead + kDigest, lengths[0] + lengths[1])));
  const Json directory = Json::parse(bytes.substr(kHead + kDigest, lengths[0])),
             list = Json::parse(bytes.substr(kHead + kDigest + lengths[0], lengths[1]));
  EXPECT_EQ(directory, Json::parse(R"({"meta": {"m": "text"},
                                       "files": {"a.json": [0, 2], "b.json": [64, 65]},
                                       "tokenizer": [192, 5]})"));
  EXPECT_EQ(list, Json::parse(R"({"t": ["F16", [2, 3], 256], "u": ["Q8_0", [1, 32], 320]})"));
  const size_t data = (kHead + kDigest + lengths[0] + lengths[1] + 63) / 64 * 64;
  EXPECT_EQ(bytes.substr(data + 192, 5), "ready");
  EXPECT_EQ(PackedFile::open(at("x.packed")).tokenizer(), "ready");
  EXPECT_EQ(bytes.substr(data, 2), "[]");
  EXPECT_EQ(bytes.substr(data + 2, 62), std::string(62, '\0'));
  EXPECT_EQ(bytes.substr(data + 64, 65), std::string(65, 'b'));
  for (const auto& [name, offset] : {std::pair<const char*, size_t>{"t", 256}, {"u", 320}}) {
    const Tensor& tensor = content.tensors.at(name);
    EXPECT_EQ(
        std::memcmp(bytes.data() + data + offset, std::as_const(tensor).raw(), tensor.bytes()), 0)
        << name;
  }
  EXPECT_EQ(bytes.size(), data + 320 + 34 + kSealBytes);
}

TEST_F(PackedFileTest, ToReadersOfTextItIsADirectory) {
  const PackedContent content = every_dtype();
  write_packed_file(at("x.packed"), content);
  for (const auto& [name, text] : content.files) {
    EXPECT_EQ(read_text_file(at("x.packed/" + name), 100), text) << name;
    EXPECT_TRUE(exists_at(at("x.packed/" + name))) << name;
    EXPECT_EQ(packed_member(at("x.packed/" + name)), text) << name;
  }
  for (const char* name : {"x.packed/missing.json", "x.packed/t.F32", "x.packed/tokenizer.json/x",
                           "missing.packed/tokenizer.json"}) {
    EXPECT_FALSE(exists_at(at(name))) << name;
    EXPECT_FALSE(packed_member(at(name))) << name;
    EXPECT_NE(format_error([&] { read_text_file(at(name), 100); }), "") << name;
  }
  expect_refused("holds 100 bytes, at most 99 expected",
                 [&] { read_text_file(at("x.packed/additional_chat_templates/tool.jinja"), 99); });
}

TEST_F(PackedFileTest, AnotherFileOrDirectoryHasNoMembers) {
  put("plain", "no packed file, and long enough to be one by its length alone ........");
  std::filesystem::create_directories(at("folder"));
  put("folder/a", "content");
  for (const char* name : {"plain/a", "folder/a", "folder/b", "nothing/a"})
    EXPECT_FALSE(packed_member(at(name))) << name;
  EXPECT_EQ(read_text_file(at("folder/a"), 100), "content");
}

TEST_F(PackedFileTest, EveryFieldOfTheHeadIsChecked) {
  const std::string whole = file_of(kNoFiles, "{}");
  const auto refuse = [&](const std::string& phrase, size_t offset, const std::string& bytes) {
    std::string damaged = whole;
    damaged.replace(offset, bytes.size(), bytes);
    put("x.packed", damaged);
    expect_refused(phrase, [&] { PackedFile::open(at("x.packed")); });
  };
  put("x.packed", whole);
  EXPECT_EQ(format_error([&] { PackedFile::open(at("x.packed")); }), "");
  refuse("no packed model", 0, "HTPACKEX");
  refuse("version 3, at most 2 expected", 8, raw(uint32_t{3}));
  refuse("version 0, at most 2 expected", 8, raw(uint32_t{0}));
  refuse("zero expected", 12, raw(uint32_t{1}));
  refuse("the lists needs", 16, raw(uint64_t{1000}));
  refuse("the lists needs", 24, raw(uint64_t{1000}));
  refuse("lists of 18446744073709551615 and 2 bytes", 16, raw(UINT64_MAX));
  refuse("lists of 25 and 67108865 bytes", 24, raw((uint64_t{1} << 26) + 1));
}

TEST_F(PackedFileTest, AFlippedBitOfHeadOrListsIsFoundWithoutTheSeal) {
  write_packed_file(at("whole"), {.meta = {{"m", "text"}},
                                  .files = {{"a.json", "[]"}},
                                  .tensors = {{"t", counted({2, 3}, DType::f16)}}});
  const std::string whole = get("whole");
  uint64_t lengths[2];
  std::memcpy(lengths, whole.data() + 16, sizeof lengths);
  for (size_t bit = 0; bit < (kHead + kDigest + lengths[0] + lengths[1]) * 8; ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    put("x.packed", damaged);
    EXPECT_NE(format_error([&] { PackedFile::open(at("x.packed")); }), "") << bit;
  }
}

TEST_F(PackedFileTest, TheFirstVersionIsRead) {
  put("x.packed",
      file_of(R"({"meta": {"m": "text"}, "files": {"a": [64, 3]}})", R"({"t": ["U8", [2], 0]})"));
  const PackedFile file = PackedFile::open(at("x.packed"));
  EXPECT_EQ(file.meta().at("m"), "text");
  EXPECT_EQ(file.files().at("a"), "ddd");
  EXPECT_EQ(file.tensors().at("t").shape(), Shape{2});
  EXPECT_FALSE(file.tokenizer());
}

TEST_F(PackedFileTest, EveryLengthButTheWholeIsRefused) {
  PackedContent content{.meta = {{"m", "text"}},
                        .files = {{"a.json", "[]"}},
                        .tensors = {{"t", counted({2, 3}, DType::f16)}}};
  write_packed_file(at("whole"), content);
  const std::string whole = get("whole");
  for (size_t n = 0; n < whole.size(); ++n) {
    put("x.packed", whole.substr(0, n));
    EXPECT_NE(format_error([&] { PackedFile::open(at("x.packed")).tensors(); }), "") << n;
  }
}

TEST_F(PackedFileTest, ADirectoryThatDoesNotFitIsNamed) {
  refuse_directory("directory", "{");
  refuse_directory("directory: no JSON object", "[1, 2]");
  refuse_directory("no 'meta'", R"({"files": {}})");
  refuse_directory("no 'files'", R"({"meta": {}})");
  refuse_directory("no JSON object", R"({"meta": [], "files": {}})");
  refuse_directory("no JSON object", R"({"meta": {}, "files": 7})");
  refuse_directory("meta 'm' is no text", R"({"meta": {"m": 7}, "files": {}})");
  refuse_directory("tokenizer: ", R"({"meta": {}, "files": {}, "tokenizer": 7})");
  refuse_directory("257 bytes at 0 of 256", R"({"meta": {}, "files": {}, "tokenizer": [0, 257]})");
  refuse_directory("twice", R"({"meta": {"m": "a", "m": "b"}, "files": {}})");
  const auto refuse_file = [&](const std::string& phrase, const std::string& entry) {
    const std::string directory = R"({"meta": {}, "files": {"f": )" + entry + "}}";
    refuse_directory("file 'f': ", directory);
    refuse_directory(phrase, directory);
  };
  refuse_file("a list of 2 expected", "[0]");
  refuse_file("a list of 2 expected", "{}");
  refuse_file("a whole number expected", R"(["0", 1])");
  refuse_file("a whole number expected", "[0, -1]");
  refuse_file("a whole number expected", "[0, 1.5]");
  refuse_file("1 bytes at 7 of 256", "[7, 1]");
  refuse_file("257 bytes at 0 of 256", "[0, 257]");
  refuse_file("193 bytes at 64 of 256", "[64, 193]");
  refuse_file("0 bytes at 320 of 256", "[320, 0]");
  refuse_file("at 18446744073709551552 of", "[18446744073709551552, 64]");
  refuse_file("18446744073709551615 bytes at 64", "[64, 18446744073709551615]");
}

TEST_F(PackedFileTest, AListOfTensorsThatDoesNotFitIsNamed) {
  refuse_list("list of tensors", "{");
  refuse_list("list of tensors: no JSON object", "[]");
  refuse_list("twice", R"({"w": ["F32", [1], 0], "w": ["F32", [1], 0]})");
  refuse_tensor("a list of 3 expected", R"(["F32", [1]])");
  refuse_tensor("a list of 3 expected", "7");
  refuse_tensor(R"(dtype "F8" is not known)", R"(["F8", [1], 0])");
  refuse_tensor(R"(dtype "F64" is not known)", R"(["F64", [1], 0])");
  refuse_tensor("dtype 0 is not known", "[0, [1], 0]");
  refuse_tensor("found shape 64, a list expected", R"(["F32", 64, 0])");
  refuse_tensor("a whole number expected", R"(["F32", [-1], 0])");
  refuse_tensor("a whole number expected", R"(["F32", [1.0], 0])");
  refuse_tensor("a whole number expected", R"(["F32", [1], "0"])");
  refuse_tensor("9 dimensions, expected at most 8", R"(["F32", [1, 1, 1, 1, 1, 1, 1, 1, 1], 0])");
  refuse_tensor("is too large", R"(["F32", [18446744073709551615], 0])");
  refuse_tensor("is too large", R"(["F32", [1099511627776, 1099511627776], 0])");
  refuse_tensor("does not fit its dtype", R"(["F32", [1099511627776, 1048576], 0])");
  refuse_tensor("does not fit its dtype Q8_0", R"(["Q8_0", [2, 48], 0])");
  refuse_tensor("does not fit its dtype Q8_0", R"(["Q8_0", [], 0])");
  refuse_tensor("4 bytes at 32 of 256", R"(["F32", [1], 32])");
  refuse_tensor("260 bytes at 0 of 256", R"(["F32", [65], 0])");
  refuse_tensor("136 bytes at 128 of 256", R"(["F32", [2, 17], 128])");
  refuse_tensor("272 bytes at 0 of 256", R"(["Q8_0", [8, 32], 0])");
}

TEST_F(PackedFileTest, EveryBitOfASmallFileIsUnderTheSeal) {
  write_packed_file(at("whole"), {.meta = {{"m", "text"}},
                                  .files = {{"a.json", "[]"}},
                                  .tensors = {{"t", counted({2, 3}, DType::f16)}}});
  const std::string whole = get("whole");
  ASSERT_LT(whole.size(), 500u);
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    put("x.packed", damaged);
    EXPECT_NE(format_error([&] { check_seal(at("x.packed")); }), "") << bit;
  }
}

TEST_F(PackedFileTest, IsWrittenWholeOrNotAtAll) {
  const PackedContent old{.meta = {{"m", "old"}}, .files = {}, .tensors = {}},
      newer{.meta = {{"m", "newer"}},
            .files = {{"a", "x"}},
            .tensors = {{"t", counted({2, 3}, DType::f16)}}};
  write_packed_file(at("x.packed"), old);
  int steps = 0;
  bool replaced = false;
  for (bool died = true; died; ++steps) {
    died = dies_at_step(steps, [&] { write_packed_file(at("x.packed"), newer); });
    check_seal(at("x.packed"));
    const PackedFile found = PackedFile::open(at("x.packed"));
    EXPECT_TRUE(found.meta() == old.meta || found.meta() == newer.meta);
    replaced = found.meta() == newer.meta;
    remove_temporaries();
    if (died) write_packed_file(at("x.packed"), old);
  }
  EXPECT_TRUE(replaced);
  EXPECT_GT(steps, 6);
  EXPECT_EQ(files(), std::vector<std::string>{"x.packed"});
}

TEST_F(PackedFileTest, WhatTheCheckThrowsLeavesTheOldFile) {
  const PackedContent old{.meta = {{"m", "old"}}, .files = {}, .tensors = {}};
  write_packed_file(at("x.packed"), old);
  std::string seen;
  EXPECT_THROW(write_packed_file(at("x.packed"), {},
                                 [&](const std::string& temporary) {
                                   seen = temporary;
                                   EXPECT_TRUE(PackedFile::open(temporary).meta().empty());
                                   throw std::runtime_error("not what was meant");
                                 }),
               std::runtime_error);
  EXPECT_NE(seen, at("x.packed"));
  EXPECT_EQ(PackedFile::open(at("x.packed")).meta(), old.meta);
  EXPECT_EQ(files(), std::vector<std::string>{"x.packed"});
}

}  // namespace
}  // namespace halftone
