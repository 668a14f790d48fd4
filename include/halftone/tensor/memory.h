// Storage of tensors: 64-byte aligned blocks of an arena that keeps what is freed, so that a steady
// training step asks nothing of the operating system (no page faults, no zeroing by the kernel).
#pragma once

#include <cstddef>
#include <memory>

namespace halftone {

// At least `bytes` bytes, uninitialised. Throws Error(memory) saying how much was asked and is
// held.
std::shared_ptr<void> allocate(size_t bytes);

// Gives the memory of freed blocks back to the operating system.
void release_kept_memory();

size_t allocated_bytes();  // in use by tensors now
// The most that was in use at a time since the start or the last reset.
size_t peak_allocated_bytes();
void reset_peak_allocated_bytes();

// Peak resident memory of this process so far, bytes (getrusage).
size_t peak_rss_bytes();
size_t rss_bytes();

}  // namespace halftone
