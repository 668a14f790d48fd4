#include "halftone/tensor/environment.h"

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace halftone {
namespace {

// What OpenMP says that it spins, in a process of this program with these variables.
std::string spins_with(const std::string& variables) {
  const std::string program = std::filesystem::read_symlink("/proc/self/exe"),
                    command = "env -u GOMP_SPINCOUNT -u OMP_WAIT_POLICY OMP_DISPLAY_ENV=verbose " +
                              variables + " '" + program + "' --gtest_list_tests 2>&1";
  std::string said;
  FILE* out = ::popen(command.c_str(), "r");
  for (int c = std::fgetc(out); c != EOF; c = std::fgetc(out)) said += static_cast<char>(c);
  ::pclose(out);
  const std::string name = "GOMP_SPINCOUNT = '";
  const size_t at = said.find(name);
  if (at == said.npos) return said;
  return said.substr(at + name.size(), said.find('\'', at + name.size()) - at - name.size());
}

TEST(Environment, WaitingThreadsSleepSoonUnlessTheUserSaysOtherwise) {
  EXPECT_EQ(spins_with(""), "1000");
  EXPECT_EQ(spins_with("GOMP_SPINCOUNT=1007"), "1007");
  EXPECT_EQ(spins_with("OMP_WAIT_POLICY=passive"), "0");
}

TEST(Environment, TheProgramIsNotStartedAgainForIt) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("OPENBLAS_CORETYPE", "Haswell", 0);  // or there may be something to set on any CPU
    ::unsetenv("GOMP_SPINCOUNT");
    ::unsetenv("OMP_WAIT_POLICY");
    std::string name = "tensor_test", filter = "--gtest_list_tests";
    char* argv[] = {name.data(), filter.data(), nullptr};
    start_with_environment(argv);
    ::_exit(3);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 3);
}

TEST(Environment, VariablesAreWhatTheyAre) {
  ::setenv("HALFTONE_TEST_VARIABLE", "a=b", 1);
  EXPECT_STREQ(std::getenv("HALFTONE_TEST_VARIABLE"), "a=b");
  EXPECT_EQ(std::getenv("HALFTONE_TEST_VARIABL"), nullptr);
  ::unsetenv("HALFTONE_TEST_VARIABLE");
  EXPECT_EQ(std::getenv("HALFTONE_TEST_VARIABLE"), nullptr);
}

}  // namespace
}  // namespace halftone
