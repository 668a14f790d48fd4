// What a finished run left in its directory, read back for comparison.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace halftone {

struct LoggedStep {
  double step = 0;
  std::optional<double> loss, learning_rate, sign_flip_rate;
};

// Of one text. Of a broken model infinite, NaN or 0.
struct TextFigures {
  std::optional<double> perplexity, teacher_perplexity, kl, top1;
};

// Of the zero-shot tasks, shares of the documents.
struct TaskShares {
  std::vector<std::pair<std::string, double>> tasks;  // name, acc_norm where there is one, else acc
  std::optional<double> average, onebit_average;
  // Of the teacher's share above chance; by the average of OneBit's six tasks where they are all
  // there, else of all tasks.
  std::optional<double> above_chance;
};

// Its own text is the first of several.
struct RunRecord : TextFigures {
  std::string directory, name, method;
  std::vector<std::pair<std::string, TextFigures>> texts;  // of several, all of them, by name
  TaskShares zero_shot;
  double bits_paper = 0, bits_linear = 0, bits_file = 0;
  double bytes = 0, seconds = 0, peak_rss_bytes = 0;
  std::vector<std::pair<std::string, double>> layers;  // name, relative error
  std::vector<LoggedStep> log;
  // What decides whether figures compare: teacher, text, protocol, context, windows, join; "text
  // NAME" of several texts; tasks, and "task NAME" of each.
  std::vector<std::pair<std::string, std::string>> protocol;
  std::vector<std::pair<std::string, std::string>> machine;  // cpu, isa, threads, blas, version
  std::vector<std::pair<std::string, std::string>> recipe;   // "section.key" -> value as written
};

// Reads result.json, and log.jsonl where there is one, up to its last whole line. `recipe` stays
// empty. Throws Error(format)
// naming the file and the field that is missing or of the wrong type, or the run directory that has
// no result yet.
RunRecord read_run(const std::string& directory);

}  // namespace halftone
