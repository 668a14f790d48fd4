// A writer killed in front of each of its system calls, as kill -9 may, without the program's help.
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <csignal>
#include <optional>

#include "halftone/io/checkpoint_file.h"
#include "io/temporary_folder.h"

namespace halftone {
namespace {

// Runs body in a child and kills it in front of its n-th stop at a system call (entries and
// returns). false when it has fewer; nullopt where tracing is not allowed.
template <class Body>
std::optional<bool> killed_at_call(int n, const Body& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(88);
    ::raise(SIGSTOP);
    body();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFSTOPPED(status)) return {};
  for (int stop = 0; stop <= n; ++stop) {
    if (::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr) != 0) break;
    ::waitpid(child, &status, 0);
    if (!WIFSTOPPED(status)) return false;
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, &status, 0);
  return true;
}

class Killed : public TemporaryFolder {};

TEST_F(Killed, InFrontOfAnySystemCallTheOldOrTheNewCheckpointIsWhole) {
  const auto content = [](double value) {
    CheckpointContent out;
    out.tensors["model/w"] = Tensor::full({5000}, DType::f32, value);
    out.tensors["optimizer/m/w"] = Tensor::full({5000}, DType::f32, -value);
    out.meta["step"] = std::to_string(value);
    return out;
  };
  const std::string before = tensors_digest(content(1).tensors),
                    after = tensors_digest(content(2).tensors);
  int calls = 0, old = 0, renewed = 0;
  for (bool killed = true; killed; ++calls) {
    write_checkpoint_file(at("a.h5"), content(1));
    const auto result =
        killed_at_call(calls, [&] { write_checkpoint_file(at("a.h5"), content(2)); });
    if (!result) GTEST_SKIP() << "tracing is not allowed here";
    killed = *result;
    const std::string found = tensors_digest(read_checkpoint_file(at("a.h5")).tensors);
    // How many calls come before the rename may differ by a few between two runs: an allocator asks
    // the system for memory when it likes.
    ASSERT_TRUE(found == after || found == before) << calls;
    (found == after ? renewed : old) += 1;
    remove_temporaries();
  }
  EXPECT_GT(old, 50);
  EXPECT_GT(renewed, 1);  // killed between the rename and the end, and not killed
}

}  // namespace
}  // namespace halftone
