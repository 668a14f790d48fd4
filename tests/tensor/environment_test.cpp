#include "halftone/tensor/environment.h"

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>
#include <cstdlib>
#include <string>

namespace halftone {
namespace {

constexpr const char* kAgain = "HALFTONE_STARTED_AGAIN";

// The program that the second start runs: what it finds is its exit code.
TEST(Environment, OfTheProgramThatIsStartedAgain) {
  if (!std::getenv(kAgain)) GTEST_SKIP() << "the other test starts it";
  const char* count = std::getenv("GOMP_SPINCOUNT");
  ::_exit(count ? std::atoi(count) % 100 + 50 : 1);
}

// The exit code of a process of these variables that calls start_with_environment(): of the
// program that it becomes, or 3 where it stays what it is.
int exit_code_with(const char* spin_count, const char* wait_policy) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv(kAgain, "1", 1);
    ::setenv("OPENBLAS_CORETYPE", "Haswell", 0);  // or there may be something to set on any CPU
    ::unsetenv("GOMP_SPINCOUNT");
    ::unsetenv("OMP_WAIT_POLICY");
    if (spin_count) ::setenv("GOMP_SPINCOUNT", spin_count, 1);
    if (wait_policy) ::setenv("OMP_WAIT_POLICY", wait_policy, 1);
    std::string name = "tensor_test", filter = "--gtest_filter=Environment.OfTheProgram*";
    char* argv[] = {name.data(), filter.data(), nullptr};
    start_with_environment(argv);
    ::_exit(3);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Environment, TheProgramStartsAgainOnceWithWhatIsMissing) {
  EXPECT_EQ(exit_code_with(nullptr, nullptr), 50);  // a spin count of 1000
  EXPECT_EQ(exit_code_with("1007", nullptr), 3);
  EXPECT_EQ(exit_code_with(nullptr, "passive"), 3);
}

}  // namespace
}  // namespace halftone
