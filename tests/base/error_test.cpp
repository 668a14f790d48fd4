#include "halftone/base/error.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <stdexcept>
#include <string>

namespace halftone {
namespace {

TEST(Printable, EscapesAndCutsWhatComesFromFiles) {
  EXPECT_EQ(printable("a\nb"), "a\\x0ab");
  EXPECT_LT(printable(std::string(5000, 'x')).size(), 200u);
}

TEST(Error, ItsKindIsTheExitCode) {
  EXPECT_EQ(exit_code(ErrorKind::recipe), 2);
  EXPECT_EQ(exit_code(ErrorKind::format), 3);
  EXPECT_EQ(exit_code(ErrorKind::io), 4);
  EXPECT_EQ(exit_code(ErrorKind::memory), 5);
  EXPECT_EQ(exit_code(ErrorKind::numerical), 6);
  EXPECT_EQ(exit_code(ErrorKind::checkpoint), 8);
}

TEST(Error, AFileThatCannotBeReadIsTheUsersFaultAndAFailingDiskIsNot) {
  for (const int mine : {ENOENT, EACCES, ENOTDIR})
    EXPECT_EQ(read_failure(mine), ErrorKind::format) << mine;
  for (const int systems : {EIO, ENFILE})
    EXPECT_EQ(read_failure(systems), ErrorKind::io) << systems;
}

TEST(Error, ABrokenPreconditionIsTheCallersFault) {
  EXPECT_NO_THROW(require(true, "never said"));
  try {
    require(false, "{} of {}", 3, "x");
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "3 of x");
  }
}

}  // namespace
}  // namespace halftone
