// SPDX-License-Identifier: Apache-2.0
#include "client/lib/fake_agent.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"

namespace diskd::client {
namespace {

constexpr uint32_t kSectorBytes = 512;
constexpr uint32_t kMaxBlockBytes = 4096;
constexpr uint64_t kMinSizeBytes = 1ull << 20;
constexpr uint64_t kMaxSizeBytes = 1ull << 50;
constexpr size_t kMaxNameBytes = 128;
constexpr int kMaxPageSize = 1000;
constexpr uint32_t kDefaultQueues = 1;
constexpr uint32_t kMaxQueues = 4;
// 2026-01-01T00:00:00Z: what depends on the clock can't be compared.
constexpr int64_t kFixedTime = 1767225600;

bool ValidName(absl::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes && absl::ascii_isalnum(name[0]) &&
         absl::c_all_of(name, [](char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
         });
}

bool SameParameters(const v1::Volume& volume, const v1::CreateVolumeRequest& request) {
  const auto& have = volume.parameters();
  const auto& want = request.parameters();
  return have.size() == want.size() && absl::c_all_of(want, [&](const auto& parameter) {
           const auto it = have.find(parameter.first);
           return it != have.end() && it->second == parameter.second;
         });
}

absl::Status CheckSameVolume(const v1::Volume& volume, const v1::CreateVolumeRequest& request,
                             uint32_t block_bytes) {
  std::vector<absl::string_view> different;
  if (volume.driver() != request.driver()) different.push_back("driver");
  if (volume.size_bytes() != request.size_bytes()) different.push_back("size");
  if (volume.logical_block_bytes() != block_bytes) different.push_back("logical block");
  if (!SameParameters(volume, request)) different.push_back("parameters");
  if (different.empty()) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat("volume ", volume.name(), " exists with another ",
                                               absl::StrJoin(different, ", ")));
}

v1::TransportInfo NewTransport(v1::Transport transport, bool available, absl::string_view reason) {
  v1::TransportInfo info;
  info.set_transport(transport);
  info.set_available(available);
  info.set_reason(std::string(reason));
  return info;
}

v1::DriverInfo NewDriver(absl::string_view name, absl::string_view description) {
  v1::DriverInfo driver;
  driver.set_name(std::string(name));
  driver.set_description(std::string(description));
  driver.set_path(absl::StrCat("/usr/libexec/diskd/drivers/diskd-driver-", name));
  return driver;
}

absl::Status NoVolume(absl::string_view volume) {
  return absl::NotFoundError(absl::StrCat("no volume ", volume));
}

}  // namespace

FakeAgent::FakeAgent() {
  transports_ = {NewTransport(v1::TRANSPORT_BUSE, false, "the kernel module buse is not loaded"),
                 NewTransport(v1::TRANSPORT_FUSE, true, "kernel 6.12, recovery by resend")};
  v1::DriverInfo file = NewDriver("file", "a sparse file in a directory");
  v1::DriverInfo::Parameter* parameter = file.add_parameters();
  parameter->set_name("directory");
  parameter->set_description("where the file is");
  drivers_ = {std::move(file), NewDriver("memory", "a RAM disk")};
}

void FakeAgent::FailNext(absl::string_view method, absl::Status status) {
  absl::MutexLock lock(&mutex_);
  failures_[std::string(method)].push_back(std::move(status));
}

void FakeAgent::SetDown(absl::Status status) {
  absl::MutexLock lock(&mutex_);
  down_ = std::move(status);
}

void FakeAgent::SetDeviceOpen(absl::string_view volume_name, bool open) {
  absl::MutexLock lock(&mutex_);
  open_.erase(std::string(volume_name));
  if (open) open_.insert(std::string(volume_name));
}

void FakeAgent::SetBusy(absl::string_view volume_name, bool busy) {
  absl::MutexLock lock(&mutex_);
  busy_.erase(std::string(volume_name));
  if (busy) busy_.insert(std::string(volume_name));
}

void FakeAgent::SetAttachmentState(absl::string_view volume_name, v1::AttachmentState state,
                                   absl::string_view message) {
  absl::MutexLock lock(&mutex_);
  v1::Volume* volume = Find(volume_name);
  if (volume == nullptr || !volume->has_attachment()) return;
  volume->mutable_attachment()->set_state(state);
  volume->mutable_attachment()->set_message(std::string(message));
}

void FakeAgent::SetDevicePath(absl::string_view volume_name, absl::string_view device_path) {
  absl::MutexLock lock(&mutex_);
  device_paths_[std::string(volume_name)] = std::string(device_path);
}

