// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/resize.h"

#include "absl/strings/str_cat.h"
#include "agent/supervisor/driver_calls.h"
#include "agent/volume/at_rest.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace diskd::agent {
namespace {

// The driver has looked at the request and done nothing.
bool Refused(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsFailedPrecondition(status) ||
         absl::IsResourceExhausted(status) || absl::IsUnimplemented(status) ||
         absl::IsOutOfRange(status) || absl::IsNotFound(status) || absl::IsPermissionDenied(status);
}

}  // namespace

absl::Status ChangeSize(
    const Environment& environment, VolumeRecord& volume, uint64_t size_bytes,
    const std::function<absl::Status(const diskd::driver::v1::FeatureRequest&)>& ask) {
  const bool unsettled = volume.resize_bytes() != 0;  // an earlier one may have happened
  if (volume.resize_bytes() != size_bytes) {
    volume.set_resize_bytes(size_bytes);
    RETURN_IF_ERROR(environment.store->PutVolume(volume));
  }
  diskd::driver::v1::FeatureRequest request;
  request.mutable_resize()->set_size_bytes(size_bytes);
  const absl::Status status = ask(request);
  if (!status.ok()) {
    if (unsettled || !Refused(status)) return status;
    volume.set_resize_bytes(0);
    const absl::Status forgotten = environment.store->PutVolume(volume);
    if (!forgotten.ok()) SPDLOG_ERROR("volume {}: {}", volume.id(), forgotten.ToString());
    return status;
  }
  volume.set_size_bytes(size_bytes);
  volume.set_resize_bytes(0);
  return environment.store->PutVolume(volume);
}

absl::Status FinishResize(const Environment& environment, VolumeRecord& volume) {
  if (volume.resize_bytes() == 0) return absl::OkStatus();
  const uint64_t wanted = volume.resize_bytes();
  const absl::Status status = ForCaller(
      ChangeSize(environment, volume, wanted, [&](diskd::driver::v1::FeatureRequest request) {
        *request.mutable_config() = ConfigOf(environment, volume, /*read_only=*/false);
        return CallAtRest(environment, volume, request, /*slot=*/0, kRestingFeatureLimit).status();
      }));
  if (status.ok()) {
    SPDLOG_INFO("volume {} ({}): finished an interrupted resize, has {} bytes now", volume.id(),
                volume.name(), volume.size_bytes());
    return status;
  }
  return absl::Status(
      status.code(),
      absl::StrCat("volume \"", volume.name(), "\" was being resized to ", wanted,
                   " bytes, which can't be finished now (", status.message(),
                   "): repeat the request, or give the size up with `diskctl volume resize ",
                   volume.name(), " ", volume.size_bytes(), "B`"));
}

}  // namespace diskd::agent
