// libFuzzer's program. --target=NAME says which target; libFuzzer leaves options that start with
// two dashes alone.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "halftone/base/threads.h"
#include "target.h"

namespace {

halftone::fuzz::Target target;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  halftone::set_threads(1);
  constexpr std::string_view kOption = "--target=";
  for (int i = 1; i < *argc; ++i) {
    const std::string_view argument = (*argv)[i];
    if (!argument.starts_with(kOption)) continue;
    const auto found = halftone::fuzz::targets().find(std::string(argument.substr(kOption.size())));
    if (found != halftone::fuzz::targets().end()) target = found->second;
  }
  if (target) return 0;
  std::fprintf(stderr, "--target=NAME expected, one of:");
  for (const auto& [name, run] : halftone::fuzz::targets())
    std::fprintf(stderr, " %s", name.c_str());
  std::fprintf(stderr, "\n");
  std::exit(2);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  target({reinterpret_cast<const char*>(data), bytes});
  return 0;
}