void FakeAgent::SetTransports(std::vector<v1::TransportInfo> transports) {
  absl::MutexLock lock(&mutex_);
  transports_ = std::move(transports);
}

void FakeAgent::SetDrivers(std::vector<v1::DriverInfo> drivers) {
  absl::MutexLock lock(&mutex_);
  drivers_ = std::move(drivers);
}

void FakeAgent::SetCapacity(uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  capacity_ = bytes;
}

int FakeAgent::Calls(absl::string_view method) const {
  absl::MutexLock lock(&mutex_);
  const auto it = calls_.find(std::string(method));
  return it == calls_.end() ? 0 : it->second;
}

v1::AttachVolumeRequest FakeAgent::last_attach() const {
  absl::MutexLock lock(&mutex_);
  return last_attach_;
}

v1::CreateVolumeRequest FakeAgent::last_create() const {
  absl::MutexLock lock(&mutex_);
  return last_create_;
}

absl::Status FakeAgent::BeginCall(absl::string_view method) {
  ++calls_[std::string(method)];
  RETURN_IF_ERROR(down_);
  std::deque<absl::Status>& queue = failures_[std::string(method)];
  if (queue.empty()) return absl::OkStatus();
  absl::Status status = std::move(queue.front());
  queue.pop_front();
  return status;
}

v1::Volume* FakeAgent::Find(absl::string_view volume) {
  for (auto& [id, candidate] : volumes_) {
    if (id == volume || candidate.name() == volume) return &candidate;
  }
  return nullptr;
}

absl::Status FakeAgent::CheckNotBusy(const v1::Volume& volume) const {
  if (busy_.count(volume.name()) == 0) return absl::OkStatus();
  return absl::AbortedError(
      absl::StrCat("another call works on volume ", volume.name(), "; try again"));
}

absl::Status FakeAgent::CheckCreate(const v1::CreateVolumeRequest& request) const {
  if (!ValidName(request.name())) {
    return absl::InvalidArgumentError(
        absl::StrCat("name \"", request.name(),
                     "\": want a letter or digit, then letters, digits, '.', '_' or "
                     "'-', at most ",
                     kMaxNameBytes, " in all"));
  }
  const uint32_t block = request.logical_block_bytes() ? request.logical_block_bytes() : 512;
  if (block < kSectorBytes || block > kMaxBlockBytes || (block & (block - 1)) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("logical block of ", block, " bytes: want 512, 1024, 2048 or 4096"));
  }
  if (request.size_bytes() < kMinSizeBytes || request.size_bytes() > kMaxSizeBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("size of ", request.size_bytes(), " bytes: want 1 MiB to 1 PiB"));
  }
  if (request.size_bytes() % block != 0) {
    return absl::InvalidArgumentError(absl::StrCat("size of ", request.size_bytes(),
                                                   " bytes: not a multiple of the logical block, ",
                                                   block, " bytes"));
  }
  return CheckParameters(request);
}

absl::Status FakeAgent::CheckParameters(const v1::CreateVolumeRequest& request) const {
  const auto driver = absl::c_find_if(
      drivers_, [&](const v1::DriverInfo& info) { return info.name() == request.driver(); });
  if (driver == drivers_.end()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "no driver \"", request.driver(), "\"; available: ",
        absl::StrJoin(drivers_, ", ", [](std::string* out, const v1::DriverInfo& info) {
          absl::StrAppend(out, info.name());
        })));
  }
  if (!driver->problem().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("driver ", driver->name(), ": ", driver->problem()));
  }
  for (const auto& [name, value] : request.parameters()) {
    if (absl::c_none_of(driver->parameters(),
                        [&name = name](const auto& known) { return known.name() == name; })) {
      return absl::InvalidArgumentError(
          absl::StrCat("driver ", driver->name(), " has no parameter \"", name, "\""));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::CreateVolumeResponse> FakeAgent::CreateVolume(
    const v1::CreateVolumeRequest& given) {
  absl::MutexLock lock(&mutex_);
  last_create_ = given;
  RETURN_IF_ERROR(BeginCall("CreateVolume"));
  v1::CreateVolumeRequest request = given;
  if (request.has_source()) {
    ASSIGN_OR_RETURN(const v1::Volume* source, FindForSnapshots(request.source().volume()));
    request.set_driver(source->driver());
    request.set_size_bytes(source->size_bytes());
  }
  RETURN_IF_ERROR(CheckCreate(request));
  const uint32_t block = request.logical_block_bytes() ? request.logical_block_bytes() : 512;
  v1::CreateVolumeResponse response;
  if (const v1::Volume* old = Find(request.name()); old != nullptr) {
    RETURN_IF_ERROR(CheckNotBusy(*old));
    RETURN_IF_ERROR(CheckSameVolume(*old, request, block));
    *response.mutable_volume() = *old;
    return response;
  }
  uint64_t used = 0;
  for (const auto& [id, volume] : volumes_) used += volume.size_bytes();
  if (used > capacity_ || request.size_bytes() > capacity_ - used) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "no space for ", request.size_bytes(), " bytes: ", used, " of ", capacity_, " are in use"));
  }
  v1::Volume volume;
  volume.set_id(absl::StrFormat("vol-%016x", ++last_id_));
  volume.set_name(request.name());
  volume.set_driver(request.driver());
  volume.set_size_bytes(request.size_bytes());
  volume.set_logical_block_bytes(block);
  *volume.mutable_parameters() = request.parameters();
  if (request.has_source()) *volume.mutable_source() = request.source();
  volume.set_state(v1::VOLUME_STATE_READY);
  volume.mutable_create_time()->set_seconds(kFixedTime);
  *response.mutable_volume() = volume;
  volumes_[volume.id()] = std::move(volume);
  return response;
}

