// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/at_rest.h"

#include <memory>

#include "agent/supervisor/driver_calls.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace diskd::agent {

// The driver has let everything go before it answered; only the process has to end.
constexpr absl::Duration kShortShutdownLimit = absl::Seconds(5);

absl::StatusOr<diskd::driver::v1::FeatureResponse> CallAtRest(
    const Environment& environment, const VolumeRecord& volume,
    const diskd::driver::v1::FeatureRequest& request, int slot, absl::Duration limit) {
  ASSIGN_OR_RETURN(const std::unique_ptr<DriverProcess> process,
                   environment.launcher->Launch(volume.id(), volume.driver(), slot));
  auto response = [&] {
    const StoppableCalls::Call call(environment.stoppable_calls, process.get());
    return CallFeature(*process, request, limit);
  }();
  const absl::Status ended = ShutDown(*process, kShortShutdownLimit);
  if (response.ok() && !ended.ok()) {
    SPDLOG_WARN("volume {}: driver process {} ended badly: {}", volume.id(), process->pid(),
                std::string(ended.message()));
  }
  if (!response.ok()) return environment.stoppable_calls->ForCaller(response.status());
  return response;
}

}  // namespace diskd::agent
