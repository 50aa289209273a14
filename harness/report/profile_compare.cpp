#include "harness/report/profile_compare.hpp"

#include <fmt/format.h>

#include <cmath>

#include "harness/run/byte_costs.hpp"
#include "harness/run/same_run.hpp"
#include "harness/run/workload.hpp"
#include "placement/base/error.hpp"
#include "placement/exchange/placement_formats.hpp"
#include "placement/speeds/profile_dents.hpp"
#include "placement/strategies/replan.hpp"
#include "results/trace_file.hpp"

namespace gembench::inline report {
namespace {

std::vector<std::string> other_machine(const ProfileFile& old, const ProfileFile& now,
                                       const std::string& old_name) {
  std::vector<std::string> differences;
  if (old.rank_facts.empty()) return {old_name + " does not say which machine it was measured on"};
  constexpr std::pair<const char*, const char*> kFacts[] = {
      {"host", "node"}, {"device_name", "device"}, {"device_id", "device number"}};
  const bool anonymous =
      old.rank_facts.contains("anonymous") != now.rank_facts.contains("anonymous");
  if (anonymous) {
    differences.push_back(old_name +
                          " cannot say whether nodes are the same: one of the two is --anonymous");
  }
  for (const auto& [name, word] : kFacts) {
    if (anonymous && name != std::string_view("device_name")) continue;
    const auto before = old.rank_facts.find(name), after = now.rank_facts.find(name);
    if (before == old.rank_facts.end() || after == now.rank_facts.end()) continue;
    for (std::size_t rank = 0; rank < before->second.size(); ++rank) {
      if (before->second[rank] == after->second[rank]) continue;
      differences.push_back(fmt::format("rank {} is another {} now: {}, then {}", rank, word,
                                        after->second[rank], before->second[rank]));
    }
  }
  if (const auto other = other_known_products(old.rank_facts, now.rank_facts)) {
    differences.push_back(
        fmt::format("{} changed: {} now, {} then", other->what, other->mine, other->earlier));
  }
  return differences;
}

ReplanVerdict replan_verdict(const ProfileCommand& options, const Profile& now) {
  const ReplanQuestion asked = read_replan_question(options, now);
  const int even_share = (asked.placement.experts + now.ranks - 1) / now.ranks;
  const Replan found =
      replan(asked.placement, asked.loads, cost_model(options.cost, now, even_share), asked.how);
  ReplanVerdict verdict{found.before, found.after, found.cost(), 0, false};
  for (const ExpertSwap& swap : found.swaps) verdict.moves += swap.moves();
  verdict.pays = !found.swaps.empty() && found.before - found.after > kLeastSaved * found.before;
  return verdict;
}

/// "10.2 % slower"
std::string by(double share) {
  return fmt::format("{:.1f} % {}", std::abs(share) * 100, share >= 0 ? "slower" : "faster");
}

std::string who(const ProfileFile& file, std::size_t rank) {
  const auto hosts = file.rank_facts.find("host");
  return hosts == file.rank_facts.end() ? fmt::format("rank {}", rank)
                                        : fmt::format("rank {} ({})", rank, hosts->second[rank]);
}

void say_speeds(const ProfileFile& now, std::vector<std::string>& sentences) {
  const auto speeds = judge_speeds(now.profile, now.samples);
  const std::size_t before = sentences.size();
  for (std::size_t rank = 0; rank < speeds.size(); ++rank) {
    const RankSpeed& speed = speeds[rank];
    if (speed.slow) {
      const double emulated = now.profile.slowdown[rank];
      sentences.push_back(fmt::format(
          "{} is slow: {} than the median rank (uncertainty {:.1f} %){}", who(now, rank),
          by(speed.slower), speed.noise * 100, emulated > 1 ? ", emulated" : ""));
    }
    if (speed.fail_slow) {
      sentences.push_back(
          fmt::format("{} is fail-slow: {} late in the measurement than early, relative to the "
                      "median rank (uncertainty {:.1f} %)",
                      who(now, rank), by(speed.slowing), speed.slowing_noise * 100));
    }
  }
  if (sentences.size() == before) {
    sentences.push_back(
        fmt::format("no rank is slow by more than {:g} % and beyond noise", kNamed * 100));
  }
}

void say_drift(const ProfileFile& now, const ProfileComparison& comparison,
               std::vector<std::string>& sentences) {
  const ProfileDrift& drift = comparison.drift;
  const std::string& old = comparison.old_file;
  if (drift.shared) {
    sentences.push_back(fmt::format("all ranks are {} than in {}", by(drift.common), old));
  }
  const std::size_t before = sentences.size();
  for (std::size_t rank = 0; rank < drift.ranks.size(); ++rank) {
    const RankDrift& one = drift.ranks[rank];
    if (!one.drifted) continue;
    sentences.push_back(fmt::format(
        "{} {}: {} than in {} against the median rank (by itself {:+.1f} %, 95 % {:+.1f} .. "
        "{:+.1f} %)",
        who(now, rank), one.relative > 0 ? "is fail-slow" : "drifted", by(one.relative), old,
        one.change * 100, one.low * 100, one.high * 100));
  }
  if (sentences.size() == before) {
    sentences.push_back(
        fmt::format("no rank drifted by more than {:g} % and beyond noise ({:.1f} "
                    "%) since {}",
                    kNamed * 100, drift.noise * 100, old));
  }
}

std::string say_replan(const ReplanVerdict& replan) {
  const double saved = replan.before - replan.after;
  const std::string what = fmt::format(
      "{} moves save {:.1f} us of {:.1f} us a step ({:.2f} %) by the new profile", replan.moves,
      saved * 1e6, replan.before * 1e6, replan.before > 0 ? saved / replan.before * 100 : 0);
  if (!replan.pays) {
    return replan.moves == 0
               ? "a replan does not pay: no move saves more within the horizon than it costs"
               : fmt::format("a replan does not pay: {}, too little to be certain", what);
  }
  return fmt::format("a replan pays: {}{}", what,
                     replan.cost > 0 ? fmt::format(" and earn their {:.3f} ms after {:.0f} steps",
                                                   replan.cost * 1e3, replan.cost / saved)
                                     : "; the cost of moving is unknown: add --bandwidth");
}

}  // namespace

ReplanQuestion read_replan_question(const ProfileCommand& options, const Profile& now) {
  ReplanQuestion asked;
  asked.loads = read_trace(options.trace);
  asked.placement = read_placement_for(options.placement, asked.loads, now.ranks);
  asked.how = options.replan;
  asked.how.move_seconds = move_seconds(options, now.model);
  return asked;
}

ProfileComparison compare_profiles(const ProfileCommand& options, const ProfileFile& old,
                                   const ProfileFile& now) {
  ProfileComparison comparison;
  comparison.old_file = options.compare;
  comparison.drift = drift_between({old.profile, old.samples}, {now.profile, now.samples});
  comparison.other_machine = other_machine(old, now, options.compare);
  if (!options.placement.empty()) comparison.replan = replan_verdict(options, now.profile);
  return comparison;
}

std::vector<std::string> findings(const ProfileFile& now,
                                  const std::optional<ProfileComparison>& comparison) {
  std::vector<std::string> sentences;
  say_speeds(now, sentences);
  for (const auto& dent : say_dents(now.profile, now.samples)) sentences.push_back(dent);
  if (!comparison) return sentences;
  sentences.insert(sentences.end(), comparison->other_machine.begin(),
                   comparison->other_machine.end());
  say_drift(now, *comparison, sentences);
  if (comparison->replan) sentences.push_back(say_replan(*comparison->replan));
  return sentences;
}

}  // namespace gembench::inline report
