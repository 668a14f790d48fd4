#include "halftone/io/mapped_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include "halftone/io/strict_json.h"
#include "halftone/io/text_file.h"
#include "io/file_builders.h"

namespace halftone {
namespace {

using testing::expect_refused;
using testing::raw;
using testing::TemporaryDirectory;

TEST(MappedFile, HoldsTheBytesOfTheFile) {
  const TemporaryDirectory directory;
  const auto file = MappedFile::open(directory.write("a", "twelve bytes"));
  EXPECT_EQ(std::string(file->bytes().begin(), file->bytes().end()), "twelve bytes");
  EXPECT_EQ(MappedFile::open(directory.write("empty", ""))->size(), 0u);
}

TEST(MappedFile, NamesWhatIsNoRegularFile) {
  const TemporaryDirectory directory;
  const std::string fifo = directory.file("fifo");
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  expect_refused("is a directory", [&] { MappedFile::open(directory.path()); });
  expect_refused("is a FIFO", [&] { MappedFile::open(fifo); });
  expect_refused("is a device", [&] { MappedFile::open("/dev/null"); });
  expect_refused("No such file", [&] { MappedFile::open(directory.file("absent")); });
  expect_refused("Not a directory", [&] { MappedFile::open(directory.write("f", "") + "/g"); });
  expect_refused("zero byte", [&] { MappedFile::open(std::string("a\0b", 3)); });
  expect_refused(fifo, [&] { read_text_file(fifo, 10); });
}

TEST(MappedFile, NamesAFileThatMayNotBeRead) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read every file";
  const TemporaryDirectory directory;
  const std::string path = directory.write("secret", "x");
  chmod(path.c_str(), 0);
  expect_refused("Permission denied", [&] { MappedFile::open(path); });
}

TEST(MappedFile, NoticesThatTheFileChanged) {
  const TemporaryDirectory directory;
  const auto file = MappedFile::open(directory.write("a", "four"));
  EXPECT_NO_THROW(file->expect_unchanged());
  ASSERT_EQ(truncate(file->path().c_str(), 2), 0);
  expect_refused("was changed", [&] { file->expect_unchanged(); });
}

TEST(MappedFile, TensorsAreViewsThatKeepTheMapAlive) {
  const TemporaryDirectory directory;
  const std::string path = directory.write("a", raw(std::vector<float>{1, 2, 3}));
  Tensor writable;
  const void* data;
  {
    const auto file = MappedFile::open(path);
    data = file->data() + 4;
    writable = mapped_tensor(file, 4, {2}, DType::f32);
  }
  const Tensor view = writable;
  EXPECT_EQ(view.raw(), data);
  EXPECT_EQ(view.data<float>()[0], 2);
  EXPECT_EQ(view.data<float>()[1], 3);
}

TEST(MappedFile, TensorsAtUnalignedOffsetsAreCopies) {
  const TemporaryDirectory directory;
  const auto file = MappedFile::open(directory.write("a", "x" + raw(std::vector<float>{5, 6})));
  const Tensor copy = mapped_tensor(file, 1, {2}, DType::f32);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(copy.raw()) % 4, 0u);
  EXPECT_EQ(copy.data<float>()[0], 5);
  EXPECT_EQ(copy.data<float>()[1], 6);
}

TEST(TextFile, IsReadWholeUpToItsLimit) {
  const TemporaryDirectory directory;
  const std::string path = directory.write("a", std::string("ab\0c", 4));
  EXPECT_EQ(read_text_file(path, 4), std::string("ab\0c", 4));
  expect_refused("holds 4 bytes, at most 3 expected", [&] { read_text_file(path, 3); });
  EXPECT_EQ(read_text_file(directory.write("empty", ""), 0), "");
}

TEST(StrictJson, ReadsWhatIsPlain) {
  EXPECT_EQ(parse_strict_json(R"( {"a": [1, {"a": 2}], "b": null} )", "f").dump(),
            R"({"a":[1,{"a":2}],"b":null})");
  EXPECT_EQ(parse_strict_json("[[[]]]", "f", 3).dump(), "[[[]]]");
}

TEST(StrictJson, RefusesWhatTwoReadersCouldTakeInTwoWays) {
  const auto refused = [](std::string_view text, const std::string& phrase) {
    SCOPED_TRACE(std::string(text));
    expect_refused("file.json: " + phrase, [&] { parse_strict_json(text, "file.json", 4); });
  };
  refused(R"({"a": 1, "b": 2, "a": 3})", "key 'a' is given twice");
  refused(R"([{"x": {"k": 1, "\u006b": 2}}])", "key 'k' is given twice");
  refused(std::string_view("{}\0{}", 5), "byte 2: a zero byte");
  refused("[[[[[]]]]]", "JSON nested deeper than 4 levels");
  refused(R"({"a":{"a":{"a":{"a":{}}}}})", "JSON nested deeper than 4 levels");
  refused("{} {}", "not valid JSON");
  refused("", "not valid JSON");
  refused("{\"a\": NaN}", "not valid JSON");
  refused("[1e999]", "not valid JSON");
  refused("\"\xc0\xaf\"", "not valid JSON");
  refused("\"\xed\xa0\x80\"", "not valid JSON");
  refused("{'a': 1}", "not valid JSON");
  refused("[1,]", "not valid JSON");
  refused("// note\n[]", "not valid JSON");
  refused(std::string(100000, '['), "JSON nested deeper");
}

}  // namespace
}  // namespace halftone
