// Post-training runs as a user starts, kills, resumes and compares them.
#include <nlohmann/json.hpp>

#include "app/program_testing.h"
#include "halftone/io/checkpoint_file.h"

namespace halftone {
namespace {

class PtqRunTest : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    make_teacher();
  }

  std::string recipe(const std::string& name, const std::string& method,
                     const std::string& ptq = "") const {
    const std::string path = folder_ + "/" + name + ".toml";
    std::ofstream(path) << "[run]\nname = \"" << name << "\"\nmethod = \"" << method
                        << "\"\noutput_dir = \"" << folder_ << "\"\n[teacher]\nmodel = \""
                        << folder_ << "/teacher\"\n"
                        << "[calibration]\ntext = [\"" HALFTONE_SOURCE_DIR
                           "/recipes/quickstart/heldout.txt\"]\nnum_calibration_samples = 8\n"
                           "max_seq_length = 64\n"
                        << "[ptq]\n"
                        << ptq << "[eval]\ntext = \"" HALFTONE_SOURCE_DIR
                        << "/recipes/quickstart/heldout.txt\"\ncontext = 64\nmax_windows = 2\n";
    return path;
  }

  // The run as a packed file: the same perplexity, bits and text.
  void expect_packed_alike(const std::string& run) const {
    const std::string packed = folder_ + "/" + run + ".packed";
    const Output got =
        program({"export", folder_ + "/" + run, "--format", "packed", "--out", packed});
    ASSERT_EQ(got.code, 0) << got.err;
    EXPECT_NE(got.out.find("(0.0e+00)"), std::string::npos) << got.out;
    const nlohmann::json found = result(run);
    const Output eval =
        program({"eval", packed, "--text", HALFTONE_SOURCE_DIR "/recipes/quickstart/heldout.txt",
                 "--context", "64", "--max-windows", "2", "--json"});
    ASSERT_EQ(eval.code, 0) << eval.err;
    EXPECT_EQ(nlohmann::json::parse(eval.out)["perplexity"], found["eval"]["perplexity"]) << run;
    const Output inspected = program({"inspect", packed, "--json"});
    ASSERT_EQ(inspected.code, 0) << inspected.err;
    const nlohmann::json facts = nlohmann::json::parse(inspected.out);
    EXPECT_EQ(facts["quantised_parameters"], found["student"]["quantised_parameters"]);
    EXPECT_EQ(facts["bits"]["linear"], found["bits"]["linear"]) << run;
    EXPECT_EQ(facts["bits"]["paper"], found["bits"]["paper"]) << run;
    const auto text = [&](const std::string& model) {
      return program({"generate", model, "--prompt", "Once upon", "--tokens", "6"}).out;
    };
    EXPECT_EQ(text(packed), text(folder_ + "/" + run));
  }

  nlohmann::json result(const std::string& name) const {
    return nlohmann::json::parse(read_whole(folder_ + "/" + name + "/result.json"));
  }
};

TEST_F(PtqRunTest, EveryMethodRunsAndReportsItsLayersAndBits) {
  for (const char* method : {"rtn", "xnor", "gptq", "billm", "arb", "arb-x", "arb-rc"}) {
    const Output run = program({"run", recipe(method, method), "--quiet"});
    ASSERT_EQ(run.code, 0) << method << run.err;
    const nlohmann::json found = result(method);
    EXPECT_EQ(found["layers"].size(), 14u);
    EXPECT_EQ(found["layers"][0]["name"], "model.layers.0.self_attn.q_proj");
    EXPECT_LT(found["bits"]["linear"].get<double>(), 8);
    EXPECT_GE(found["bits"]["linear"].get<double>(), found["bits"]["paper"].get<double>());
    EXPECT_GT(found["agreement"]["top1"].get<double>(), 0);
    // The model that was written is the model that was evaluated.
    const Output again = program({"eval", folder_ + "/" + method, "--text",
                                  HALFTONE_SOURCE_DIR "/recipes/quickstart/heldout.txt",
                                  "--context", "64", "--max-windows", "2", "--json"});
    ASSERT_EQ(again.code, 0) << again.err;
    EXPECT_EQ(nlohmann::json::parse(again.out)["perplexity"], found["eval"]["perplexity"]);
    expect_packed_alike(method);
  }
}

