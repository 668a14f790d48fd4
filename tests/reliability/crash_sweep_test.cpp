// The program dies, or one of its file operations fails, at every point of what it does. What was
// there stays, nothing half-written has a final name, and going on ends with the very bytes of a
// run that nothing happened to.
//
// HALFTONE_SWEEP: unset, a few points of each kind; "thorough", every point to be killed at and
// some of each other kind; "all", every point of every kind (hours).
#include <fmt/format.h>

#include <numeric>

#include "faults.h"
#include "run_state.h"
#include "tiny_model.h"

namespace halftone::testing {
namespace {

using Arguments = std::vector<std::string>;

struct Scenario {
  const char* name;
  const char* method;
  const char* recipe;     // behind [run] and [teacher]
  Arguments before = {};  // what has been done when the fault strikes: arguments of the program
  Arguments command = {"run"};  // "run" and "resume" stand for all their arguments
};

constexpr const char* kTraining =
    "[train]\nmax_steps = 6\nsave_steps = 2\nper_device_train_batch_size = 2\nlogging_steps = 1\n"
    "eval_steps = 3\n";

void PrintTo(const Scenario& scenario, std::ostream* out) {
  *out << scenario.name;
}

const Scenario kScenarios[] = {
    {.name = "Run", .method = "onebit", .recipe = kTraining},
    {.name = "Save",
     .method = "onebit",
     .recipe = kTraining,
     .before = {"run", "--set", "train.max_steps=4"},
     .command = {"resume", "--set", "train.max_steps=5"}},
    {.name = "GeneratedTokens",
     .method = "onebit",
     .recipe = "[data.generate]\nsequences = 6\nbatch_size = 4\n[train]\nmax_steps = 2\n"},
    {.name = "TeacherLogits",
     .method = "onebit",
     .recipe = "[loss]\nhidden = 0\n[train]\nmax_steps = 2\nper_device_train_batch_size = 2\n",
     .command = {"run", "--set", "teacher.cache_top_k=4"}},
    {.name = "Quantise", .method = "gptq", .recipe = "[ptq]\ngroup_size = 16\n"},
    {.name = "Export",
     .method = "pretrain",
     .recipe = "[train]\nmax_steps = 1\n",
     .before = {"run"},
     .command = {"export"}},
};

// How many points of a kind are tried.
long points_of(const std::string& kind, long operations) {
  const char* sweep = std::getenv("HALFTONE_SWEEP");
  const std::string mode = sweep ? sweep : "";
  if (mode == "all" || (mode == "thorough" && kind == "kill")) return operations;
  return std::min(operations, mode == "thorough" ? 50L : kind == "kill" ? 4L : 1L);
}

class CrashSweep : public FaultTest, public ::testing::WithParamInterface<Scenario> {
 protected:
  void SetUp() override;
  void sweep(const std::string& kind);
  void try_point(const Fault& fault);
  void expect_intact(const std::string& when) const;
  void expect_clean_failure(const Output& out) const;
  void go_on();
  void expect_end() const;

  std::string run_directory() const { return work() + "/run"; }
  // The program's arguments for "run", "resume" and "export", with what follows the word.
  Arguments arguments(Arguments words) const;
  int64_t newest_step(const Files& files) const;

