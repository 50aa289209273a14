#pragma once

namespace gembench::inline run {

/// Starts this program again with the same arguments, without randomised addresses, or returns:
/// where they are fixed already, or the system does not allow it. Before MPI starts. Where code and
/// data happen to lie makes a process slower for as long as it lives. Measured on an AMD EPYC: with
/// random addresses equal ranks differ by 1 to 3 %, and 3 of 220 by 13 to 15 %; with fixed ones by
/// 0.5 %. Google Benchmark does the same (MaybeReenterWithoutASLR).
void reenter_with_fixed_addresses(char** argv);

}  // namespace gembench::inline run
