# cpack: a .deb for each part, or archives of them (cpack -G TGZ). All that packages say of gembench is
# said here.
set(GEMBENCH_MAINTAINER "The gembench authors <gembench@example.org>" CACHE STRING
    "Who answers for packages: Name <address>")
set(CPACK_PACKAGE_NAME gembench)
set(CPACK_PACKAGE_VENDOR "The gembench authors")
set(CPACK_PACKAGE_CONTACT ${GEMBENCH_MAINTAINER})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGE_DESCRIPTION
"Runs expert-parallel Mixture-of-Experts layers on MPI ranks under several
placements of their experts, times every phase and every wait on every rank,
and says which placement is faster and how certain that is. Plans placements
too, and reads and writes the formats of serving engines.")
set(CPACK_PACKAGE_INSTALL_DIRECTORY gembench)
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)

if(NOT CPACK_GENERATOR)
  set(CPACK_GENERATOR DEB)
endif()
# Sources are what `git archive` makes (the target dist), not what lies around in a clone.
foreach(generator IN ITEMS RPM TBZ2 TGZ TXZ TZ ZIP)
  set(CPACK_SOURCE_${generator} OFF)
endforeach()
set(CPACK_COMPONENTS_ALL program planner development)
if(TARGET gembench_cuda)
  list(APPEND CPACK_COMPONENTS_ALL cuda)
endif()
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_ARCHIVE_COMPONENT_INSTALL ON)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
# The launcher of the MPI that it is linked with; the libraries are looked up by dpkg-shlibdeps.
set(launcher openmpi-bin)
if(MPI_CXX_LIB_NAMES MATCHES mpich)
  set(launcher mpich)
endif()
set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME gembench)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_DEPENDS ${launcher})
set(CPACK_DEBIAN_PROGRAM_PACKAGE_RECOMMENDS "python3, python3-h5py, python3-h5netcdf, python3-xarray")
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SUGGESTS hdf5-tools)
set(CPACK_DEBIAN_PLANNER_PACKAGE_NAME libgembench-planner1)
set(CPACK_DEBIAN_PLANNER_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_PLANNER_PACKAGE_SHLIBDEPS ON)
set(CPACK_COMPONENT_PLANNER_DESCRIPTION
"Plans where the experts of a Mixture-of-Experts model go, from their loads and
the speeds of the GPUs, for serving engines: a C library without files, MPI and
state.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libgembench-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
    "libgembench-planner1 (= ${PROJECT_VERSION}), libfmt-dev, libarchive-dev, libzip-dev, libyaml-dev, zlib1g-dev, pkgconf | pkg-config")
set(CPACK_COMPONENT_PROGRAM_DESCRIPTION "${CPACK_PACKAGE_DESCRIPTION}")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION
"The planner of gembench as a C library, and as a C++20 library: expert loads,
ranks' speeds, placements, strategies, and the formats of serving engines.")
set(CPACK_DEBIAN_CUDA_PACKAGE_NAME gembench-cuda)
# Where the toolkit comes from no package, there is none to depend on.
set(CPACK_DEBIAN_CUDA_PACKAGE_SHLIBDEPS ON)
foreach(library IN ITEMS "${NCCL_LIBRARY}" "${CUDA_cublas_LIBRARY}")
  file(REAL_PATH "${library}" library)
  execute_process(COMMAND dpkg-query --search ${library} RESULT_VARIABLE unknown OUTPUT_QUIET ERROR_QUIET)
  if(unknown)
    set(CPACK_DEBIAN_CUDA_PACKAGE_SHLIBDEPS OFF)
  endif()
endforeach()
set(CPACK_DEBIAN_CUDA_PACKAGE_DEPENDS "gembench (= ${PROJECT_VERSION})")
set(CPACK_COMPONENT_CUDA_DESCRIPTION "The CUDA device of gembench: cuBLAS, NCCL and kernels.")

# Debian wants the licence under this name. Only in packages: an installation has LICENSE.
foreach(package IN ITEMS program:gembench planner:libgembench-planner1 development:libgembench-dev
                         cuda:gembench-cuda)
  string(REPLACE ":" ";" package ${package})
  list(POP_FRONT package part)
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE RENAME copyright
          DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${package} COMPONENT ${part} EXCLUDE_FROM_ALL)
endforeach()
include(CPack)