TEST_F(PtqRunTest, KilledBetweenBlocksItEndsWithTheSameBits) {
  ASSERT_EQ(program({"run", recipe("whole", "arb-rc"), "--quiet"}).code, 0);
  const Output killed = program({"run", recipe("killed", "arb-rc"), "--quiet"}, SIGKILL, [&] {
    return std::filesystem::exists(folder_ + "/killed/step-00000001.h5");
  });
  EXPECT_EQ(killed.code, -SIGKILL);
  const Output resumed = program({"resume", folder_ + "/killed", "--quiet"});
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(digest("killed"), digest("whole"));
  EXPECT_EQ(result("killed")["layers"], result("whole")["layers"]);
}

TEST_F(PtqRunTest, AWholeCheckpointOfOtherErrorsIsRefused) {
  ASSERT_EQ(program({"run", recipe("made", "rtn"), "--quiet"}).code, 0);
  const std::string path = checkpoint_files(folder_ + "/made").back();
  const CheckpointContent whole = read_checkpoint_file(path);
  for (const char* layers : {"", "5", "[[\"a\"]]", "[[1, 2]]", "[[\"a\", {}]]"}) {
    CheckpointContent content = whole;
    content.meta["layers"] = layers;
    if (*layers == '\0') content.meta.erase("layers");
    write_checkpoint_file(path, content);
    const Output resumed = program({"resume", folder_ + "/made", "--quiet"});
    EXPECT_EQ(resumed.code, 8) << layers << resumed.err;
    EXPECT_NE(resumed.err.find("meta 'layers'"), std::string::npos) << resumed.err;
  }
}

TEST_F(PtqRunTest, ATextThatIsTooShortIsRefused) {
  const Output run = program({"run", recipe("short", "gptq"), "--quiet", "--set",
                              "calibration.num_calibration_samples=100000"});
  EXPECT_EQ(run.code, 2);
  EXPECT_NE(run.err.find("calibration.num_calibration_samples: found 100000, but the text has"),
            std::string::npos)
      << run.err;
}

TEST_F(PtqRunTest, NoTextAtAllIsRefusedAtTheRecipe) {
  const Output run = program({"check", recipe("none", "gptq"), "--set", "calibration.text=[]"});
  EXPECT_EQ(run.code, 2);
  EXPECT_NE(run.err.find("calibration.text"), std::string::npos) << run.err;
}

TEST_F(PtqRunTest, ComparisonSortsFinishedRunsAndNamesOneThatIsNot) {
  for (const char* bits : {"2", "4"})
    ASSERT_EQ(
        program({"run",
                 recipe(std::string("rtn") + bits, "rtn", std::string("bits = ") + bits + "\n"),
                 "--quiet"})
            .code,
        0);
  const Output table =
      program({"compare", folder_ + "/rtn4", folder_ + "/rtn2", "--sort", "bits_linear", "--html",
               folder_ + "/page.html", "--csv", folder_ + "/table.csv"});
  ASSERT_EQ(table.code, 0) << table.err;
  EXPECT_LT(table.out.find("rtn2"), table.out.find("rtn4"));
  EXPECT_NE(read_whole(folder_ + "/page.html").find("ptq.bits"), std::string::npos);
  EXPECT_EQ(read_whole(folder_ + "/table.csv").substr(0, 11), "run,method,");
  const Output json = program({"compare", folder_ + "/rtn4", "--json"});
  EXPECT_EQ(nlohmann::json::parse(json.out)["runs"][0]["method"], "rtn");
  const Output missing = program({"compare", folder_});
  EXPECT_EQ(missing.code, 3);
  EXPECT_NE(missing.err.find("no result.json"), std::string::npos);
}

}  // namespace
}  // namespace halftone