absl::StatusOr<v1::GetVolumeResponse> FakeAgent::GetVolume(const v1::GetVolumeRequest& request) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(BeginCall("GetVolume"));
  const v1::Volume* volume = Find(request.volume());
  if (volume == nullptr) return NoVolume(request.volume());
  v1::GetVolumeResponse response;
  *response.mutable_volume() = *volume;
  return response;
}

absl::StatusOr<v1::ListVolumesResponse> FakeAgent::ListVolumes(
    const v1::ListVolumesRequest& request) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(BeginCall("ListVolumes"));
  if (request.page_size() < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("page size ", request.page_size(), ": must not be negative"));
  }
  const int limit =
      request.page_size() == 0 ? kMaxPageSize : std::min(request.page_size(), kMaxPageSize);
  v1::ListVolumesResponse response;
  for (auto it = volumes_.upper_bound(request.page_token()); it != volumes_.end(); ++it) {
    if (response.volumes_size() == limit) {
      response.set_next_page_token(response.volumes(limit - 1).id());
      break;
    }
    *response.add_volumes() = it->second;
  }
  return response;
}

absl::StatusOr<v1::DeleteVolumeResponse> FakeAgent::DeleteVolume(
    const v1::DeleteVolumeRequest& request) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(BeginCall("DeleteVolume"));
  const v1::Volume* volume = Find(request.volume());
  if (volume == nullptr) return v1::DeleteVolumeResponse();
  RETURN_IF_ERROR(CheckNotBusy(*volume));
  if (volume->has_attachment()) {
    return absl::FailedPreconditionError(absl::StrCat("volume ", volume->name(), " is attached as ",
                                                      volume->attachment().device_path(),
                                                      "; detach it first"));
  }
  volumes_.erase(volume->id());
  return v1::DeleteVolumeResponse();
}

absl::StatusOr<v1::Transport> FakeAgent::PickTransport(v1::Transport wanted) const {
  for (const v1::TransportInfo& info : transports_) {
    if (wanted == v1::TRANSPORT_UNSPECIFIED) {
      if (info.available()) return info.transport();
    } else if (info.transport() == wanted) {
      if (info.available()) return wanted;
      return absl::FailedPreconditionError(absl::StrCat("transport ", v1::Transport_Name(wanted),
                                                        " is not available: ", info.reason()));
    }
  }
  return absl::FailedPreconditionError(
      absl::StrCat("no transport is available; diskctl doctor says why"));
}

v1::Attachment FakeAgent::NewAttachment(const v1::Volume& volume,
                                        const v1::AttachVolumeRequest& request,
                                        v1::Transport transport) {
  const auto path = device_paths_.find(volume.name());
  v1::Attachment attachment;
  attachment.set_volume_id(volume.id());
  attachment.set_volume_name(volume.name());
  attachment.set_transport(transport);
  attachment.set_device_path(
      path != device_paths_.end()
          ? path->second
          : absl::StrCat(transport == v1::TRANSPORT_BUSE ? "/dev/buse" : "/dev/loop",
                         ++last_device_));
  attachment.set_stable_path(absl::StrCat("/dev/disk/by-diskd/", volume.name()));
  attachment.set_state(v1::ATTACHMENT_STATE_ATTACHED);
  attachment.set_read_only(request.read_only());
  attachment.set_driver_pid(1000 + std::max(last_device_, 0));
  attachment.mutable_attach_time()->set_seconds(kFixedTime);
  attachment.set_queues(request.queues() ? std::min(request.queues(), kMaxQueues) : kDefaultQueues);
  return attachment;
}

