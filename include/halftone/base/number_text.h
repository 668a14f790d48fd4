// Numbers as texts, those that are not finite included.
#pragma once

#include <string>

namespace halftone {

// For people: so many decimals, from 10 million on "1.234e+07" with at most three of them; "inf",
// "-inf", "nan".
std::string fixed_text(double value, int decimals);

// For programs: the shortest text that reads back as the same number; "Infinity", "-Infinity",
// "NaN".
std::string exact_text(double value);

}  // namespace halftone
