// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor/driver_calls.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace diskd::agent {

using diskd::driver::v1::Request;

namespace {

diskd::driver::v1::Transport ForDriver(diskd::v1::Transport transport) {
  return transport == diskd::v1::TRANSPORT_BUSE ? diskd::driver::v1::TRANSPORT_BUSE
                                                : diskd::driver::v1::TRANSPORT_FUSE;
}

std::vector<int> Numbers(const std::vector<Fd>& descriptors) {
  std::vector<int> numbers;
  for (const Fd& fd : descriptors) numbers.push_back(fd.get());
  return numbers;
}

}  // namespace

// How long a driver that has answered the shutdown may take to exit.
constexpr absl::Duration kExitLimit = absl::Seconds(5);

absl::Status Provision(DriverProcess& process, const diskd::driver::v1::VolumeConfig& config,
                       const diskd::driver::v1::VolumeConfig* source, const std::string& snapshot) {
  Request request;
  *request.mutable_provision()->mutable_config() = config;
  if (source != nullptr) {
    *request.mutable_provision()->mutable_source() = *source;
    request.mutable_provision()->set_source_snapshot(snapshot);
  }
  return process.Call(request, {}, kProvisionLimit).status();
}

absl::Status Copy(DriverProcess& process, const diskd::driver::v1::VolumeConfig& config,
                  const diskd::driver::v1::VolumeConfig& source, const std::string& snapshot) {
  Request request;
  *request.mutable_provision()->mutable_config() = config;
  *request.mutable_provision()->mutable_source() = source;
  request.mutable_provision()->set_source_snapshot(snapshot);
  request.mutable_provision()->set_full_copy(true);
  return process.Call(request, {}, absl::InfiniteDuration()).status();
}

absl::Status Deprovision(DriverProcess& process, const diskd::driver::v1::VolumeConfig& config) {
  Request request;
  *request.mutable_deprovision()->mutable_config() = config;
  return process.Call(request, {}, kProvisionLimit).status();
}

absl::StatusOr<diskd::driver::v1::Geometry> OpenVolume(
    DriverProcess& process, const diskd::driver::v1::VolumeConfig& config, OpenAs as) {
  Request request;
  *request.mutable_open()->mutable_config() = config;
  request.mutable_open()->set_standby(as == OpenAs::kStandby);
  request.mutable_open()->set_successor(as != OpenAs::kFirst);
  request.mutable_open()->set_tell_progress(true);
  ASSIGN_OR_RETURN(const DriverAnswer answer, process.Call(request, {}, kOpenLimit));
  const diskd::driver::v1::Geometry& geometry = answer.response.open().geometry();
  // More than recorded: a change of size that was not completed; what it adds is not shown yet.
  const bool growing = as != OpenAs::kFirst && geometry.size_bytes() > config.size_bytes();
  if (geometry.size_bytes() != config.size_bytes() && !growing) {
    return absl::FailedPreconditionError(absl::StrCat(
        "volume ", config.volume_id(), " has ", config.size_bytes(),
        " bytes, but its backing store has ", geometry.size_bytes(),
        as == OpenAs::kFirst ? ": `" : ": detach it with --force, then `", "diskctl volume resize ",
        config.volume_id(), " ", geometry.size_bytes(), "B` makes that its size"));
  }
  return geometry;
}

absl::Status Serve(DriverProcess& process, diskd::v1::Transport transport,
                   const std::vector<Fd>& descriptors, bool resend, uid_t user) {
  Request request;
  request.mutable_serve()->set_transport(ForDriver(transport));
  request.mutable_serve()->set_resend(resend);
  request.mutable_serve()->set_user(user);
  return process.Call(request, Numbers(descriptors), kServeLimit).status();
}

absl::Status Standby(DriverProcess& process, diskd::v1::Transport transport,
                     const std::vector<Fd>& descriptors, uid_t user) {
  Request request;
  request.mutable_standby()->set_transport(ForDriver(transport));
  request.mutable_standby()->set_user(user);
  return process.Call(request, Numbers(descriptors), kServeLimit).status();
}

absl::Status TakeOver(DriverProcess& successor, Fd socket) {
  Request request;
  request.mutable_take_over();
  // No limit of its own: the call ends when the other side's does, or the successor.
  return successor.Call(request, {socket.get()}, absl::InfiniteDuration()).status();
}

absl::Status HandOver(DriverProcess& process, Fd socket, const std::vector<Fd>& spare) {
  Request request;
  request.mutable_hand_over();
  std::vector<int> numbers = Numbers(spare);
  numbers.insert(numbers.begin(), socket.get());
  return process.Call(request, numbers, kHandOverLimit).status();
}

absl::StatusOr<diskd::driver::v1::StatusResponse> GetStatus(DriverProcess& process,
                                                            absl::Duration limit) {
  Request request;
  request.mutable_status();
  ASSIGN_OR_RETURN(const DriverAnswer answer, process.Call(request, {}, limit));
  return answer.response.status();
}

absl::StatusOr<std::vector<Fd>> GetDescriptors(DriverProcess& process) {
  Request request;
  request.mutable_descriptors();
  ASSIGN_OR_RETURN(DriverAnswer answer, process.Call(request, {}, kStatusLimit));
  if (answer.descriptors.empty() ||
      answer.descriptors.size() != answer.response.descriptors().count()) {
    return absl::InternalError(absl::StrCat("driver process ", process.pid(), " announced ",
                                            answer.response.descriptors().count(),
                                            " descriptors and sent ", answer.descriptors.size()));
  }
  return std::move(answer.descriptors);
}

absl::Status Ping(DriverProcess& process, absl::Duration limit, std::string* failure,
                  std::string* trouble) {
  Request request;
  request.mutable_ping();
  ASSIGN_OR_RETURN(const DriverAnswer answer, process.Call(request, {}, limit));
  const diskd::driver::v1::PingResponse& ping = answer.response.ping();
  if (failure != nullptr) *failure = ping.failure();
  if (trouble == nullptr) return absl::OkStatus();
  *trouble = ping.trouble().empty()
                 ? ""
                 : absl::StrCat("since ",
                                absl::FormatTime("%Y-%m-%dT%H:%M:%SZ",
                                                 absl::FromUnixSeconds(ping.trouble_since_unix()),
                                                 absl::UTCTimeZone()),
                                ": ", ping.trouble());
  return absl::OkStatus();
}

absl::StatusOr<diskd::driver::v1::FeatureResponse> CallFeature(
    DriverProcess& process, const diskd::driver::v1::FeatureRequest& feature,
    absl::Duration limit) {
  Request request;
  *request.mutable_feature() = feature;
  ASSIGN_OR_RETURN(DriverAnswer answer, process.Call(request, {}, limit));
  return std::move(*answer.response.mutable_feature());
}

absl::Status ShutDown(DriverProcess& process, absl::Duration limit) {
  Request request;
  request.mutable_shutdown();
  const absl::Status status = process.Call(request, {}, limit).status();
  if (status.ok() && process.WaitExit(kExitLimit)) return absl::OkStatus();
  if (!process.Kill()) {
    return absl::InternalError(
        absl::StrCat("driver process ", process.pid(), " hangs in the kernel and can't be killed"));
  }
  return status;
}

}  // namespace diskd::agent
