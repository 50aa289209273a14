# Finds HDF5 (C and HL, serial or parallel) for every folder: gembench::hdf5_library. FindHDF5 knows
# CMake's package files and the compiler wrappers. pkg-config comes first, since that of CMake 4.3
# fails over Debian's HDF5 2; not where HDF5_ROOT or HDF5_DIR names a place.
set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)
add_library(gembench_hdf5_library INTERFACE)
add_library(gembench::hdf5_library ALIAS gembench_hdf5_library)

find_package(PkgConfig)
if(PKG_CONFIG_FOUND AND NOT (HDF5_ROOT OR HDF5_DIR OR DEFINED ENV{HDF5_ROOT} OR DEFINED ENV{HDF5_DIR}))
  pkg_check_modules(GEMBENCH_HDF5 QUIET IMPORTED_TARGET GLOBAL hdf5>=1.10 hdf5_hl>=1.10)
endif()
if(GEMBENCH_HDF5_FOUND)
  set(hdf5_targets PkgConfig::GEMBENCH_HDF5)
  set(hdf5_found "${GEMBENCH_HDF5_hdf5_VERSION} by pkg-config")
else()
  # Asked for a serial one, it finds no parallel one either.
  find_package(HDF5 1.10 QUIET COMPONENTS C HL)
  if(NOT HDF5_FOUND)
    set(HDF5_PREFER_PARALLEL ON)
    find_package(HDF5 1.10 REQUIRED COMPONENTS C HL)
  endif()
  set(hdf5_targets hdf5::hdf5_hl hdf5::hdf5)
  set(hdf5_found "${HDF5_VERSION} by find_package")
endif()
target_link_libraries(gembench_hdf5_library INTERFACE ${hdf5_targets})

# A parallel HDF5's headers include MPI's.
include(CheckCXXSourceCompiles)
set(CMAKE_REQUIRED_LIBRARIES ${hdf5_targets})
unset(GEMBENCH_HDF5_IS_PARALLEL CACHE)
check_cxx_source_compiles("#include <H5pubconf.h>
#ifndef H5_HAVE_PARALLEL
#error serial
#endif
int main() {}" GEMBENCH_HDF5_IS_PARALLEL)
unset(CMAKE_REQUIRED_LIBRARIES)
if(GEMBENCH_HDF5_IS_PARALLEL)
  set(MPI_CXX_SKIP_MPICXX ON)
  find_package(MPI REQUIRED COMPONENTS CXX)
  target_link_libraries(gembench_hdf5_library INTERFACE MPI::MPI_CXX)
  string(APPEND hdf5_found ", parallel")
endif()
message(STATUS "HDF5 ${hdf5_found}")
