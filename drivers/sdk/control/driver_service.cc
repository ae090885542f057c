// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/control/driver_service.h"

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "drivers/sdk/control/convert.h"
#include "drivers/sdk/geometry.h"
#include "drivers/sdk/transport/buse_server.h"
#include "drivers/sdk/transport/fuse_server.h"

namespace diskd::sdk {

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
        response.mutable_ping();
      }
      break;
    case driver::v1::Request::kProvision:
      status = Provision(request.provision().config());
      if (status.ok()) response.mutable_provision();
      break;
    case driver::v1::Request::kDeprovision:
      status = Deprovision(request.deprovision().config());
      if (status.ok()) response.mutable_deprovision();
      break;
    case driver::v1::Request::kOpen:
      status = Open(request.open().config());
      if (status.ok()) *response.mutable_open()->mutable_geometry() = ToProto(geometry_);
      break;
    case driver::v1::Request::kServe:
      status = Serve(request.serve(), std::move(fds));
      if (status.ok()) response.mutable_serve();
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

absl::Status DriverService::Provision(const driver::v1::VolumeConfig& config) {
  ASSIGN_OR_RETURN(const VolumeConfig volume, FromProto(config, definition_));
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

absl::Status DriverService::Open(const driver::v1::VolumeConfig& config) {
  ASSIGN_OR_RETURN(VolumeConfig volume, FromProto(config, definition_));
  if (driver_ != nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("volume ", config_.volume_id, " is open in this process already"));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Driver> driver, definition_.open(volume));
  const Geometry geometry = driver->geometry();
  RETURN_IF_ERROR(CheckGeometry(geometry));
  driver_ = std::move(driver);
  geometry_ = geometry;
  config_ = std::move(volume);
  return absl::OkStatus();
}

absl::Status DriverService::Serve(const driver::v1::ServeRequest& request, std::vector<Fd> fds) {
  if (driver_ == nullptr) {
    return absl::FailedPreconditionError("no volume is open in this process: open one first");
  }
  if (threads_ != nullptr && threads_->running()) {
    return absl::FailedPreconditionError(
        absl::StrCat("volume ", config_.volume_id, " is being served already"));
  }
  if (fds.empty()) {
    return absl::InvalidArgumentError("the serve request came without descriptors");
  }
  if (threads_ != nullptr) earlier_ += threads_->counters();
  threads_.reset();
  fuse_fds_.clear();
  transport_ = request.transport();
  switch (request.transport()) {
    case driver::v1::TRANSPORT_FUSE:
      return StartFuse(request.resend(), std::move(fds));
    case driver::v1::TRANSPORT_BUSE:
      return StartBuse(std::move(fds));
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("transport ", request.transport(), " is unknown; FUSE and BUSE are known"));
  }
}

absl::Status DriverService::StartFuse(bool resend, std::vector<Fd> fds) {
  // Before anybody reads: what our own threads had read by then would be sent again as well, and
  // of two executions of one write the first may finish last, on top of a newer one.
  if (resend) RETURN_IF_ERROR(RequestFuseResend(fds[0].get()));
  std::vector<std::unique_ptr<QueueTransport>> queues;
  for (size_t i = 0; i < fds.size(); ++i) {
    queues.push_back(
        std::make_unique<FuseQueueServer>(fds[i].get(), static_cast<int>(i), *driver_));
  }
  ASSIGN_OR_RETURN(threads_, QueueThreads::Start(std::move(queues)));
  fuse_fds_ = std::move(fds);
  return absl::OkStatus();
}

absl::Status DriverService::StartBuse(std::vector<Fd> fds) {
  std::vector<std::unique_ptr<QueueTransport>> queues;
  for (size_t i = 0; i < fds.size(); ++i) {
    queues.push_back(std::make_unique<BuseQueueServer>(
        std::make_unique<KernelBuseQueue>(std::move(fds[i])), static_cast<int>(i), *driver_));
  }
  ASSIGN_OR_RETURN(threads_, QueueThreads::Start(std::move(queues)));
  return absl::OkStatus();
}

void DriverService::FillStatus(driver::v1::StatusResponse& status) const {
  status.set_driver_name(definition_.name);
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
  if (threads_ != nullptr) earlier_ += threads_->counters();
  threads_.reset();
  fuse_fds_.clear();
  driver_.reset();
}

}  // namespace diskd::sdk
