// How fast this machine reads memory, which bounds decoding.
#pragma once

namespace halftone {

// Bytes a second that all threads together read of 512 MiB, more than caches hold; the best of a
// few passes.
double read_bandwidth();

}  // namespace halftone
