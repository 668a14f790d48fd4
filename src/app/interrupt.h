// SIGINT, SIGTERM and SIGHUP: the first asks the run to stop after its step, one that comes more
// than a second later ends it at once.
#pragma once

namespace halftone {

void catch_interrupts();
bool interrupted();

// Ends a stage that has saved what it did; the program exits with 7.
struct Interrupted {};

}  // namespace halftone
