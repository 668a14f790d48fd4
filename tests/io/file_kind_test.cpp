#include "halftone/io/file_kind.h"

#include <gtest/gtest.h>

#include "halftone/base/error.h"
#include "halftone/io/atomic_file.h"
#include "halftone/io/text_file.h"
#include "temporary_folder.h"

namespace halftone {
namespace {

using namespace std::string_literals;

class FileKinds : public TemporaryFolder {
 protected:
  FileKind kind(const std::string& bytes) {
    write_text_durably(at("file"), bytes);
    return file_kind(at("file"));
  }
};

TEST_F(FileKinds, AreToldByTheFirstBytesWhateverTheName) {
  EXPECT_EQ(kind("GGUF\x03\0\0\0"s), FileKind::gguf);
  EXPECT_EQ(kind("\x89HDF\r\n\x1a\n...."s), FileKind::hdf5);
  EXPECT_EQ(kind("\x1f\x8b\x08\0"s), FileKind::gzip);
  EXPECT_EQ(kind("HTTOKENS\x01\0\0\0"s), FileKind::tokens);
  EXPECT_EQ(kind("PK\x03\x04...."s), FileKind::pickle);
  EXPECT_EQ(kind("\x02\0\0\0\0\0\0\0{}"s), FileKind::safetensors);
  EXPECT_EQ(file_kind(folder()), FileKind::directory);
}

TEST_F(FileKinds, OtherFilesAreOther) {
  EXPECT_EQ(kind(""), FileKind::other);
  EXPECT_EQ(kind("{\"model\": 1}"), FileKind::other);
  EXPECT_EQ(kind("\x03\0\0\0\0\0\0\0{}"s), FileKind::other);  // a header longer than the file
}

TEST_F(FileKinds, AGitLfsPointerIsRefusedByEveryReader) {
  const std::string pointer =
      "version https://git-lfs.github.com/spec/v1\noid sha256:0f\nsize 93000000\n";
  EXPECT_THROW(kind(pointer), Error);
  try {
    read_text_file(at("file"), 1 << 20);
    FAIL() << "a pointer was read as a file";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::format);
    EXPECT_NE(std::string(error.what()).find("git lfs pull"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace halftone
