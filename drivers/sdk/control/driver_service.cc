// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/control/driver_service.h"

#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "drivers/sdk/control/convert.h"
#include "drivers/sdk/control/feature_request.h"
#include "drivers/sdk/control/hand_over.h"
#include "drivers/sdk/geometry.h"
#include "drivers/sdk/transport/buse_server.h"
#include "drivers/sdk/transport/fuse_server.h"

namespace diskd::sdk {
namespace {

// For the time in which `reply` lives.
VolumeConfig::TellOpening TellAhead(const ControlReply& reply) {
  if (reply.send_ahead == nullptr) return nullptr;
  return [&reply](const OpeningProgress& opening) {
    driver::v1::Response response;
    response.mutable_progress()->set_steps(opening.steps);
    response.mutable_progress()->set_doing(opening.doing);
    response.mutable_progress()->set_expected_s(absl::ToInt64Seconds(opening.expected));
    reply.send_ahead(response);
  };
}

}  // namespace

DriverService::~DriverService() { Shutdown(); }

void DriverService::Handle(const driver::v1::Request& request, std::vector<Fd> fds,
                           ControlReply& reply) {
  driver::v1::Response& response = reply.response;
  absl::Status status;
  switch (request.request_case()) {
    case driver::v1::Request::kPing:
      if (threads_ != nullptr && !threads_->running()) {
        status = absl::UnavailableError(
            absl::StrCat("a queue of volume ", config_.volume_id, " is served no more"));
      } else {
        FillPing(*response.mutable_ping());
      }
      break;
    case driver::v1::Request::kProvision:
      status = Provision(request.provision());
      if (status.ok()) response.mutable_provision();
      break;
    case driver::v1::Request::kDeprovision:
      status = Deprovision(request.deprovision().config());
      if (status.ok()) response.mutable_deprovision();
      break;
    case driver::v1::Request::kOpen:
      status = Open(request.open(), reply);
      if (status.ok()) *response.mutable_open()->mutable_geometry() = ToProto(geometry_);
      break;
    case driver::v1::Request::kServe:
      status = Serve(request.serve(), std::move(fds));
      if (status.ok()) response.mutable_serve();
      break;
    case driver::v1::Request::kStandby:
      status = Standby(request.standby(), std::move(fds));
      if (status.ok()) response.mutable_standby();
      break;
    case driver::v1::Request::kTakeOver:
      status = TakeOver(std::move(fds));
      if (status.ok()) response.mutable_take_over();
      break;
    case driver::v1::Request::kHandOver:
      status = HandOver(std::move(fds));
      if (status.ok()) response.mutable_hand_over();
      break;
    case driver::v1::Request::kFeature:
      status = Feature(request.feature(), reply);
      break;
    case driver::v1::Request::kStatus:
      FillStatus(*response.mutable_status());
      break;
    case driver::v1::Request::kDescriptors:
      for (const Fd& fd : fuse_fds_) reply.fds.push_back(fd.get());
      response.mutable_descriptors()->set_count(static_cast<uint32_t>(fuse_fds_.size()));
      break;
    case driver::v1::Request::kShutdown:
      Shutdown();
      response.mutable_shutdown();
      reply.stop = true;
      break;
    case driver::v1::Request::REQUEST_NOT_SET:
      status = absl::UnimplementedError(absl::StrCat(
          "driver ", definition_.name,
          " does not know this request: it is older than the agent, upgrade the driver"));
      break;
  }
  SetStatus(status, response);
}

absl::Status DriverService::Provision(const driver::v1::ProvisionRequest& request) {
  ASSIGN_OR_RETURN(const VolumeConfig volume, FromProto(request.config(), definition_));
  if (request.has_source() && request.full_copy()) {
    if (definition_.copy == nullptr) {
      return absl::UnimplementedError(
          absl::StrCat("driver ", definition_.name, " does not have copies"));
    }
    ASSIGN_OR_RETURN(const VolumeConfig source, FromProto(request.source(), definition_));
    return definition_.copy(volume, source, request.source_snapshot());
  }
  if (request.has_source()) {
    if (definition_.clone == nullptr) {
      return absl::UnimplementedError(
          absl::StrCat("driver ", definition_.name, " does not have clones"));
    }
    ASSIGN_OR_RETURN(const VolumeConfig source, FromProto(request.source(), definition_));
    return definition_.clone(volume, source, request.source_snapshot());
  }
  return definition_.provision == nullptr ? absl::OkStatus() : definition_.provision(volume);
}

absl::Status DriverService::Deprovision(const driver::v1::VolumeConfig& config) {
  ASSIGN_OR_RETURN(const VolumeConfig volume, FromProto(config, definition_));
  if (driver_ != nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("volume ", config_.volume_id, " is open in this process: shut it down first"));
  }
  return definition_.deprovision == nullptr ? absl::OkStatus() : definition_.deprovision(volume);
}

