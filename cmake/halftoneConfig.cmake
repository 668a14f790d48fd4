include(${CMAKE_CURRENT_LIST_DIR}/dependencies.cmake)
find_package(MPI QUIET COMPONENTS CXX)  # of builds with HALFTONE_MPI
include(${CMAKE_CURRENT_LIST_DIR}/halftoneTargets.cmake)
