#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "moe_layer/mpi/comm.hpp"
#include "results/run_file.hpp"

namespace gembench::inline run {

/// Who runs this, and where: what --anonymous keeps out of files.
struct Identity {
  std::string home, user;          ///< empty: unknown
  std::vector<std::string> hosts;  ///< different ones, in the order of their first ranks
};
/// Collective: this process's, with the hosts of all ranks.
[[nodiscard]] Identity identity_of(const Comm& comm);

/// The home folder becomes `~`, a folder called like the user `user`, and a host `hostN`, with its
/// domain, where it stands as a word. Strategies, options and numbers stay.
[[nodiscard]] std::string anonymous(std::string_view text, const Identity& identity);

/// Facts by rank: hosts become host0, host1, ... and GPUs gpu0, gpu1, ... in the order of their
/// first ranks, so that it stays known who shares what. Other texts as anonymous(), and
/// `anonymous` is `yes`.
void anonymise(std::map<std::string, std::vector<std::string>>& rank_facts,
               const Identity& identity);
/// Also every text about the run; its environment without what names the job, its nodes or GPUs.
void anonymise(RunInfo& info, const Identity& identity);
/// What the check says of a placement's file.
void anonymise(RunEnd& end, const Identity& identity);

}  // namespace gembench::inline run