  Files before_, end_;  // before the fault, and of an undisturbed run
  std::map<std::string, std::set<std::string>> known_;  // all contents that a name ever has
  Files struck_;                                        // right behind the fault
};

Arguments CrashSweep::arguments(Arguments words) const {
  Arguments out{words.front()};
  if (words.front() == "run")
    out.insert(out.end(), {folder_ + "/recipe.toml", "--run-dir", run_directory(), "--quiet"});
  else if (words.front() == "resume")
    out.insert(out.end(), {run_directory(), "--quiet"});
  else
    out.insert(out.end(), {run_directory(), "--format", "hf", "--out", work() + "/exported"});
  out.insert(out.end(), words.begin() + 1, words.end());
  return out;
}

void CrashSweep::SetUp() {
  FaultTest::SetUp();
  make_tiny_teacher(folder_ + "/teacher");
  std::ofstream(folder_ + "/text.txt") << tiny_text(700);
  std::ofstream(folder_ + "/recipe.toml")
      << "[run]\nname = \"run\"\nmethod = \"" << GetParam().method << "\"\nthreads = 1\n"
      << "output_dir = \"work\"\n[teacher]\nmodel = \"teacher\"\n[data]\ntrain = [\"text.txt\"]\n"
      << "max_seq_length = " << kTinyContext << "\n"
      << "[calibration]\ntext = [\"text.txt\"]\nnum_calibration_samples = 4\nmax_seq_length = "
      << kTinyContext
      << "\n[eval]\ntext = \"text.txt\"\nmax_windows = 2\ncontext = " << kTinyContext << "\n"
      << GetParam().recipe;
  std::filesystem::create_directories(work());
  if (!GetParam().before.empty()) {
    ASSERT_EQ(program(arguments(GetParam().before)).code, 0);
  }
  before_ = files_below(work());
  // Once with all that it would remove, for what its files are on the way.
  for (const char* kind : {"keep", ""}) {
    restore_files(work(), before_);
    const Output out = program_with({kind}, arguments(GetParam().command));
    ASSERT_EQ(out.code, 0) << out.err;
    end_ = files_below(work());
    for (const Files& files : {before_, end_})
      for (const auto& [name, bytes] : files) known_[name].insert(lasting_content(name, bytes));
  }
}

int64_t CrashSweep::newest_step(const Files& files) const {
  int64_t newest = 0;
  for (const auto& [name, bytes] : files)
    if (name.starts_with("run/step-") && !is_temporary(name))
      newest = std::max<int64_t>(newest, std::atol(name.c_str() + 9));
  return newest;
}

// Every file under a final name is one that an undisturbed run has, whole.
void CrashSweep::expect_intact(const std::string& when) const {
  for (const auto& [name, bytes] : struck_) {
    if (is_temporary(name) || is_named(name, "log.jsonl")) continue;
    const auto known = known_.find(name);
    if (known == known_.end()) {
      EXPECT_TRUE(GetParam().command.front() == "export" && !name.starts_with("exported/"))
          << when << ": " << name << " is no file of this run";
      continue;
    }
    std::string content = "malformed";
    try {
      content = lasting_content(name, bytes);
    } catch (const nlohmann::json::exception&) {
    }
    EXPECT_TRUE(known->second.contains(content)) << when << ": " << name << " is half-written";
  }
  for (const auto& [name, bytes] : before_)
    EXPECT_TRUE(struck_.contains(name) || !end_.contains(name))
        << when << ": " << name << " is lost";
  EXPECT_GE(newest_step(struck_), newest_step(before_)) << when;
  const size_t exported = std::count_if(struck_.begin(), struck_.end(), [](const auto& file) {
    return file.first.starts_with("exported/");
  });
  const size_t whole = std::count_if(end_.begin(), end_.end(), [](const auto& file) {
    return file.first.starts_with("exported/");
  });
  EXPECT_TRUE(exported == 0 || exported == whole) << when << ": " << exported << " exported files";
}

// One line that names the file, and the exit code of I/O.
void CrashSweep::expect_clean_failure(const Output& out) const {
  const std::string struck = report();
  std::string path = struck.substr(struck.find(' ') + 1);
  if (is_temporary(path)) path.resize(path.rfind(".tmp."));
  EXPECT_EQ(out.code, 4) << out.err;
  EXPECT_NE(out.err.find(path), std::string::npos) << out.err << "does not name " << path;
}

// What a user does next.
void CrashSweep::go_on() {
  Arguments next = GetParam().command;
  if (next.front() == "export" && std::filesystem::exists(work() + "/exported")) return;
  if (next.front() == "run" && std::filesystem::exists(run_directory() + "/recipe.toml"))
    next.front() = "resume";
  const Output out = program(arguments(next));
  EXPECT_EQ(out.code, 0) << fmt::format("{}\n", fmt::join(next, " ")) << out.err;
}

void CrashSweep::expect_end() const {
  const Files files = files_below(work());
  for (const auto& [name, bytes] : files)
    EXPECT_TRUE(end_.contains(name)) << name << " is left over";
  for (const auto& [name, bytes] : end_) {
    const auto found = files.find(name);
    if (found == files.end())
      ADD_FAILURE() << name << " is missing";
    else
      EXPECT_TRUE(lasting_content(name, found->second) == lasting_content(name, bytes))
          << name << " is not what an undisturbed run gives";
  }
  // What was saved is not done again: its lines in the log are the ones from before the fault.
  const auto log = [](const Files& from) {
    const auto it = from.find("run/log.jsonl");
    return it == from.end() ? Arguments() : log_lines(it->second);
  };
  const Arguments then = log(struck_), now = log(files);
  for (const std::string& line : then)
    EXPECT_TRUE(nlohmann::json::parse(line).at("step") > newest_step(struck_) ||
                std::find(now.begin(), now.end(), line) != now.end())
        << "done again: " << line;
}

void CrashSweep::try_point(const Fault& fault) {
  restore_files(work(), before_);
  const Output out = program_with(fault, arguments(GetParam().command));
  SCOPED_TRACE(fmt::format("{} at {}: {}", fault.kind, fault.at, report()));
  struck_ = files_below(work());
  if (fault.kills())
    EXPECT_EQ(out.code, -SIGKILL) << out.err;
  else if (out.code != 0)
    expect_clean_failure(out);
  expect_intact("behind the fault");
  go_on();
  expect_end();
}

void CrashSweep::sweep(const std::string& kind) {
  restore_files(work(), before_);
  ASSERT_EQ(program_with({kind, 0}, arguments(GetParam().command)).code, 0);
  const long operations = std::atol(report().c_str());
  const long points = points_of(kind, operations);
  ASSERT_GT(points, 0) << kind;
  long tried = 0;
  for (; tried < points && !HasFailure(); ++tried)
    try_point({kind, 1 + operations * (2 * tried + 1) / (2 * points)});
  fmt::print("{} {}: {} of {} points\n", GetParam().name, kind, tried, operations);
}

TEST_P(CrashSweep, ADeathAnywhereLosesNothing) {
  for (const char* kind : {"kill", "torn", "power", "power_data"}) sweep(kind);
}

TEST_P(CrashSweep, AFailureAnywhereIsReportedAndLosesNothing) {
  for (const char* kind : {"eio", "eio_read", "enospc", "eintr", "short"}) sweep(kind);
}

INSTANTIATE_TEST_SUITE_P(, CrashSweep, ::testing::ValuesIn(kScenarios),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace halftone::testing