absl::Status DriverService::Open(const driver::v1::OpenRequest& request,
                                 const ControlReply& reply) {
  ASSIGN_OR_RETURN(VolumeConfig volume, FromProto(request.config(), definition_));
  volume.standby = request.standby();
  volume.successor = request.successor();
  if (driver_ != nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("volume ", config_.volume_id, " is open in this process already"));
  }
  if (request.tell_progress()) volume.tell_opening = TellAhead(reply);
  ASSIGN_OR_RETURN(std::unique_ptr<Driver> driver, definition_.open(volume));
  volume.tell_opening = nullptr;
  const Geometry geometry = driver->geometry();
  RETURN_IF_ERROR(CheckGeometry(geometry));
  driver_ = std::move(driver);
  geometry_ = geometry;
  config_ = std::move(volume);
  return absl::OkStatus();
}

absl::Status DriverService::Feature(const driver::v1::FeatureRequest& request,
                                    ControlReply& reply) {
  if (driver_ != nullptr && request.config().volume_id() != config_.volume_id) {
    return absl::FailedPreconditionError(absl::StrCat("volume ", config_.volume_id,
                                                      " is open in this process, not ",
                                                      request.config().volume_id()));
  }
  ASSIGN_OR_RETURN(*reply.response.mutable_feature(),
                   AnswerFeature(request, definition_, driver_.get(),
                                 request.tell_progress() ? TellAhead(reply) : nullptr));
  return absl::OkStatus();
}

absl::Status DriverService::CheckIdle(const std::vector<Fd>& fds) const {
  if (driver_ == nullptr) {
    return absl::FailedPreconditionError("no volume is open in this process: open one first");
  }
  if (threads_ != nullptr && threads_->running()) {
    return absl::FailedPreconditionError(
        absl::StrCat("volume ", config_.volume_id, " is being served already"));
  }
  if (fds.empty()) return absl::InvalidArgumentError("the request came without descriptors");
  return absl::OkStatus();
}

absl::Status DriverService::OpenQueues(driver::v1::Transport transport, std::vector<Fd> fds,
                                       bool standby) {
  StopThreads();
  fuse_fds_.clear();
  transport_ = transport;
  std::vector<std::unique_ptr<QueueTransport>> queues;
  for (size_t i = 0; i < fds.size(); ++i) {
    const int index = static_cast<int>(i);
    if (transport == driver::v1::TRANSPORT_FUSE) {
      queues.push_back(std::make_unique<FuseQueueServer>(fds[i].get(), index, *driver_));
    } else if (transport == driver::v1::TRANSPORT_BUSE) {
      queues.push_back(std::make_unique<BuseQueueServer>(
          std::make_unique<KernelBuseQueue>(std::move(fds[i]), standby), index, *driver_));
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("transport ", transport, " is unknown; FUSE and BUSE are known"));
    }
  }
  ASSIGN_OR_RETURN(threads_, QueueThreads::Open(std::move(queues)));
  if (transport == driver::v1::TRANSPORT_FUSE) fuse_fds_ = std::move(fds);
  return absl::OkStatus();
}

absl::Status DriverService::LeaveRoot(uint32_t user) {
  return become_user_ == nullptr ? absl::OkStatus() : become_user_(user);
}

absl::Status DriverService::Serve(const driver::v1::ServeRequest& request, std::vector<Fd> fds) {
  RETURN_IF_ERROR(CheckIdle(fds));
  if (config_.standby) {
    return absl::FailedPreconditionError(absl::StrCat(
        "volume ", config_.volume_id, " was opened for a take-over: it can't be served otherwise"));
  }
  // Before anybody reads: what our own threads had read by then would be sent again as well, and
  // of two executions of one write the first may finish last, on top of a newer one.
  if (request.resend() && request.transport() == driver::v1::TRANSPORT_FUSE) {
    RETURN_IF_ERROR(RequestFuseResend(fds[0].get()));
  }
  RETURN_IF_ERROR(OpenQueues(request.transport(), std::move(fds), /*standby=*/false));
  const absl::Status left = LeaveRoot(request.user());
  if (!left.ok()) {
    threads_.reset();
    return left;
  }
  threads_->Go();
  return absl::OkStatus();
}

