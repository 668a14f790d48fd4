// A bit of a file turns over: it is found, and where an older file can do the work it does.
//
// HALFTONE_SWEEP (crash_sweep_test.cpp): 500 bits of a checkpoint, or 10,000.
#include <fmt/format.h>

#include "faults.h"
#include "halftone/base/error.h"
#include "halftone/base/rng.h"
#include "halftone/io/checkpoint_file.h"
#include "run_state.h"
#include "tiny_model.h"

namespace halftone::testing {
namespace {

bool thorough() {
  return std::getenv("HALFTONE_SWEEP") != nullptr;
}

class BitFlips : public FaultTest {
 protected:
  void SetUp() override {
    FaultTest::SetUp();
    std::filesystem::create_directories(work());
    make_tiny_teacher(folder_ + "/teacher");
    std::ofstream(folder_ + "/text.txt") << tiny_text(100);
  }

  Output run(const std::string& more, int64_t cache_top_k = 0) const {
    std::ofstream(folder_ + "/recipe.toml")
        << "[run]\nname = \"run\"\nmethod = \"onebit\"\nthreads = 1\noutput_dir = \"work\"\n"
        << "[teacher]\nmodel = \"teacher\"\ncache_top_k = " << cache_top_k
        << "\n[data]\ntrain = [\"text.txt\"]\nmax_seq_length = " << kTinyContext << "\n"
        << more;
    return program({"run", folder_ + "/recipe.toml", "--run-dir", work() + "/run", "--quiet"});
  }

  // One file below work() whose name begins so.
  std::string file(const std::string& prefix) const {
    for (const auto& [name, bytes] : files_below(work()))
      if (name.starts_with(prefix) && !bytes.empty()) return work() + "/" + name;
    ADD_FAILURE() << "no file " << prefix;
    return "";
  }

  // Calls examine(which bit) with one bit of the file turned over, `count` times.
  template <class Examine>
  void flip(const std::string& path, int count, const Examine& examine) {
    const std::string whole = read_whole(path);
    Rng rng(whole.size(), RngStream::test);
    for (int i = 0; i < count && !HasFailure(); ++i) {
      const uint64_t bit = rng.below(whole.size() * 8);
      put(path, bit / 8, static_cast<char>(whole[bit / 8] ^ (1 << bit % 8)));
      examine(fmt::format("bit {} of {}", bit, path));
      put(path, bit / 8, whole[bit / 8]);
    }
  }

 private:
  static void put(const std::string& path, uint64_t at, char byte) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at)).put(byte);
  }
};

TEST_F(BitFlips, EveryOneInACheckpointIsFound) {
  ASSERT_EQ(run("[train]\nmax_steps = 1\n").code, 0);
  const std::string path = file("run/step-");
  const int flips = thorough() ? 10'000 : 500;
  int found = 0;
  flip(path, flips, [&](const std::string& which) {
    try {
      read_checkpoint_file(path);
      ADD_FAILURE() << which << " is not found";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::format) << which;
      EXPECT_TRUE(std::string(error.what()).starts_with(path + ": damaged: ")) << error.what();
      ++found;
    }
  });
  EXPECT_EQ(found, flips);
  fmt::print("{} flips, {} found\n", flips, found);
}

TEST_F(BitFlips, TheCheckpointBeforeADamagedOneIsTakenAndTheDamagedOneNamed) {
  ASSERT_EQ(run("[train]\nmax_steps = 4\nsave_steps = 2\n").code, 0);
  const std::string run_directory = work() + "/run";
  const std::string newest = run_directory + "/step-00000004.h5";
  const std::string model = read_whole(run_directory + "/model.h5");
  flip(newest, thorough() ? 50 : 4, [&](const std::string& which) {
    std::filesystem::remove(run_directory + "/model.h5");
    const Output evaluated = program({"eval", run_directory, "--text", folder_ + "/text.txt",
                                      "--context", "16", "--max-windows", "1", "--quiet"});
    EXPECT_EQ(evaluated.code, 0) << which << evaluated.err;
    EXPECT_NE(evaluated.err.find(newest + ": damaged"), std::string::npos) << evaluated.err;
    const Output resumed = program({"resume", run_directory, "--quiet"});
    EXPECT_EQ(resumed.code, 0) << which << resumed.err;
    EXPECT_NE(resumed.err.find(newest + ": damaged"), std::string::npos) << resumed.err;
    EXPECT_TRUE(read_whole(run_directory + "/model.h5") == model) << which;
    EXPECT_EQ(checkpoint_files(run_directory).size(), 2u) << which;
  });
}

// A cache is what other runs learn from: damaged, it is used by none.
TEST_F(BitFlips, EveryOneInACacheIsFound) {
  const struct {
    const char *recipe, *prefix;
    int64_t cache_top_k;
  } kinds[] = {{"[loss]\nhidden = 0\n[train]\nmax_steps = 1\n", "teacher-logits-", 4},
               {"[data.generate]\nsequences = 4\n[train]\nmax_steps = 1\n", "generated-", 0},
               {"[train]\nmax_steps = 1\n", "tokens-", 0}};
  for (const auto& kind : kinds) {
    ASSERT_EQ(run(kind.recipe, kind.cache_top_k).code, 0);
    const std::string path = file(kind.prefix);
    flip(path, thorough() ? 50 : 3, [&](const std::string& which) {
      std::filesystem::remove_all(work() + "/run");
      const Output again = run(kind.recipe, kind.cache_top_k);
      EXPECT_EQ(again.code, 3) << which << again.err;
      EXPECT_NE(again.err.find(path), std::string::npos) << again.err;
    });
    std::filesystem::remove_all(work() + "/run");
  }
}

}  // namespace
}  // namespace halftone::testing
