#include "hdf5_handles.h"

namespace halftone::hdf5 {
namespace {

// A binary float of 16 bits with `exponent` bits of exponent.
Handle float16(size_t exponent) {
  Handle type(H5Tcopy(H5T_IEEE_F32LE));
  const size_t mantissa = 15 - exponent;
  H5Tset_fields(type.get(), 15, mantissa, exponent, 0, mantissa);
  H5Tset_size(type.get(), 2);
  H5Tset_ebias(type.get(), (size_t{1} << (exponent - 1)) - 1);
  return type;
}

herr_t first_cause(unsigned n, const H5E_error2_t* error, void* out) {
  auto& text = *static_cast<std::string*>(out);
  if (n == 0 && error->desc) text = error->desc;
  return 0;
}

}  // namespace

void quiet() {
  // A file that could not be flushed stays open inside the library, which would try again at exit
  // and crash there.
  static const bool without_exit_handler = H5dont_atexit() >= 0;
  (void)without_exit_handler;
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  H5PLset_loading_state(0);
}

std::string cause() {
  std::string text;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, first_cause, &text);
  constexpr std::string_view kSystem = "error message = '";
  const size_t begin = text.find(kSystem);
  if (begin != std::string::npos) {
    text.erase(0, begin + kSystem.size());
    text.resize(std::min(text.find('\''), text.size()));
  }
  return text.empty() ? "unknown cause" : printable(text);
}

Handle access_properties() {
  Handle access(H5Pcreate(H5P_FILE_ACCESS));
  H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG);
  H5Pset_file_locking(access.get(), false, true);
  return access;
}

Handle number_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return Handle(H5Tcopy(H5T_IEEE_F32LE));
    case DType::f64:
      return Handle(H5Tcopy(H5T_IEEE_F64LE));
    case DType::f16:
      return float16(5);
    case DType::bf16:
      return float16(8);
    case DType::i32:
      return Handle(H5Tcopy(H5T_STD_I32LE));
    case DType::i64:
      return Handle(H5Tcopy(H5T_STD_I64LE));
    case DType::u8:
      return Handle(H5Tcopy(H5T_STD_U8LE));
    case DType::q8_0:
      break;  // no type of HDF5
  }
  return {};
}

Handle text_type(size_t bytes_with_zero) {
  Handle type(H5Tcopy(H5T_C_S1));
  H5Tset_size(type.get(), bytes_with_zero);
  H5Tset_strpad(type.get(), H5T_STR_NULLTERM);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  return type;
}

}  // namespace halftone::hdf5
