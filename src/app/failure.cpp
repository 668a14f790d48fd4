#include "app/failure.h"

#include <filesystem>
#include <new>

#include "app/console.h"
#include "app/interrupt.h"
#include "halftone/base/error.h"

namespace halftone {

int tell_failure(const std::exception_ptr& thrown, std::string_view who) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& error) {
    say("{}: {}\n", who, error.what());
    return exit_code(error.kind());
  } catch (const Interrupted&) {
    say("{}: interrupted; what was done is saved\n", who);
    return kExitInterrupted;
  } catch (const std::filesystem::filesystem_error& error) {
    say("{}: {}\n", who, error.what());
    return exit_code(read_failure(error.code().value()));
  } catch (const std::bad_alloc&) {
    say("{}: out of memory\n", who);
    return exit_code(ErrorKind::memory);
  } catch (const std::exception& error) {
    say("{}: internal error: {}\n", who, error.what());
    return 1;
  }
}

}  // namespace halftone
