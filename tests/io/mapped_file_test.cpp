#include "halftone/io/mapped_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

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

TEST(MappedFile, KnowsWhetherAPathStillNamesIt) {
  const TemporaryDirectory directory;
  const std::string path = directory.write("a", "four"), other = directory.write("b", "four");
  const auto file = MappedFile::open(path);
  EXPECT_TRUE(file->is_at(path));
  EXPECT_FALSE(file->is_at(other));
  EXPECT_FALSE(file->is_at(directory.file("absent")));
  std::filesystem::rename(other, path);
  EXPECT_FALSE(file->is_at(path));
  const auto longer = MappedFile::open(path);
  ASSERT_EQ(truncate(path.c_str(), 5), 0);
  EXPECT_FALSE(longer->is_at(path));
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

}  // namespace
}  // namespace halftone
