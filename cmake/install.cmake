# cmake --install gives the program, the headers and a CMake package: find_package(halftone), then
# link halftone::halftone_all.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/halftone)
if(TARGET halftone)
  install(TARGETS halftone RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY include/halftone DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS ${halftone_libraries} halftone_all EXPORT halftone
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT halftone NAMESPACE halftone:: FILE halftoneTargets.cmake DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/halftoneConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES cmake/halftoneConfig.cmake cmake/dependencies.cmake
              ${PROJECT_BINARY_DIR}/halftoneConfigVersion.cmake DESTINATION ${package_dir})
