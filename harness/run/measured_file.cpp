#include "harness/run/measured_file.hpp"

#include <utility>

#include "harness/cli/version.hpp"
#include "harness/run/anonymous.hpp"
#include "harness/run/devices.hpp"
#include "harness/run/run_facts.hpp"
#include "harness/run/state_sampler.hpp"

namespace gembench::inline run {

MeasuredFile measure_file(Session& session, bool anonymous,
                          const std::function<MeasuredProfile()>& measure) {
  const Comm& comm = session.comm;
  MeasuredFile result;
  ProfileFile& file = result.file;
  file.measured = utc_now();
  file.program = program_version();
  file.rank_facts = device_identities(comm, *session.device, session.place);
  // The way that is the fastest here and now, for those who compare the times.
  const auto facts = session.device->facts();
  if (const auto products = facts.find("expert_products"); products != facts.end()) {
    file.rank_facts[products->first] = comm.gather(products->second);
  }
  if (anonymous) anonymise(file.rank_facts, identity_of(comm));
  file.before = read_all_states(comm, *session.device);
  result.before = read_quiet(session);
  const QuietMeter meter(session);
  StateSampler sampler([&device = *session.device] { return device.state(); });
  const double begin = wall_seconds();
  MeasuredProfile measured = measure();
  if (sampler.reports()) {  // all ranks have one kind of device
    std::vector<StateSample> samples = sampler.take();
    for (StateSample& sample : samples) sample.time -= begin;
    file.series = gather_samples(comm, std::move(samples));
  }
  if (const auto use = sampler.finish()) {
    result.gpu_during = comm.gather(std::span<const GpuUse>(&*use, 1));
  }
  file.after = read_all_states(comm, *session.device);
  meter.finish(result.during);
  result.after = read_quiet(session);
  file.profile = std::move(measured.profile);
  file.samples = std::move(measured.samples);
  file.warmup_rounds = measured.warmup_rounds;
  file.warm = measured.warm;
  file.tight = measured.tight;
  file.seconds = measured.seconds;
  return result;
}

}  // namespace gembench::inline run
