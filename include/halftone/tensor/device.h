// Devices beside the CPU: NVIDIA GPUs, in builds with HALFTONE_CUDA. One is used at a time; its
// work is queued in one order and runs beside the CPU's.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "halftone/tensor/tensor.h"

namespace halftone {

// "cpu", "cuda" or "cuda:1" as a device, which is made the one in use. Throws Error(recipe) where
// the text names none, the build has no GPU code, or the machine no such GPU.
Device use_device(const std::string& name);

// The GPU in use, for instance "NVIDIA H100 80GB HBM3, sm_90"; empty before one is.
std::string gpu_description();

// This process is number `place` of several of its host that each use a GPU of their own: where
// "cuda:k" is asked for, it gets the place-th after that one, counted round. To be said before the
// first use_device.
void share_gpus(int place);

size_t gpu_memory_bytes();  // of the GPU in use; 0 before one is

// The index in "cuda" (0) or "cuda:1"; none for "cpu". Throws Error(recipe) for any other text.
std::optional<int> gpu_index(const std::string& name);

// Waits until all that was queued on the device is done.
void synchronize(Device device);

// Of the GPU's memory: in use by tensors at most since the last reset.
size_t peak_gpu_bytes();
void reset_peak_gpu_bytes();

namespace cuda {

// At least `bytes` bytes of the GPU, uninitialised. What is given back is taken again without the
// driver. Throws Error(memory) saying how much was asked and is held.
std::shared_ptr<void> allocate(size_t bytes);

// Between the GPU and the CPU, or within the GPU. What the CPU reads or wrote is complete when the
// call returns.
void copy(void* to, const void* from, size_t bytes);

}  // namespace cuda

}  // namespace halftone
