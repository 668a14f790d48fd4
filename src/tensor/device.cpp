// What a build without GPU code says of devices; with it, device.cu stands in its place.
#include "halftone/tensor/device.h"

#include "tensor/device_name.h"

#ifndef HALFTONE_CUDA

namespace halftone {

Device use_device(const std::string& name) {
  if (gpu_index(name))
    throw_error(ErrorKind::recipe,
                "device: found \"{}\", but this build of Halftone runs on \"cpu\" alone; "
                "configure it with -DHALFTONE_CUDA=ON",
                name);
  return Device::cpu;
}

std::string gpu_description() {
  return {};
}

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

}  // namespace halftone

#endif
