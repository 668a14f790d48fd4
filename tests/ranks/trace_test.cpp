// The trace of several ranks: what each computes, and what they send each other beside it.
#include "app/trace_testing.h"
#include "ranks_testing.h"

namespace halftone::testing {
namespace {

class RanksTraceTest : public RanksTest {
 protected:
  // Of the quickstart, whose gradients are several buckets.
  Output run(const std::string& name, int traced, const Arguments& more = {}) const {
    Arguments out = run_of(HALFTONE_SOURCE_DIR "/recipes/quickstart/onebit.toml");
    for (const std::string& setting :
         {fmt::format("run.trace_steps={}", traced), std::string("train.max_steps=5"),
          std::string("train.warmup_steps=1"), std::string("train.per_device_train_batch_size=1"),
          std::string("train.logging_steps=1"), std::string("data.max_seq_length=64"),
          std::string("eval.context=64"), std::string("eval.max_windows=2")})
      out.insert(out.end(), {"--set", setting});
    out.insert(out.end(), {"--run-dir", folder_ + "/" + name});
    out.insert(out.end(), more.begin(), more.end());
    return on_ranks(2, out);
  }

  // Expects of both ranks these phases, and as many transfers of each kind in every step.
  void expect_trace(const std::string& name, const std::set<std::string>& kinds) const {
    for (const int rank : {0, 1}) {
      const auto trace = read_trace(folder_ + "/" + name + "/trace.json", rank);
      ASSERT_TRUE(trace.contains("exchange"));
      EXPECT_EQ(names_of(trace.at("steps")), (std::set<std::string>{"step 4", "step 5"}));
      EXPECT_EQ(names_of(trace.at("compute")),
                (std::set<std::string>{"data", "teacher", "forward", "loss", "backward", "sum",
                                       "wait", "optimizer"}));
      std::map<int64_t, std::multiset<std::string>> sent;  // by step
      std::set<std::string> found, buckets;
      for (const auto& [thread, events] : trace)
        if (thread.starts_with("exchange"))
          for (const TracedEvent& event : events) {
            sent[event.step].insert(event.name);
            found.insert(event.name.substr(0, event.name.find(' ')));
            if (event.name.starts_with("gradients")) buckets.insert(event.name);
          }
      EXPECT_EQ(found, kinds);
      EXPECT_EQ(sent[4], sent[5]);
      EXPECT_GT(buckets.size(), 1u);
    }
  }
};

TEST_F(RanksTraceTest, EachBucketIsABarBesideThePhases) {
  const Output plain = run("plain", 0);
  ASSERT_EQ(plain.code, 0) << plain.err;
  const Output traced = run("traced", 2);
  ASSERT_EQ(traced.code, 0) << traced.err;
  expect_same_checkpoint("traced", "plain");
  EXPECT_EQ(digest("traced"), digest("plain"));
  EXPECT_EQ(log_of("traced"), log_of("plain"));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/plain/trace.json"));
  expect_trace("traced", {"gradients", "values"});

  const auto result = nlohmann::json::parse(read_whole(folder_ + "/traced/result.json"));
  for (const char* kind : {"gradients", "values"}) {
    const auto& figures = result["trace"]["exchange"][kind];
    EXPECT_GT(figures["seconds"], 0) << kind;
    EXPECT_GE(figures["beside_compute"], 0) << kind;
    EXPECT_LE(figures["beside_compute"], figures["seconds"]) << kind;
  }
  EXPECT_GT(result["trace"]["exchange"]["gradients"]["beside_compute"], 0);
  EXPECT_NE(traced.out.find("  exchange     gradients "), std::string::npos) << traced.out;
}

TEST_F(RanksTraceTest, BlocksInPartsAreGathered) {
  const Output out =
      run("parts", 2,
          {"--set", "train.gradient_checkpointing=true", "--set", "train.shard_parameters=true"});
  ASSERT_EQ(out.code, 0) << out.err;
  expect_trace("parts", {"block", "gradients", "values"});
}

}  // namespace
}  // namespace halftone::testing
