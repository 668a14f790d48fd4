#include "halftone/tensor/device.h"

#include <gtest/gtest.h>

namespace halftone {
namespace {

std::string refusal(const std::string& name) {
  try {
    use_device(name);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::recipe);
    return error.what();
  }
  return "accepted";
}

TEST(Device, IsFoundByItsName) {
  EXPECT_EQ(use_device("cpu"), Device::cpu);
  EXPECT_TRUE(gpu_description().empty());
}

TEST(Device, OfAnotherNameIsRefused) {
  for (const char* name : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:0 ", "CPU"})
    EXPECT_NE(refusal(name).find(fmt::format("found \"{}\"", name)), std::string::npos) << name;
}

// On machines without a GPU, whatever the build.
TEST(Device, ThatIsNotThereIsRefusedWithTheReason) {
  EXPECT_NE(refusal("cuda:99").find("cuda:99"), std::string::npos);
}

}  // namespace
}  // namespace halftone
