# The CUDA toolkit, and how the kernels are compiled: for the A100 (sm_80), the L4 and RTX 40 (sm_89) and the
# H100 and H200 (sm_90a). -DCMAKE_CUDA_ARCHITECTURES=90a compiles for one of them in a third of the time.
if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 89-real 90a-real)
endif()
enable_language(CUDA)
find_package(CUDAToolkit 13.0 REQUIRED)
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)  # CMake 3.25 does not know that nvcc 12 has it
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)

# Programs look for libraries beside themselves first, so that a folder of both can be carried (cmake/carry.sh).
set(CMAKE_BUILD_RPATH "$ORIGIN/lib")
add_link_options(-Wl,--disable-new-dtags)

# The folders whose calls go through the door of tensor/dispatch.h.
set(HALFTONE_CUDA_FOLDERS tensor ops)
function(halftone_add_cuda target)
  string(REPLACE halftone_ "" folder ${target})
  if(NOT folder IN_LIST HALFTONE_CUDA_FOLDERS)
    return()
  endif()
  target_compile_definitions(${target} PRIVATE HALFTONE_CUDA)
  # fmt 9 takes nvcc for a compiler without constexpr, and its consteval for one that nvcc can evaluate.
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr -DFMT_USE_CONSTEXPR=1 -DFMT_CONSTEVAL=>)
  target_link_libraries(${target} PUBLIC CUDA::cudart_static ${CMAKE_DL_LIBS})
endfunction()
