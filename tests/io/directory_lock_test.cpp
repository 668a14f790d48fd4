#include "halftone/io/directory_lock.h"

#include <gtest/gtest.h>

#include <optional>

#include "halftone/base/error.h"
#include "io/temporary_folder.h"

namespace halftone {
namespace {

class Lock : public TemporaryFolder {
 protected:
  // "" when the lock was had.
  std::string error() const {
    try {
      DirectoryLock lock(folder());
      return "";
    } catch (const Error& e) {
      return fmt::format("{} {}", static_cast<int>(e.kind()), e.what());
    }
  }
};

TEST_F(Lock, ASecondHolderIsRefusedWithTheFolderAndTheProcessOfTheFirst) {
  std::optional<DirectoryLock> first(folder());
  const std::string expected =
      fmt::format("{} {}: in use by another run (process {})", static_cast<int>(ErrorKind::recipe),
                  folder(), ::getpid());
  EXPECT_EQ(error(), expected);
  EXPECT_EQ(exit_code_of_child([&] { return error() == expected ? 5 : 6; }), 5);
  first.reset();
  EXPECT_EQ(error(), "");
}

TEST_F(Lock, EndsWithTheProcessThatHeldIt) {
  exit_code_of_child([&] {
    new DirectoryLock(folder());
    return 0;
  });
  EXPECT_EQ(error(), "");
}

TEST_F(Lock, AMissingFolderIsAnIoError) {
  try {
    DirectoryLock lock(at("gone"));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::io);
  }
}

}  // namespace
}  // namespace halftone
