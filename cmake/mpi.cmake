# MPI, for many ranks: any that keeps the standard; Debian's is Open MPI (libopenmpi-dev, openmpi-bin).
find_package(MPI REQUIRED COMPONENTS CXX)
list(APPEND HALFTONE_PRIVATE_base MPI::MPI_CXX)
set_source_files_properties(src/base/ranks.cpp PROPERTIES COMPILE_DEFINITIONS HALFTONE_MPI)