absl::Status DriverService::Standby(const driver::v1::StandbyRequest& request,
                                    std::vector<Fd> fds) {
  RETURN_IF_ERROR(CheckIdle(fds));
  if (!config_.standby) {
    return absl::FailedPreconditionError(
        absl::StrCat("volume ", config_.volume_id, " was not opened for a take-over"));
  }
  user_ = request.user();
  return OpenQueues(request.transport(), std::move(fds), /*standby=*/true);
}

absl::Status DriverService::TakeOver(std::vector<Fd> fds) {
  if (threads_ == nullptr || threads_->running() || fds.size() != 1) {
    return absl::FailedPreconditionError("take-over without a standby, or without a socket");
  }
  absl::Status status = AwaitOffer(fds[0].get());
  if (!status.ok()) return status;
  status = driver_->TakeOver();
  if (status.ok()) status = LeaveRoot(user_);
  if (status.ok()) {
    threads_->Go();
    config_.standby = false;
  } else {
    // The other one takes back what it let go: nothing of it may be ours any more.
    Shutdown();
  }
  AnswerOffer(fds[0].get(), status);
  return status;
}

absl::Status DriverService::HandOver(std::vector<Fd> fds) {
  if (threads_ == nullptr || !threads_->running() || fds.empty()) {
    return absl::FailedPreconditionError("nothing is served that could be handed over");
  }
  // What waits for its store is never answered, and the threads would not stop before.
  if (const std::optional<Trouble> trouble = driver_->trouble(); trouble.has_value()) {
    return absl::UnavailableError(absl::StrCat("not while I/O may wait: ", trouble->reason));
  }
  const Fd socket = std::move(fds[0]);
  fds.erase(fds.begin());
  StopThreads();
  absl::Status status = driver_->LetGo();
  if (status.ok()) status = OfferDisk(socket.get());
  if (status.ok()) {
    Shutdown();
    return status;
  }
  SPDLOG_WARN("volume {}: hand-over failed, serving on: {}", config_.volume_id, status.ToString());
  const absl::Status resumed = ServeOn(absl::IsUnavailable(status), std::move(fds));
  if (!resumed.ok()) {
    return absl::InternalError(
        absl::StrCat(status.message(), "; and the old one can't go on: ", resumed.message()));
  }
  return absl::UnavailableError(status.message());
}

absl::Status DriverService::ServeOn(bool served, std::vector<Fd> spare) {
  RETURN_IF_ERROR(driver_->TakeOver());
  const bool fuse = transport_ == driver::v1::TRANSPORT_FUSE;
  if (fuse && served) RETURN_IF_ERROR(RequestFuseResend(fuse_fds_[0].get()));
  RETURN_IF_ERROR(OpenQueues(transport_, fuse ? std::move(fuse_fds_) : std::move(spare),
                             /*standby=*/true));
  threads_->Go();
  return absl::OkStatus();
}

void DriverService::StopThreads() {
  if (threads_ != nullptr) earlier_ += threads_->counters();
  threads_.reset();
}

void DriverService::FillPing(driver::v1::PingResponse& ping) const {
  if (driver_ == nullptr) return;
  const absl::Status health = driver_->health();
  if (!health.ok()) ping.set_failure(std::string(health.message()));
  const std::optional<Trouble> trouble = driver_->trouble();
  if (!trouble.has_value()) return;
  ping.set_trouble(trouble->reason);
  ping.set_trouble_since_unix(absl::ToUnixSeconds(trouble->since));
}

void DriverService::FillStatus(driver::v1::StatusResponse& status) const {
  status.set_driver_name(definition_.name);
  struct stat executable;
  if (stat("/proc/self/exe", &executable) == 0) {
    status.set_executable_device(executable.st_dev);
    status.set_executable_inode(executable.st_ino);
  }
  if (driver_ == nullptr) return;
  status.set_opened(true);
  status.set_volume_id(config_.volume_id);
  *status.mutable_geometry() = ToProto(geometry_);
  CounterValues counters = earlier_;
  if (threads_ != nullptr) {
    counters += threads_->counters();
    status.set_queues(threads_->queues());
    if (threads_->running()) status.set_serving(transport_);
  }
  status.set_reads(counters.reads);
  status.set_writes(counters.writes);
  status.set_read_bytes(counters.read_bytes);
  status.set_written_bytes(counters.written_bytes);
  status.set_flushes(counters.flushes);
  status.set_errors(counters.errors);
}

void DriverService::Shutdown() {
  StopThreads();
  fuse_fds_.clear();
  driver_.reset();
}

}  // namespace diskd::sdk
