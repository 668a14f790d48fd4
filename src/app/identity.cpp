#include "halftone/app/identity.h"

#include <sstream>

#include "halftone/base/error.h"
#include "halftone/base/simd.h"
#include "halftone/base/threads.h"
#include "halftone/tensor/gemm.h"

namespace halftone {

std::map<std::string, std::string> identity_meta(const RunIdentity& identity) {
  return {{"recipe", identity.recipe},
          {"teacher_sha256", identity.teacher_sha256},
          {"tokenizer_hash", identity.tokenizer_hash},
          {"data_sha256", identity.data_sha256},
          {"teacher_logits_sha256", identity.teacher_logits_sha256},
          {"isa", isa_name(isa())},
          {"threads", std::to_string(threads())},
          {"blas", blas_name()},
          {"version", HALFTONE_VERSION}};
}

int64_t meta_number(const CheckpointContent& content, const std::string& key) {
  const auto it = content.meta.find(key);
  int64_t value = -1;
  if (it != content.meta.end()) std::istringstream(it->second) >> value;
  if (value < 0)
    throw_error(ErrorKind::checkpoint, "checkpoint: meta '{}' is missing or not a number", key);
  return value;
}

void check_identity(const CheckpointContent& content, const RunIdentity& identity,
                    bool allow_inexact) {
  for (const auto& [key, expected] : identity_meta(identity)) {
    const auto it = content.meta.find(key);
    const std::string found = it == content.meta.end() ? "nothing" : it->second;
    if (found == expected) continue;
    const bool machine = key == "isa" || key == "threads" || key == "blas" || key == "version";
    if (machine && allow_inexact) continue;
    throw_error(ErrorKind::checkpoint,
                "checkpoint: {} was {}, this run has {}; the run cannot go on bit for bit{}", key,
                printable(found), printable(expected),
                machine ? " (--allow-inexact goes on all the same)" : "");
  }
}

}  // namespace halftone
