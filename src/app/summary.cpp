#include "app/summary.h"

#include "app/console.h"
#include "app/evaluation.h"
#include "app/progress.h"
#include "halftone/base/number_text.h"

namespace halftone {
namespace {

void print_trace(const TraceFigures& trace) {
  print("  trace        {} steps of {:.1f} ms in trace.json\n", trace.steps,
        1e3 * trace.step_seconds);
  const char* before = "  exchange    ";
  for (const auto& [name, figures] : trace.exchanged) {
    print("{} {} {:.1f} ms a step, {:.1f} of them beside compute", before, name,
          1e3 * figures.seconds, 1e3 * figures.beside_compute);
    before = ";";
  }
  if (!trace.exchanged.empty()) print("\n");
}

}  // namespace

void print_summary(const RunResult& r, const std::string& directory) {
  print("{}: {}\n", r.name, r.method);
  for (const TextResult& text : r.eval.texts) {
    const Evaluation& eval = text.eval;
    print("  perplexity   {}", fixed_text(eval.perplexity, 4));
    if (const auto& with = eval.agreement)
      print("  ({} times the teacher's {}; KL {}, top-1 {:.1f} %)",
            fixed_text(eval.perplexity / with->teacher_perplexity, 4),
            fixed_text(with->teacher_perplexity, 4), fixed_text(with->kl, 4), 100 * with->top1);
    if (r.eval.texts.size() > 1) print("  of {}", printable(text.settings.name));
    print("\n");
  }
  print_tasks(r.eval.tasks, "  ");
  print("  bits         paper {:.4f}, linears {:.4f}, file {:.3f}  ({:.2f} MB, {} parameters)\n",
        r.student.paper_bits, r.student.linear_bits, r.student.file_bits,
        static_cast<double>(r.model_bytes) / 1e6, r.student.parameters);
  if (r.trace) print_trace(*r.trace);
  print("  tokens seen  {}\n  time         {}\n  files        {}\n", r.tokens_seen,
        duration_text(r.seconds.total), directory);
}

}  // namespace halftone
