#include "halftone/base/checked.h"

#include "halftone/base/error.h"

namespace halftone {

void throw_overflow(std::string_view what) {
  throw_error(ErrorKind::format, "{}: the size overflows", printable(what));
}

}  // namespace halftone
