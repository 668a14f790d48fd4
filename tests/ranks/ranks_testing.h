// Starts the program on several ranks, as `mpiexec -n 2 halftone ...` does.
#pragma once

#include <atomic>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "app/program_testing.h"
#include "halftone/base/error.h"
#include "halftone/io/checkpoint_file.h"

namespace halftone::testing {

class RanksTest : public ProgramTest {
 protected:
  using Arguments = std::vector<std::string>;
  using Clock = std::chrono::steady_clock;

  void SetUp() override {
    // Open MPI: as root, and more ranks than cores.
    for (const char* name : {"OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM",
                             "OMPI_MCA_rmaps_base_oversubscribe"})
      setenv(name, "1", 1);
    setenv("OMPI_MCA_hwloc_base_binding_policy", "none", 1);
    ProgramTest::SetUp();
    make_teacher();
  }

  // A recipe of so many micro-batches a step and rank; one thread, for equal bits need equal
  // threads.
  std::string recipe(const std::string& name, int accumulation, const std::string& train = "",
                     const std::string& more = "") const {
    return write_recipe_file(
        name,
        fmt::format("gradient_accumulation_steps = {}\n", accumulation) +
            (train.empty() ? "max_steps = 5\nsave_steps = 1\nsave_total_limit = 9\n" : train),
        more);
  }

  static Arguments run_of(const std::string& recipe) {
    return {"run", recipe, "--quiet", "--set", "run.threads=1"};
  }
  Arguments resume_of(const std::string& name, const Arguments& more = {}) const {
    Arguments out{"resume", folder_ + "/" + name, "--quiet"};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }

  // Each entry of `commands` is what one rank executes.
  Output on_each(const std::vector<Arguments>& commands) const {
    Arguments all;
    for (const Arguments& command : commands) {
      if (!all.empty()) all.emplace_back(":");
      all.insert(all.end(), {"-n", "1"});
      all.insert(all.end(), command.begin(), command.end());
    }
    return execute(HALFTONE_MPIEXEC, all);
  }
  static Arguments with_program(Arguments arguments) {
    arguments.insert(arguments.begin(), HALFTONE_PROGRAM);
    return arguments;
  }
  // The command with a library in front of those that it loads.
  static Arguments preloaded(const std::string& library, const Arguments& command,
                             const Arguments& variables = {}) {
    Arguments out{"env", "LD_PRELOAD=" + library};
    out.insert(out.end(), variables.begin(), variables.end());
    out.insert(out.end(), command.begin(), command.end());
    return out;
  }
  // The disk of its run is full from the operation `at` on that needs space.
  Arguments on_full_disk(const std::string& name, int at, const Arguments& command) const {
    return preloaded(HALFTONE_FAULT_SHIM, command,
                     {"HALFTONE_FAULT_DIR=" + folder_ + "/" + name, "HALFTONE_FAULT_KIND=enospc",
                      fmt::format("HALFTONE_FAULT_AT={}", at)});
  }
  Output on_ranks(int ranks, const Arguments& arguments) const {
    Arguments all{"-n", std::to_string(ranks), HALFTONE_PROGRAM};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return execute(HALFTONE_MPIEXEC, all);
  }

  // The log without what is of the machine and the hour.
  std::string log_of(const std::string& name) const {
    std::istringstream in(read_whole(folder_ + "/" + name + "/log.jsonl"));
    std::string out;
    for (std::string line; std::getline(in, line);) {
      auto entry = nlohmann::ordered_json::parse(line);
      entry.erase("tokens_per_second");
      entry.erase("rss_bytes");
      entry.erase("seconds");
      out += entry.dump() + "\n";
    }
    return out;
  }

  // The whole files: weights, moments, step, place in the text, identity.
  void expect_same_checkpoint(const std::string& name, const std::string& other) const {
    const auto newest = [&](const std::string& run) {
      const auto files = checkpoint_files(folder_ + "/" + run);
      EXPECT_FALSE(files.empty()) << run;
      return files.empty() ? "" : files.back();
    };
    const std::string a = newest(name), b = newest(other);
    EXPECT_EQ(std::filesystem::path(a).filename(), std::filesystem::path(b).filename());
    EXPECT_TRUE(read_whole(a) == read_whole(b)) << a << " and " << b;
  }

  // Of a process, which may end meanwhile: empty then.
  static std::string line_of(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
  }
  // The processes of this test's runs.
  std::vector<pid_t> ranks_running() const {
    std::vector<pid_t> out;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const std::string name = entry.path().filename();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      std::error_code gone;
      const auto program = std::filesystem::read_symlink(entry.path() / "exe", gone);
      const std::string line = line_of(entry.path() / "cmdline");
      if (!gone && program == HALFTONE_PROGRAM && line.find(folder_) != std::string::npos)
        out.push_back(std::stoi(name));
    }
    std::sort(out.begin(), out.end());
    return out;
  }
  static pid_t parent_of(pid_t pid) {
    const std::string stat = line_of("/proc/" + std::to_string(pid) + "/stat");
    return stat.empty() ? 0 : std::stoi(stat.substr(stat.rfind(") ") + 4));
  }
  bool logged(const std::string& name, int steps = 1) const {
    const std::string log = read_whole(folder_ + "/" + name + "/log.jsonl");
    return std::count(log.begin(), log.end(), '\n') >= steps;
  }

  // Starts arguments_ on two ranks and kills one when `when` says so; returns what the launcher
  // ended with, within 30 seconds.
  Output kill_one(const std::string& name, size_t which, const std::function<bool()>& when,
                  int signal = SIGKILL) {
    Clock::time_point killed;
    std::atomic<bool> done = false;
    Output out;
    std::thread killer([&] {
      while (!when() && !done) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      const auto ranks = ranks_running();
      killed = Clock::now();
      if (which >= ranks.size()) return;
      const pid_t launcher = parent_of(ranks[which]);
      kill(ranks[which], signal);
      // Open MPI's launcher waits for ever for a rank that ended while the two were connecting.
      const auto patience = [&] { return std::chrono::seconds(ranks_running().empty() ? 10 : 30); };
      while (!done && Clock::now() - killed < patience())
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      if (!done && launcher > 1) kill(launcher, SIGKILL);
    });
    out = on_ranks(2, arguments_);
    done = true;
    killer.join();
    EXPECT_LT(Clock::now() - killed, std::chrono::seconds(30)) << name;
    EXPECT_TRUE(ranks_running().empty());
    return out;
  }

  Arguments arguments_;
};

}  // namespace halftone::testing
