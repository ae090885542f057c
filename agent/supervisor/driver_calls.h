// SPDX-License-Identifier: Apache-2.0
//
// diskd.driver.v1 as functions, each with the limit that fits it. Errors: DriverProcess::Call.
#ifndef DISKD_AGENT_SUPERVISOR_DRIVER_CALLS_H_
#define DISKD_AGENT_SUPERVISOR_DRIVER_CALLS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/supervisor/driver_process.h"

namespace diskd::agent {

// May write a whole backing store.
inline constexpr absl::Duration kProvisionLimit = absl::Minutes(30);
inline constexpr absl::Duration kOpenLimit = absl::Seconds(30);
inline constexpr absl::Duration kServeLimit = absl::Seconds(20);
inline constexpr absl::Duration kStatusLimit = absl::Seconds(3);
// I/O stands still meanwhile: a driver that takes longer to finish what it holds has to be replaced
// as a hung one is.
inline constexpr absl::Duration kHandOverLimit = absl::Seconds(5);
// A driver gives up after 40 s (drivers/sdk/features.h); nobody else hears from it meanwhile.
inline constexpr absl::Duration kServingFeatureLimit = absl::Seconds(60);
// With the opening and closing of the volume, each of which may have to wait for a store.
inline constexpr absl::Duration kRestingFeatureLimit = absl::Minutes(3);
// Reads everything.
inline constexpr absl::Duration kCheckLimit = absl::Hours(24);
// Flushes what the driver holds in memory.
inline constexpr absl::Duration kShutdownLimit = absl::Seconds(60);

// `source`: nullptr, or the volume whose snapshot it begins as.
absl::Status Provision(DriverProcess& process, const diskd::driver::v1::VolumeConfig& config,
                       const diskd::driver::v1::VolumeConfig* source, const std::string& snapshot);
// As long as it takes.
absl::Status Copy(DriverProcess& process, const diskd::driver::v1::VolumeConfig& config,
                  const diskd::driver::v1::VolumeConfig& source, const std::string& snapshot);
absl::Status Deprovision(DriverProcess& process, const diskd::driver::v1::VolumeConfig& config);
enum class OpenAs {
  kFirst,      // nobody uses the volume yet
  kSuccessor,  // of a process that has died
  kStandby,    // of one that serves, which is to hand over
};
absl::StatusOr<diskd::driver::v1::Geometry> OpenVolume(
    DriverProcess& process, const diskd::driver::v1::VolumeConfig& config, OpenAs as);
absl::Status Serve(DriverProcess& process, diskd::v1::Transport transport,
                   const std::vector<Fd>& descriptors, bool resend, uid_t user);
absl::Status Standby(DriverProcess& process, diskd::v1::Transport transport,
                     const std::vector<Fd>& descriptors, uid_t user);
// The two ends of one socket pair. Each is closed here with the end of its call, by which a
// process learns that the other is gone.
absl::Status TakeOver(DriverProcess& successor, Fd socket);
absl::Status HandOver(DriverProcess& process, Fd socket, const std::vector<Fd>& spare);
absl::StatusOr<diskd::driver::v1::StatusResponse> GetStatus(DriverProcess& process,
                                                            absl::Duration limit = kStatusLimit);
absl::StatusOr<std::vector<Fd>> GetDescriptors(DriverProcess& process);
// `failure`: why every request fails; empty: they don't. `trouble`: what keeps the driver from its
// backing store, and since when; empty: nothing.
absl::Status Ping(DriverProcess& process, absl::Duration limit, std::string* failure = nullptr,
                  std::string* trouble = nullptr);

// What only some drivers can do; UNIMPLEMENTED names the one that can't.
absl::StatusOr<diskd::driver::v1::FeatureResponse> CallFeature(
    DriverProcess& process, const diskd::driver::v1::FeatureRequest& request, absl::Duration limit);

// Asks for a durable end, then makes sure of the end: at the limit the process is killed. Error:
// the last writes may not be durable; the process is gone all the same (or hangs in the kernel).
absl::Status ShutDown(DriverProcess& process, absl::Duration limit = kShutdownLimit);

}  // namespace diskd::agent

#endif  // DISKD_AGENT_SUPERVISOR_DRIVER_CALLS_H_
