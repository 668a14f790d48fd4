// Runs that learn from the teacher's logits on disk, as a user starts, kills and resumes them.
#include "app/teacher_logits.h"

#include <nlohmann/json.hpp>

#include "app/identity.h"
#include "app/program_testing.h"
#include "halftone/base/error.h"
#include "halftone/io/directory_lock.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

class TeacherLogitsTest : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    make_teacher();
  }

  // Some 20,000 tokens: three parts of the cache.
  Output run(const std::string& name, const std::vector<std::string>& more = {}, int signal = 0,
             const std::function<bool()>& when = {}) const {
    std::vector<std::string> arguments{
        "run", write_recipe_file(name, "max_steps = 6\n", "[loss]\nhidden = 0\n"), "--quiet",
        "--set", "teacher.cache_top_k=16"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return program(arguments, signal, when);
  }
  Output resume(const std::string& name, int signal = 0,
                const std::function<bool()>& when = {}) const {
    return program({"resume", folder_ + "/" + name, "--quiet"}, signal, when);
  }

  // The caches beside the run directories.
  std::vector<std::string> caches() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(folder_))
      if (entry.path().filename().string().starts_with("teacher-logits-"))
        out.push_back(entry.path());
    return out;
  }
  bool has_part(int part) const {
    for (const std::string& cache : caches())
      if (fs::exists(fmt::format("{}/part-{:03d}", cache, part))) return true;
    return false;
  }
  // Content and place on disk of every part.
  std::map<std::string, std::string> parts(bool with_inodes) const {
    std::map<std::string, std::string> out;
    for (const std::string& cache : caches())
      for (const auto& entry : fs::directory_iterator(cache)) {
        const std::string path = entry.path();
        if (entry.path().filename().string().starts_with("part-"))
          out[path] = read_whole(path) + (with_inodes ? inode(path) : "");
      }
    return out;
  }
  static std::string inode(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0);
    return fmt::format("{} {}.{}", status.st_ino, status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
  }
  std::vector<nlohmann::json> log(const std::string& name) const {
    std::vector<nlohmann::json> lines;
    std::ifstream file(folder_ + "/" + name + "/log.jsonl");
    for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
  }
  // The cache's first part with a bit of its middle changed.
  std::string spoil_a_part() const {
    const std::string path = caches().at(0) + "/part-000";
    std::string bytes = read_whole(path);
    bytes[bytes.size() / 2] ^= 1;
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
};

TEST_F(TeacherLogitsTest, ARunLearnsFromThemAndIsEvaluatedAgainstItsTeacher) {
  const std::vector<std::string> evaluated{
      "--set", "eval.text=" HALFTONE_SOURCE_DIR "/recipes/quickstart/heldout.txt",
      "--set", "eval.context=32",
      "--set", "eval.max_windows=4"};
  std::vector<std::string> live = evaluated;
  live.insert(live.end(), {"--set", "teacher.cache_top_k=0"});
  ASSERT_EQ(run("live", live).code, 0);
  EXPECT_TRUE(caches().empty());
  const Output got = run("cached", evaluated);
  ASSERT_EQ(got.code, 0) << got.err;
  ASSERT_EQ(caches().size(), 1u);
  EXPECT_EQ(fs::path(caches()[0]).filename().string().size(),
            std::string("teacher-logits-").size() + 16);
  EXPECT_TRUE(has_part(2) && !has_part(3));

  const auto cached_log = log("cached"), live_log = log("live");
  ASSERT_EQ(cached_log.size(), 6u);
  // Before the first step the students are one; 17 outcomes diverge less than 2048 do.
  EXPECT_GT(cached_log[0]["kl"], 0);
  EXPECT_LT(cached_log[0]["kl"], live_log[0]["kl"]);
  EXPECT_LT(cached_log.back()["kl"], cached_log[0]["kl"]);
  EXPECT_EQ(cached_log[0]["hidden"], 0);
  const auto result = [&](const std::string& name) {
    return nlohmann::json::parse(read_whole(folder_ + "/" + name + "/result.json"));
  };
  EXPECT_EQ(result("cached")["eval"]["teacher_perplexity"],
            result("live")["eval"]["teacher_perplexity"]);
  EXPECT_GT(result("cached")["agreement"]["kl"], 0);
}

TEST_F(TeacherLogitsTest, KilledWhileTheyAreMadeAndInTrainingTheBitsAreTheSame) {
  EXPECT_EQ(
      run("killed", {"--set", "train.save_steps=1"}, SIGKILL, [&] { return has_part(0); }).code,
      -SIGKILL);
  const auto saved = parts(true);
  const Output second =
      resume("killed", SIGKILL, [&] { return fs::exists(folder_ + "/killed/step-00000003.h5"); });
  EXPECT_EQ(second.code, -SIGKILL) << second.err;
  for (const auto& [path, content] : saved) EXPECT_EQ(parts(true).at(path), content) << path;
  const Output last = resume("killed");
  ASSERT_EQ(last.code, 0) << last.err;
  const auto made_in_pieces = parts(false);
  EXPECT_EQ(made_in_pieces.size(), 3u);

  for (const std::string& cache : caches()) fs::remove_all(cache);
  ASSERT_EQ(run("whole").code, 0);
  EXPECT_EQ(parts(false), made_in_pieces);
  EXPECT_EQ(digest("killed"), digest("whole"));
}

TEST_F(TeacherLogitsTest, ATerminatedRunExitsWithSevenAndGoesOnFromTheSavedParts) {
  const Output stopped = run("stopped", {}, SIGTERM, [&] { return has_part(0); });
  EXPECT_EQ(stopped.code, 7) << stopped.err;
  const auto saved = parts(true);
  EXPECT_GE(saved.size(), 1u);
  ASSERT_EQ(resume("stopped").code, 0);
  for (const auto& [path, content] : saved) EXPECT_EQ(parts(true).at(path), content) << path;
  ASSERT_EQ(run("whole").code, 0);
  EXPECT_EQ(digest("stopped"), digest("whole"));
}

