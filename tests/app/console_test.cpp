// A result that could not be written is not exit 0; notes that could not be written change nothing.
#include "app/program_testing.h"

namespace halftone {
namespace {

class ConsoleTest : public ProgramTest {
 protected:
  // Every command that prints a result, as sh would start it.
  std::vector<std::string> commands() const {
    const std::string quickstart = HALFTONE_SOURCE_DIR "/recipes/quickstart/";
    const std::string teacher = quickstart + "teacher";
    std::ofstream(folder_ + "/none.toml")
        << "[run]\nname = \"none\"\nmethod = \"none\"\n[teacher]\nmodel = \"" << teacher
        << "\"\n[eval]\ntext = \"" << quickstart
        << "heldout.txt\"\ncontext = 32\nmax_windows = 1\n";
    const std::string run = "rm -rf " + folder_ + "/x; $H run " + folder_ +
                            "/none.toml --quiet --run-dir " + folder_ + "/x";
    EXPECT_EQ(shell("$H run " + folder_ + "/none.toml --quiet --run-dir " + folder_ + "/none").code,
              0);
    return {
        run,
        run + " --json",
        "$H --help",
        "$H --version",
        "$H run --help",
        "$H check " + folder_ + "/none.toml",
        "$H eval " + teacher + " --context 16 --max-windows 1 --text " + quickstart + "heldout.txt",
        "$H generate " + teacher + " --prompt hi --tokens 2",
        "$H compare " + folder_ + "/none",
        "$H compare " + folder_ + "/none --json",
        "$H inspect " + teacher,
        "$H inspect " + teacher + " --digest",
        "rm -rf " + folder_ + "/e; $H export " + teacher + " --out " + folder_ + "/e"};
  }

  void expect_io_error(const std::string& line, const std::string& cause) const {
    const Output got = shell(line);
    EXPECT_EQ(got.code, 4) << line << got.err;
    EXPECT_NE(got.err.find("halftone: standard output: cannot write: " + cause), std::string::npos)
        << line << got.err;
  }
};

TEST_F(ConsoleTest, AResultThatCannotBeWrittenIsExitFour) {
  for (const std::string& command : commands()) {
    EXPECT_EQ(shell(command).code, 0) << command;
    expect_io_error(command + " >/dev/full", "No space left on device");
    expect_io_error(command + " >&-", "Bad file descriptor");
    // The reader of the pipe is gone before anything is written.
    expect_io_error("{ sleep 0.05; " + command + "; echo $? >" + folder_ +
                        "/code; } | :; exit $(cat " + folder_ + "/code)",
                    "Broken pipe");
  }
}

TEST_F(ConsoleTest, NotesThatCannotBeWrittenChangeNothing) {
  for (const std::string& command : commands()) {
    const Output good = shell(command);
    for (const char* redirection : {" 2>/dev/full", " 2>&-"}) {
      const Output got = shell(command + redirection);
      EXPECT_EQ(got.code, 0) << command << redirection;
      if (command.find("$H run ") == std::string::npos)
        EXPECT_EQ(got.out, good.out) << command << redirection;
    }
  }
  // Errors keep their exit code when nobody can read them.
  EXPECT_EQ(shell("$H inspect " + folder_ + "/nothing 2>&-").code, 3);
  EXPECT_EQ(shell("$H evaluate 2>/dev/full").code, 2);
}

TEST_F(ConsoleTest, ARunWithProgressGoesOnWithoutItsReader) {
  make_teacher();
  const std::string run = "$H run " + write_recipe_file("a", "max_steps = 3\n");
  EXPECT_EQ(shell(run + " 2>/dev/full").code, 0);
  const Output got =
      shell("{ sleep 0.05; " + run + " --run-dir " + folder_ + "/b 2>&1 >/dev/null; echo $? >" +
            folder_ + "/code; } | :; exit $(cat " + folder_ + "/code)");
  EXPECT_EQ(got.code, 0) << read_whole(folder_ + "/b/log.jsonl");
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/b/result.json"));
}

TEST_F(ConsoleTest, ClosedStreamsAreTakenByNoFile) {
  make_teacher();
  const std::string run = "$H run " + write_recipe_file("closed", "max_steps = 2\n");
  const Output got = shell(run + " <&- >&- 2>&-");
  EXPECT_EQ(got.code, 4);
  ASSERT_TRUE(std::filesystem::exists(folder_ + "/closed/result.json"));
  // Whole files alone: no summary and no progress inside.
  EXPECT_EQ(read_whole(folder_ + "/closed/log.jsonl").find("closed: onebit"), std::string::npos);
  EXPECT_EQ(program({"inspect", folder_ + "/closed", "--digest"}).code, 0);
  EXPECT_EQ(program({"compare", folder_ + "/closed"}).code, 0);
}

TEST_F(ConsoleTest, ARunWhoseSummaryIsLostSaysWhereTheResultIs) {
  const Output got = shell(commands()[0] + " >/dev/full");
  EXPECT_EQ(got.code, 4);
  EXPECT_NE(got.err.find("; the result is in " + folder_ + "/x/result.json"), std::string::npos)
      << got.err;
}

TEST_F(ConsoleTest, AFileSizeLimitIsAnErrorAndNoSignal) {
  const Output got = shell("ulimit -f 0; $H --help >" + folder_ + "/limited");
  EXPECT_EQ(got.code, 4) << got.err;
}

}  // namespace
}  // namespace halftone
