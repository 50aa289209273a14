#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "placement/speeds/profile.hpp"

namespace gembench::inline speeds {

/// Names of the built-in profiles, DEVICE/MODEL or DEVICE/MODEL/local, as builtin_profile takes
/// them. Devices are l40s and h100.
[[nodiscard]] std::vector<std::string> builtin_profile_names();

/// A reference profile of `ranks` equally fast ranks; slowdowns come on top (apply_slowdown).
/// Facts measured by others, with their source in builtin_latencies.cpp.
///
/// DEVICE/MODEL is a rank's latency as measured, with the experts spread over the same number of
/// ranks, or the nearest measured number (by ratio; the smaller of two). A load is what balanced
/// routing gives a rank: step tokens * top-k / ranks; steps whose load is not whole are left out.
/// The measured kernel received the tokens of all ranks and skipped those of others, which takes
/// time too: with many ranks and large loads more than the experts' own work. A layer whose ranks
/// get only their own tokens does not have this cost.
///
/// DEVICE/MODEL/local estimates such a layer (ours): as measured up to 64 tokens per step, where
/// the others' tokens cost nothing; above that it grows by 1/ranks of the time of the same step on
/// one rank with all experts, for which every token is its own.
///
/// hunyuan-a13b was not measured: a roofline of ours, scaled from qwen3-235b-a22b. An expert has
/// the same hidden width and twice the inner one and there are half as many, so a load of n costs
/// the weights to read and the operations of 2n. deepseek-v3 is fp8 and gpt-oss-20b has mxfp4
/// weights, the others are bf16: `model` says which. Shared experts are in none of them.
///
/// Latency without load repeats that of the smallest load measured (ours); spread and overhead are
/// 0, since the source has no values. Usage error for an unknown name (listing the known names) or
/// fewer than 1 rank.
[[nodiscard]] Profile builtin_profile(std::string_view name, int ranks);

}  // namespace gembench::inline speeds