absl::StatusOr<v1::AttachVolumeResponse> FakeAgent::AttachVolume(
    const v1::AttachVolumeRequest& request) {
  absl::MutexLock lock(&mutex_);
  last_attach_ = request;
  RETURN_IF_ERROR(BeginCall("AttachVolume"));
  v1::Volume* volume = Find(request.volume());
  if (volume == nullptr) return NoVolume(request.volume());
  RETURN_IF_ERROR(CheckNotBusy(*volume));
  if (!volume->has_attachment()) {
    ASSIGN_OR_RETURN(const v1::Transport transport, PickTransport(request.transport()));
    *volume->mutable_attachment() = NewAttachment(*volume, request, transport);
  }
  const v1::Attachment& attachment = volume->attachment();
  const bool same_transport = request.transport() == v1::TRANSPORT_UNSPECIFIED ||
                              request.transport() == attachment.transport();
  if (!same_transport || request.read_only() != attachment.read_only() ||
      (request.queues() != 0 && std::min(request.queues(), kMaxQueues) != attachment.queues())) {
    return absl::AlreadyExistsError(absl::StrCat("volume ", volume->name(), " is attached as ",
                                                 attachment.device_path(),
                                                 " with other properties; detach it first"));
  }
  v1::AttachVolumeResponse response;
  *response.mutable_attachment() = attachment;
  return response;
}

absl::StatusOr<v1::DetachVolumeResponse> FakeAgent::DetachVolume(
    const v1::DetachVolumeRequest& request) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(BeginCall("DetachVolume"));
  v1::Volume* volume = Find(request.volume());
  if (volume == nullptr || !volume->has_attachment()) return v1::DetachVolumeResponse();
  RETURN_IF_ERROR(CheckNotBusy(*volume));
  if (open_.count(volume->name()) != 0 && !request.force()) {
    return absl::FailedPreconditionError(
        absl::StrCat(volume->attachment().device_path(), " is open; close or unmount it first"));
  }
  volume->clear_attachment();
  open_.erase(volume->name());
  return v1::DetachVolumeResponse();
}

absl::StatusOr<v1::UpgradeDriverResponse> FakeAgent::UpgradeDriver(
    const v1::UpgradeDriverRequest& request) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(BeginCall("UpgradeDriver"));
  v1::Volume* volume = Find(request.volume());
  if (volume == nullptr) {
    return absl::NotFoundError(absl::StrCat("no volume \"", request.volume(), "\""));
  }
  RETURN_IF_ERROR(CheckNotBusy(*volume));
  if (!volume->has_attachment()) {
    return absl::FailedPreconditionError(absl::StrCat(volume->name(), " is not attached"));
  }
  v1::Attachment& attachment = *volume->mutable_attachment();
  v1::UpgradeDriverResponse response;
  response.set_replaced(request.force() || upgraded_.insert(volume->id()).second);
  if (response.replaced()) {
    attachment.set_driver_pid(attachment.driver_pid() + 1);
    attachment.set_driver_restarts(attachment.driver_restarts() + 1);
  }
  *response.mutable_attachment() = attachment;
  return response;
}

absl::StatusOr<v1::ListAttachmentsResponse> FakeAgent::ListAttachments(
    const v1::ListAttachmentsRequest& request) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(BeginCall("ListAttachments"));
  v1::ListAttachmentsResponse response;
  for (const auto& [id, volume] : volumes_) {
    if (volume.has_attachment()) *response.add_attachments() = volume.attachment();
  }
  return response;
}

absl::StatusOr<v1::GetNodeInfoResponse> FakeAgent::GetNodeInfo(
    const v1::GetNodeInfoRequest& request) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(BeginCall("GetNodeInfo"));
  v1::GetNodeInfoResponse response;
  response.set_node_name("node-1");
  response.set_agent_version("0.1.0");
  response.set_kernel_release("6.12.0");
  for (const v1::TransportInfo& transport : transports_) *response.add_transports() = transport;
  response.set_state_dir("/var/lib/diskd");
  response.set_volumes(static_cast<uint32_t>(volumes_.size()));
  for (const auto& [id, volume] : volumes_) {
    if (volume.has_attachment()) response.set_attachments(response.attachments() + 1);
  }
  return response;
}

absl::StatusOr<v1::ListDriversResponse> FakeAgent::ListDrivers(
    const v1::ListDriversRequest& request) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(BeginCall("ListDrivers"));
  v1::ListDriversResponse response;
  for (const v1::DriverInfo& driver : drivers_) *response.add_drivers() = driver;
  return response;
}

}  // namespace diskd::client
