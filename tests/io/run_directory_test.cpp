#include "halftone/io/run_directory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "halftone/base/error.h"
#include "io/temporary_folder.h"

namespace halftone {
namespace {

class RunDirectoryTest : public TemporaryFolder {
 protected:
  // A checkpoint of a step, whole or damaged.
  void save(int64_t step, bool whole = true) const {
    CheckpointContent content;
    content.meta["step"] = std::to_string(step);
    write_checkpoint_file(run().checkpoint_file(step), content);
    if (!whole) std::filesystem::resize_file(run().checkpoint_file(step), 100);
  }
  RunDirectory run() const { return RunDirectory(folder()); }
};

TEST_F(RunDirectoryTest, IsMadeWithTheFoldersAboveIt) {
  const RunDirectory run(at("a/b"));
  run.create();
  run.create();
  EXPECT_TRUE(std::filesystem::is_directory(at("a/b")));
  put("file", "");
  EXPECT_THROW(RunDirectory(at("file/run")).create(), Error);
}

TEST_F(RunDirectoryTest, ANewRunWantsOneOfItsOwn) {
  const RunDirectory directory(folder() + "/new");
  directory.require_unused();
  directory.create();
  // What a run leaves that was killed while it wrote its recipe.
  for (const char* name : {"/.lock", "/recipe.toml.tmp.7"}) std::ofstream(directory.path() + name);
  directory.require_unused();
  const auto refused = [&](const std::string& file, const std::string& text) {
    const std::string path = directory.path() + "/" + file;
    std::ofstream(path) << "x";
    try {
      directory.require_unused();
      ADD_FAILURE() << file;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::recipe);
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
    std::filesystem::remove(path);
  };
  refused("notes.txt", "holds 'notes.txt' and no run; a new or empty directory is expected");
  refused("result.json", "holds a finished run");
  refused("step-00000003.h5", "go on with `halftone resume " + directory.path());
}

TEST_F(RunDirectoryTest, TheNewestWholeCheckpointIsFoundAndDamagedOnesAreNamed) {
  std::vector<std::string> damaged;
  EXPECT_FALSE(run().newest_content(damaged));
  save(2);
  save(10);
  save(30, false);
  const auto content = run().newest_content(damaged);
  ASSERT_TRUE(content);
  EXPECT_EQ(content->meta.at("step"), "10");
  ASSERT_EQ(damaged.size(), 1u);
  EXPECT_NE(damaged[0].find("step-00000030.h5"), std::string::npos) << damaged[0];
  EXPECT_EQ(files().size(), 3u);
}

TEST_F(RunDirectoryTest, OldCheckpointsGoAndThoseBehindTheStepStay) {
  for (const int64_t step : {2, 4, 6, 8}) save(step);
  run().remove_old_checkpoints(6, 2);
  EXPECT_EQ(files(),
            (std::vector<std::string>{"step-00000004.h5", "step-00000006.h5", "step-00000008.h5"}));
  run().remove_old_checkpoints(6, 0);  // the newest is always kept
  EXPECT_EQ(files(), (std::vector<std::string>{"step-00000006.h5", "step-00000008.h5"}));
}

TEST_F(RunDirectoryTest, RewoundItsLogEndsAtTheStep) {
  for (int step = 1; step <= 4; ++step)
    run().append_log("{\"step\": " + std::to_string(step) + "}");
  run().flush_log();
  const std::string whole = get("log.jsonl");
  save(2);
  save(1);
  run().rewind(2, 1);
  EXPECT_EQ(get("log.jsonl"), "{\"step\": 1}\n{\"step\": 2}\n");
  EXPECT_EQ(files(), (std::vector<std::string>{"log.jsonl", "step-00000002.h5"}));
  run().append_log("{\"step\": 3}");
  run().append_log("{\"step\": 4}");
  EXPECT_EQ(get("log.jsonl"), whole);
}

TEST_F(RunDirectoryTest, RewoundALineThatIsNotWholeGoes) {
  put("log.jsonl", "{\"step\": 1}\nno json\n[2]\n{\"loss\": 3}\n{\"step\": 2.5}\n{\"step\": 2");
  run().rewind(9, 1);
  EXPECT_EQ(get("log.jsonl"), "{\"step\": 1}\n");
}

TEST_F(RunDirectoryTest, WithoutALogThereIsNothingToRewindOrFlush) {
  run().rewind(3, 1);
  run().flush_log();
  EXPECT_TRUE(files().empty());
}

}  // namespace
}  // namespace halftone
