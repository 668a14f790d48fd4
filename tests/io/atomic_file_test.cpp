#include "halftone/io/atomic_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>

#include "halftone/base/error.h"
#include "io/temporary_folder.h"

namespace halftone {
namespace {

class AtomicFile : public TemporaryFolder {};

TEST_F(AtomicFile, ReplacesTheOldTextAndLeavesNothingElse) {
  write_text_durably(at("a"), "old");
  write_text_durably(at("a"), std::string("new\0text", 8));
  EXPECT_EQ(get("a"), std::string("new\0text", 8));
  write_text_durably(at("empty"), "");
  EXPECT_EQ(get("empty"), "");
  EXPECT_EQ(files(), (std::vector<std::string>{"a", "empty"}));
}

TEST_F(AtomicFile, TheTemporaryIsBesideTheFileAndTheOldOneStandsUntilTheEnd) {
  put("a", "old");
  write_file_durably(at("a"), [&](const std::string& temporary) {
    EXPECT_EQ(temporary, at("a.tmp." + std::to_string(::getpid())));
    put(temporary.substr(folder().size() + 1), "new");
    EXPECT_EQ(get("a"), "old");
  });
  EXPECT_EQ(get("a"), "new");
}

TEST_F(AtomicFile, KilledAtAnyStepTheFileIsTheOldOneOrTheNewOne) {
  int steps = 0, survived = 0;
  for (bool done = false; !done; ++steps) {
    put("a", "old");
    done = !dies_at_step(steps, [&] { write_text_durably(at("a"), "new"); });
    const std::string found = get("a");
    EXPECT_TRUE(found == "old" || found == "new") << found;
    survived += found == "new";
    remove_temporaries();
  }
  EXPECT_EQ(steps, 7);     // open, write, close, fsync, rename, fsync of the directory, none
  EXPECT_EQ(survived, 2);  // the last two
}

TEST_F(AtomicFile, AnExceptionOfTheCallbackPassesThroughAndLeavesTheOldFile) {
  put("a", "old");
  EXPECT_THROW(write_file_durably(at("a"),
                                  [&](const std::string& temporary) {
                                    put(temporary.substr(folder().size() + 1), "half");
                                    throw std::runtime_error("stop");
                                  }),
               std::runtime_error);
  EXPECT_EQ(get("a"), "old");
  EXPECT_EQ(files(), std::vector<std::string>{"a"});
}

TEST_F(AtomicFile, FailuresNameThePathAndTheCause) {
  const auto error = [](const std::string& path, const std::string& text) -> std::string {
    try {
      write_text_durably(path, text);
    } catch (const Error& e) {
      return e.kind() == ErrorKind::io ? e.what() : "wrong kind";
    }
    return "(no error)";
  };
  EXPECT_EQ(error(at("gone/a"), ""), at("gone/a") + ": cannot create: No such file or directory");
  ASSERT_EQ(::mkdir(at("folder").c_str(), 0700), 0);
  EXPECT_EQ(error(at("folder"), ""), at("folder") + ": cannot replace: Is a directory");
  EXPECT_EQ(files(), std::vector<std::string>{"folder"});
}

TEST_F(AtomicFile, AFullDiskIsAnIoErrorAndTheOldFileStays) {
  put("a", "old");
  const int code = exit_code_of_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit size{1000, 1000};
    ::setrlimit(RLIMIT_FSIZE, &size);
    try {
      write_text_durably(at("a"), std::string(2000, 'x'));
    } catch (const Error& error) {
      return std::string(error.what()) == at("a") + ": cannot write: File too large" ? 40 : 41;
    }
    return 0;
  });
  EXPECT_EQ(code, 40);
  EXPECT_EQ(get("a"), "old");
  EXPECT_EQ(files(), std::vector<std::string>{"a"});
}

TEST_F(AtomicFile, WhatKilledWritersLeftIsRemovedAndNothingElse) {
  for (const char* name : {"a", "a.tmp.123", "b.h5.tmp.7", "tmp", "c.tmp", "d.tmp.old", "e.tmp."})
    put(name, "x");
  halftone::remove_temporaries(folder());
  EXPECT_EQ(files(), (std::vector<std::string>{"a", "c.tmp", "d.tmp.old", "e.tmp.", "tmp"}));
  halftone::remove_temporaries(at("nowhere"));
}

TEST_F(AtomicFile, AWriterRemovesWhatKilledWritersOfItsFileLeft) {
  for (const char* name : {"a.tmp.123", "b.tmp.123"}) put(name, "x");
  write_text_durably(at("a"), "new");
  EXPECT_EQ(files(), (std::vector<std::string>{"a", "b.tmp.123"}));
}

TEST_F(AtomicFile, TheTemporaryOfAWriterAtWorkStays) {
  write_file_durably(at("a"), [&](const std::string& temporary) {
    exit_code_of_child([&] {
      halftone::remove_temporaries(folder());
      write_text_durably(at("a"), "of the other");
      return 0;
    });
    EXPECT_EQ(get("a"), "of the other");
    write_bytes(temporary, "of the first", at("a"));
  });
  EXPECT_EQ(get("a"), "of the first");
  EXPECT_EQ(files(), std::vector<std::string>{"a"});
}

TEST_F(AtomicFile, AppendsToWhatIsThere) {
  append_text(at("log"), "one\n");
  append_text(at("log"), "two\n");
  EXPECT_EQ(get("log"), "one\ntwo\n");
  try {
    append_text(at("gone/log"), "");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
  }
}

TEST_F(AtomicFile, MakesTheFoldersThatAreMissing) {
  make_directories(at("a/b//c/"));
  EXPECT_TRUE(std::filesystem::is_directory(at("a/b/c")));
  make_directories(at("a/b"));
  put("file", "x");
  for (const char* name : {"file", "file/under"}) {
    try {
      make_directories(at(name));
      FAIL() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::io);
      EXPECT_NE(std::string(error.what()).find(at("file")), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace halftone
