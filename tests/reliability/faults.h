// Starts the program with a fault in it (fault_shim.cpp).
#pragma once

#include <cstdlib>
#include <string>

#include "app/program_testing.h"

namespace halftone::testing {

struct Fault {
  std::string kind;
  long at = 0;  // 0: none, the operations are counted

  bool kills() const { return kind == "kill" || kind == "torn" || loses_power(); }
  bool loses_power() const { return kind.starts_with("power"); }
};

class FaultTest : public ProgramTest {
 protected:
  // What the program's files are below; the recipe, the teacher and the text are beside it.
  std::string work() const { return folder_ + "/work"; }

  Output program_with(const Fault& fault, const std::vector<std::string>& arguments) {
    const std::pair<const char*, std::string> variables[] = {
        {"LD_PRELOAD", HALFTONE_FAULT_SHIM},
        {"HALFTONE_FAULT_DIR", fault.loses_power() ? work() : folder_},
        {"HALFTONE_FAULT_KIND", fault.kind},
        {"HALFTONE_FAULT_AT", std::to_string(fault.at)},
        {"HALFTONE_FAULT_REPORT", report_file()}};
    std::filesystem::remove(report_file());
    for (const auto& [name, value] : variables) ::setenv(name, value.c_str(), 1);
    Output out = program(arguments);
    for (const auto& [name, value] : variables) ::unsetenv(name);
    return out;
  }

  // "<operation> <path>" of the fault, or the number of operations of a program without one.
  std::string report() const { return read_whole(report_file()); }

 private:
  std::string report_file() const { return folder_ + ".report"; }
};

}  // namespace halftone::testing
