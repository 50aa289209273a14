# Proofs of the comparison and of what survives a kill, in short forms: slow, so only with
# tests/run.sh --slow.
# gembench_add_proof(NAME n SCRIPT file.py ARGS ...)
function(gembench_add_proof)
  cmake_parse_arguments(T "" "NAME;SCRIPT" "ARGS" ${ARGN})
  # Debian's h5py belongs to /usr/bin/python3, whatever python3 comes first on the PATH.
  add_test(NAME ${T_NAME}
           COMMAND /usr/bin/python3 ${CMAKE_CURRENT_LIST_DIR}/${T_SCRIPT} ${T_ARGS})
  set_tests_properties(${T_NAME} PROPERTIES TIMEOUT ${GEMBENCH_LONG_LIMIT} LABELS slow RUN_SERIAL ON
                       ENVIRONMENT "GEMBENCH=$<TARGET_FILE:gembench>")
endfunction()

# Reads no clock.
add_test(NAME bench.coverage COMMAND /usr/bin/python3 ${CMAKE_CURRENT_LIST_DIR}/coverage.py --build
                                     ${CMAKE_BINARY_DIR})
set_tests_properties(bench.coverage PROPERTIES TIMEOUT ${GEMBENCH_PROGRAM_LIMIT} LABELS full)

add_test(NAME bench.accusations COMMAND /usr/bin/python3 ${CMAKE_CURRENT_LIST_DIR}/accusations.py
                                        --build ${CMAKE_BINARY_DIR} --runs 200)
set_tests_properties(bench.accusations PROPERTIES TIMEOUT ${GEMBENCH_PROGRAM_LIMIT} LABELS full)

gembench_add_proof(NAME bench.verdicts SCRIPT verdicts.py ARGS --runs 2)
gembench_add_proof(NAME bench.aa SCRIPT aa.py ARGS --runs 5)
gembench_add_proof(NAME bench.planted SCRIPT planted.py ARGS --runs 5)
gembench_add_proof(NAME bench.predictions SCRIPT predictions.py
                   ARGS --small --runs 1 --copies 4 --no-bars)
gembench_add_proof(NAME bench.kills SCRIPT kills.py)
gembench_add_proof(NAME bench.adapt SCRIPT adapt.py ARGS --runs 2 --quiet-runs 1)

# That the planner's quality bench runs and its placements keep above their bounds; what its bars say
# of a few cases is no verdict.
gembench_add_proof(NAME bench.planner SCRIPT planner_quality.py ARGS --quick --no-bars)
# What spare slots and replicas are worth; few layers, so bars say nothing here either.
gembench_add_proof(NAME bench.planner_beyond SCRIPT planner_beyond.py
                   ARGS --layers 1 --no-bars)
