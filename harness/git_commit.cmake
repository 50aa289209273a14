# Run at every build: writes the commit into a header, and touches it only when it has changed. The
# commit is what -DGEMBENCH_GIT says, else git, else what 'git archive' wrote beside this file.
set(commit "${GEMBENCH_GIT}")
set(ENV{GIT_OPTIONAL_LOCKS} 0)  # sources may be read-only, and another's
set(git git -c safe.directory=${SOURCE_DIR})
if(NOT commit)
  # Not that of a repository that the sources were unpacked into.
  execute_process(COMMAND ${git} rev-parse --show-toplevel
                  WORKING_DIRECTORY ${SOURCE_DIR}
                  OUTPUT_VARIABLE top OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  file(REAL_PATH ${SOURCE_DIR} source)
  if(top STREQUAL source)
    execute_process(COMMAND ${git} describe --always --dirty
                    WORKING_DIRECTORY ${SOURCE_DIR}
                    OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
endif()
if(NOT commit)
  file(STRINGS ${CMAKE_CURRENT_LIST_DIR}/git_commit.txt commit LIMIT_COUNT 1)
  if(commit MATCHES "Format:")  # as it stands in a clone
    set(commit unknown)
  endif()
endif()
file(CONFIGURE OUTPUT ${HEADER} CONTENT "#define GEMBENCH_GIT \"${commit}\"\n")