TEST_F(TeacherLogitsTest, AnotherRunOnTheSameTeacherAndTextUsesThem) {
  ASSERT_EQ(run("first").code, 0);
  const auto before = parts(true);
  ASSERT_EQ(run("second", {"--set", "run.seed=1", "--set", "train.learning_rate=2e-3", "--set",
                           "train.per_device_train_batch_size=3"})
                .code,
            0);
  EXPECT_EQ(parts(true), before);
  // What decides their numbers gives them another name.
  for (const char* setting :
       {"teacher.cache_top_k=8", "loss.kl_temperature=2.0", "data.max_seq_length=64"}) {
    const size_t count = caches().size();
    ASSERT_EQ(run("other", {"--set", setting, "--set", "train.max_steps=1"}).code, 0);
    EXPECT_EQ(caches().size(), count + 1) << setting;
    fs::remove_all(folder_ + "/other");
  }
}

TEST_F(TeacherLogitsTest, ADamagedPartStopsARunAndAResumeNamingIt) {
  ASSERT_EQ(run("first", {"--set", "train.max_steps=2"}).code, 0);
  const std::string part = spoil_a_part();
  for (const Output& got : {run("second"), resume("first")}) {
    EXPECT_EQ(got.code, 3) << got.err;
    EXPECT_NE(got.err.find(part + ": damaged"), std::string::npos) << got.err;
    EXPECT_EQ(std::count(got.err.begin(), got.err.end(), '\n'), 1) << got.err;
  }
  // Without the part the teacher says it again.
  fs::remove(part);
  const Output mended = run("third");
  EXPECT_EQ(mended.code, 0) << mended.err;
  EXPECT_TRUE(has_part(0));
}

TEST_F(TeacherLogitsTest, OneRunAtATimeMakesThemAndClearsWhatAKilledOneLeft) {
  ASSERT_EQ(run("first", {"--set", "train.max_steps=1"}).code, 0);
  const auto before = parts(false);
  const std::string cache = caches().at(0);
  fs::remove(cache + "/part-001");
  std::ofstream(cache + "/part-001.tmp.1") << "left by a killed writer";
  {
    const DirectoryLock other(cache);
    const Output refused = run("second");
    EXPECT_EQ(refused.code, 2) << refused.err;
    EXPECT_NE(refused.err.find(cache + ": in use by another run"), std::string::npos);
  }
  ASSERT_EQ(run("third").code, 0);
  EXPECT_EQ(parts(false), before);
  EXPECT_FALSE(fs::exists(cache + "/part-001.tmp.1"));
}

TEST_F(TeacherLogitsTest, CheckPlansTheirBytesAndTheWorkWithoutATeacherInTheSteps) {
  const std::string recipe = write_recipe_file("run", "max_steps = 12\n", "[loss]\nhidden = 0\n");
  const auto check = [&](const std::string& k) {
    return program({"check", recipe, "--set", "teacher.cache_top_k=" + k});
  };
  const Output planned = check("16"), live = check("0");
  ASSERT_EQ(planned.code, 0) << planned.err;
  EXPECT_EQ(live.out.find("# teacher's logits"), std::string::npos);
  ASSERT_EQ(run("run").code, 0);
  uintmax_t bytes = 0;
  for (const auto& [path, content] : parts(false)) bytes += fs::file_size(path);
  const size_t at = planned.out.find("# teacher's logits");
  ASSERT_NE(at, std::string::npos) << planned.out;
  const std::string line = planned.out.substr(at, planned.out.find('\n', at) - at);
  EXPECT_NE(line.find(fmt::format(" {} bytes", bytes)), std::string::npos) << line;

  // P (6 tokens of the steps + 2 of the text), against P 8 tokens of the steps.
  const auto flop = [](const std::string& text) {
    return std::stod(text.substr(text.find("# work") + 6));
  };
  const std::string ids = "likeliest ids of ";
  const double text_tokens = std::stod(line.substr(line.find(ids) + ids.size()));
  EXPECT_GT(text_tokens, 10'000);
  const double step_tokens = 12 * 2 * 32;
  EXPECT_NEAR(flop(planned.out) / flop(live.out),
              (6 * step_tokens + 2 * text_tokens) / (8 * step_tokens), 0.05);  // of three digits
}

TEST_F(TeacherLogitsTest, MoreIdsThanTheTeacherKnowsAreRefusedByCheckAndRun) {
  const std::string recipe = write_recipe_file("run", "max_steps = 1\n", "[loss]\nhidden = 0\n");
  for (const char* command : {"check", "run"}) {
    const Output got = program({command, recipe, "--set", "teacher.cache_top_k=2049"});
    EXPECT_EQ(got.code, 2) << got.err;
    EXPECT_NE(got.err.find("teacher.cache_top_k: found 2049, at most the teacher's vocabulary of "
                           "2048 expected"),
              std::string::npos)
        << got.err;
  }
}

TEST(RunIdentity, TheTeachersLogitsAreAmongWhatAResumeMustShare) {
  const RunIdentity first{"recipe", "teacher", "tokenizer", "data", "logits"};
  RunIdentity second = first;
  const CheckpointContent content{.tensors = {}, .meta = identity_meta(first)};
  EXPECT_NO_THROW(check_identity(content, second, false));
  second.teacher_logits_sha256 = "other logits";
  try {
    check_identity(content, second, true);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::checkpoint);
    EXPECT_NE(std::string(error.what()).find("teacher_logits_sha256"), std::string::npos);
  }
}

}  // namespace
}  // namespace halftone
