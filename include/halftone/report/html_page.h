// One self-contained page that compares runs: no network, light and dark, phone and desktop.
#pragma once

#include <string>
#include <vector>

#include "halftone/report/run_record.h"

namespace halftone {

// The table; perplexity against true bits and bytes; curves of trained runs; relative errors by
// layer; what differs between the recipes; protocol and machine of each run.
std::string html_page(const std::vector<RunRecord>& runs);

}  // namespace halftone
