// How devices are named, and what a build without GPU code says of them; with it, device.cu does.
#include "halftone/tensor/device.h"

#include <charconv>

namespace halftone {

std::optional<int> gpu_index(const std::string& name) {
  if (name == "cpu") return {};
  if (name == "cuda") return 0;
  const std::string prefix = "cuda:";
  int index = -1;
  const char *begin = name.data() + std::min(prefix.size(), name.size()),
             *end = name.data() + name.size();
  if (!name.starts_with(prefix) || std::from_chars(begin, end, index).ptr != end || index < 0)
    throw_error(ErrorKind::recipe, "found \"{}\", \"cpu\" or \"cuda:0\" expected", name);
  return index;
}

#ifndef HALFTONE_CUDA

Device use_device(const std::string& name) {
  if (gpu_index(name))
    throw_error(ErrorKind::recipe,
                "found \"{}\", but this build of Halftone runs on \"cpu\" alone; "
                "configure it with -DHALFTONE_CUDA=ON",
                name);
  return Device::cpu;
}

std::string gpu_description() {
  return {};
}

size_t gpu_memory_bytes() {
  return 0;
}

void share_gpus(int) {}

void synchronize(Device) {}

size_t peak_gpu_bytes() {
  return 0;
}

void reset_peak_gpu_bytes() {}

std::shared_ptr<void> cuda::allocate(size_t) {
  throw std::invalid_argument("Tensor: this build of Halftone has no device cuda");
}

void cuda::copy(void*, const void*, size_t) {
  throw std::invalid_argument("Tensor: this build of Halftone has no device cuda");
}

#endif

}  // namespace halftone
