// The tests of a GPU: the first one of the machine.
#include <gtest/gtest.h>

#include "halftone/tensor/device.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  halftone::use_device("cuda:0");
  return RUN_ALL_TESTS();
}
