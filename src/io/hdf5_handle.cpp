#include "hdf5_handle.h"

#include "halftone/base/error.h"

namespace halftone::hdf5 {

void quiet() {
  // A file that could not be flushed would be flushed again at exit, and fail again with a crash.
  static const bool once = [] { return H5dont_atexit() >= 0; }();
  (void)once;
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

namespace {

// A two-byte float: the sign on top, then the exponent, then the mantissa.
hid_t small_float(size_t exponent_bits, size_t mantissa_bits, size_t bias) {
  const hid_t type = H5Tcopy(H5T_IEEE_F32LE);
  // The fields shrink into two bytes first; the library refuses a size that cuts them.
  if (type < 0 || H5Tset_fields(type, 15, mantissa_bits, exponent_bits, 0, mantissa_bits) < 0 ||
      H5Tset_size(type, 2) < 0 || H5Tset_ebias(type, bias) < 0) {
    if (type >= 0) H5Tclose(type);
    return -1;
  }
  return type;
}

}  // namespace

Handle file_type(DType dtype) {
  switch (dtype) {
    case DType::f32: return {H5Tcopy(H5T_IEEE_F32LE), H5Tclose};
    case DType::f64: return {H5Tcopy(H5T_IEEE_F64LE), H5Tclose};
    case DType::f16: return {small_float(5, 10, 15), H5Tclose};
    case DType::bf16: return {small_float(8, 7, 127), H5Tclose};
    case DType::i32: return {H5Tcopy(H5T_STD_I32LE), H5Tclose};
    case DType::i64: return {H5Tcopy(H5T_STD_I64LE), H5Tclose};
    case DType::u8: return {H5Tcopy(H5T_STD_U8LE), H5Tclose};
  }
  return {};
}

Handle file_access() {
  Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  if (access.good() &&
      (H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG) < 0 ||
       H5Pset_file_locking(access.get(), false, true) < 0 ||
       H5Pset_libver_bounds(access.get(), H5F_LIBVER_V110, H5F_LIBVER_V110) < 0))
    return {};
  return access;
}

std::string last_error() {
  // The innermost record that carries the system's error text, else the innermost of all.
  struct Found {
    std::string system, innermost;
  } found;
  H5Ewalk2(
      H5E_DEFAULT, H5E_WALK_UPWARD,
      [](unsigned, const H5E_error2_t* record, void* data) -> herr_t {
        auto* out = static_cast<Found*>(data);
        const std::string text = record->desc ? record->desc : "";
        if (out->innermost.empty()) out->innermost = text;
        const std::string key = "error message = '";
        const size_t begin = text.find(key);
        if (out->system.empty() && begin != std::string::npos) {
          const size_t start = begin + key.size();
          out->system = text.substr(start, text.find('\'', start) - start);
        }
        return 0;
      },
      &found);
  if (!found.system.empty()) return printable(found.system);
  return found.innermost.empty() ? "HDF5 gives no reason" : printable(found.innermost);
}

}  // namespace halftone::hdf5
