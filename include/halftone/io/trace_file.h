// trace.json: steps as the Chrome trace event format has them, for chrome://tracing and
// ui.perfetto.dev.
#pragma once

#include <string>
#include <vector>

#include "halftone/base/ranks.h"
#include "halftone/tensor/trace.h"

namespace halftone {

// Complete ("X") events of one rank, which is their process: a thread `steps`, one `compute`, and
// as many called `exchange`, `exchange 2` ... as transfers were under way at once. A line each,
// each with a comma behind it.
std::string trace_events(int rank, const std::vector<TraceSpan>& spans);

// Collective: the first rank writes the spans of all. Gives the mean of their figures. Throws
// Error(io).
TraceFigures write_trace(const std::string& path, const std::vector<TraceSpan>& spans,
                         const Ranks& ranks);

}  // namespace halftone
