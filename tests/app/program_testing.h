// Runs the program as a user does, for the tests of whole commands.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

extern char** environ;

namespace halftone {

inline std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {(std::istreambuf_iterator<char>(file)), {}};
}

// A folder of the test's own, and the program started in it.
class ProgramTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "program-" + std::to_string(getpid());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  struct Output {
    int code;  // exit code, or -signal
    std::string out, err;
  };

  // The program to its end; with a signal on the way, once `when` says so.
  Output program(const std::vector<std::string>& arguments, int signal = 0,
                 const std::function<bool()>& when = {}) const {
    return execute(HALFTONE_PROGRAM, arguments, signal, when);
  }

  // A line of sh in which $H is the program, for pipes and redirections.
  Output shell(const std::string& line) const {
    return execute("/bin/sh", {"-c", "H='" HALFTONE_PROGRAM "'; " + line});
  }

  Output execute(const char* file, const std::vector<std::string>& arguments, int signal = 0,
                 const std::function<bool()>& when = {}) const {
    std::vector<char*> argv{const_cast<char*>(file)};
    for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    const std::string out = folder_ + "/stdout", err = folder_ + "/stderr";
    posix_spawn_file_actions_addopen(&files, 1, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    posix_spawn_file_actions_addopen(&files, 2, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    pid_t pid = 0;
    EXPECT_EQ(posix_spawn(&pid, file, &files, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&files);
    int status = 0;
    if (signal) {
      bool ended = false;
      while (!when() && !(ended = waitpid(pid, &status, WNOHANG) == pid))
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      if (!ended) kill(pid, signal);
      if (!ended) waitpid(pid, &status, 0);
    } else {
      waitpid(pid, &status, 0);
    }
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), read_whole(out),
            read_whole(err)};
  }

  // A OneBit recipe on a two-layer teacher of random weights, small enough for a step in
  // milliseconds.
  std::string write_recipe_file(
      const std::string& name, const std::string& train, const std::string& more = "",
      const std::string& data = "train = [\"" HALFTONE_SOURCE_DIR
                                "/recipes/quickstart/heldout.txt\"]\n") const {
    const std::string path = folder_ + "/" + name + ".toml";
    std::ofstream(path)
        << "[run]\nname = \"" << name << "\"\nmethod = \"onebit\"\nthreads = 2\noutput_dir = \""
        << folder_ << "\"\n"
        << "[teacher]\nmodel = \"" << folder_ << "/teacher\"\n"
        << "[data]\nmax_seq_length = 32\n"
        << data
        << "[train]\nper_device_train_batch_size = 2\nlearning_rate = 1e-3\nlogging_steps = 1\n"
        << train << more;
    return path;
  }

  void make_teacher() const {
    const std::string config = folder_ + "/config";
    std::filesystem::create_directories(config);
    std::ofstream(config + "/config.json")
        << R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64,
      "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 2048,
      "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "hidden_act": "silu", "rope_theta": 10000.0, "tie_word_embeddings": true})";
    std::filesystem::copy_file(HALFTONE_SOURCE_DIR "/recipes/quickstart/teacher/tokenizer.json",
                               config + "/tokenizer.json");
    std::ofstream(folder_ + "/pretrain.toml")
        << "[run]\nname = \"pretrained\"\nmethod = \"pretrain\"\noutput_dir = \"" << folder_
        << "\"\n"
        << "[teacher]\nmodel = \"" << config << "\"\n"
        << "[data]\ntrain = [\"" HALFTONE_SOURCE_DIR
           "/recipes/quickstart/heldout.txt\"]\nmax_seq_length = 32\n"
        << "[train]\nmax_steps = 3\nper_device_train_batch_size = 2\n";
    ASSERT_EQ(program({"run", folder_ + "/pretrain.toml", "--quiet"}).code, 0)
        << read_whole(folder_ + "/stderr");
    ASSERT_EQ(program({"export", folder_ + "/pretrained", "--format", "hf", "--out",
                       folder_ + "/teacher"})
                  .code,
              0);
  }

  std::string digest(const std::string& name) const {
    const Output inspected = program({"inspect", folder_ + "/" + name, "--digest"});
    EXPECT_EQ(inspected.code, 0) << inspected.err;
    return inspected.out;
  }

  std::string folder_;
};

}  // namespace halftone
