// A folder for one test, and children that die in the middle of writing.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "halftone/io/atomic_file.h"

namespace halftone {

inline int steps_to_go = -1;

// What a child's callback returns is its exit code; -signal when a signal ended it.
template <class Body>
int exit_code_of_child(const Body& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    int code = 99;
    try {
      code = body();
    } catch (...) {
    }
    ::_exit(code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// Runs body in a child that is killed in front of the n-th io_step; false when it has fewer steps.
template <class Body>
bool dies_at_step(int n, const Body& body) {
  const int code = exit_code_of_child([&] {
    steps_to_go = n;
    io_step_hook() = [](IoStep) {
      if (steps_to_go-- == 0) ::_exit(77);
    };
    body();
    return 0;
  });
  EXPECT_TRUE(code == 77 || code == 0) << code;
  return code == 77;
}

// Throws in front of the n-th io_step of body; false when it has fewer steps.
template <class Body>
bool throws_at_step(int n, const Body& body) {
  struct Stop {};
  steps_to_go = n;
  io_step_hook() = [](IoStep) {
    if (steps_to_go-- == 0) throw Stop();
  };
  bool threw = false;
  try {
    body();
  } catch (const Stop&) {
    threw = true;
  }
  io_step_hook() = nullptr;
  return threw;
}

class TemporaryFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::temp_directory_path() /
              (std::string("halftone_") + test->test_suite_name() + "_" + test->name() + "_" +
               std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override {
    io_step_hook() = nullptr;
    std::filesystem::remove_all(folder_);
  }

  std::string folder() const { return folder_.string(); }
  std::string at(const std::string& name) const { return (folder_ / name).string(); }
  void put(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ / name, std::ios::binary) << content;
  }
  std::string get(const std::string& name) const {
    std::ostringstream out;
    out << std::ifstream(folder_ / name, std::ios::binary).rdbuf();
    return out.str();
  }
  std::vector<std::string> files() const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(folder_))
      out.push_back(entry.path().filename().string());
    std::sort(out.begin(), out.end());
    return out;
  }
  void remove_temporaries() const { halftone::remove_temporaries(folder()); }

 private:
  std::filesystem::path folder_;
};

}  // namespace halftone
