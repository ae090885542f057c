// SPDX-License-Identifier: Apache-2.0
#include "agent/device/buse_block_device.h"

#include <unistd.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "agent/device/bounded.h"
#include "agent/device/holder.h"
#include "agent/device/limits.h"
#include "agent/device/older_module.h"
#include "agent/device/stable_link.h"
#include "agent/paths/volume_paths.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace diskd::agent {
namespace {

buse_info InfoOf(const DeviceSpec& spec) {
  const diskd::driver::v1::Geometry& g = spec.geometry;
  buse_info info{};
  info.index = BUSE_INDEX_ANY;
  const std::string name = absl::StrCat(kBuseNamePrefix, spec.volume_id);
  memcpy(info.name, name.data(), std::min(name.size(), sizeof(info.name) - 1));
  buse_params& p = info.params;
  p.size_bytes = g.size_bytes();
  p.logical_block_bytes = g.logical_block_bytes();
  p.physical_block_bytes = std::max(g.physical_block_bytes(), g.logical_block_bytes());
  p.io_opt_bytes = g.io_opt_bytes();
  p.discard_granularity_bytes = g.discard() ? g.discard_granularity_bytes() : 0;
  p.nr_queues = spec.queues;
  p.queue_depth = spec.queue_depth;
  p.park_limit_ms = 0;
  if (spec.read_only || g.read_only()) p.attributes |= BUSE_ATTR_READ_ONLY;
  if (g.volatile_cache()) p.attributes |= BUSE_ATTR_VOLATILE_CACHE;
  if (g.fua()) p.attributes |= BUSE_ATTR_FUA;
  if (g.discard()) p.attributes |= BUSE_ATTR_DISCARD;
  if (g.write_zeroes()) p.attributes |= BUSE_ATTR_WRITE_ZEROES;
  if (g.no_merging()) p.attributes |= BUSE_ATTR_BIO;
  return info;
}

// udev, where it runs, makes and removes these links by kernel/60-buse.rules.
constexpr char kUdevSocket[] = "/run/udev/control";

std::string ByBuseLink(const buse_info& info) {
  return absl::StrCat("/dev/disk/by-buse/",
                      absl::string_view(info.name, strnlen(info.name, sizeof(info.name))));
}

absl::Status RemoveByBuseLink(const buse_info& info) {
  if (access(kUdevSocket, F_OK) == 0) return absl::OkStatus();
  return RemoveStableLink(ByBuseLink(info));
}

bool HasDisk(const buse_info& info) {
  return info.state != BUSE_STATE_CREATED && info.state != BUSE_STATE_STOPPED;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Device>> BuseBlockDevice::Create(const DeviceSpec& spec) {
  ASSIGN_OR_RETURN(sdk::BuseControl control, sdk::BuseControl::Open());
  buse_info info = InfoOf(spec);
  RETURN_IF_ERROR(
      CreateOnAnyModule(info, [&control](buse_info& all) { return control.Create(all); }));
  return std::unique_ptr<Device>(new BuseBlockDevice(std::move(control), info.index));
}

absl::StatusOr<std::unique_ptr<Device>> BuseBlockDevice::Find(const std::string& volume_id) {
  ASSIGN_OR_RETURN(sdk::BuseControl control, sdk::BuseControl::Open());
  ASSIGN_OR_RETURN(const buse_info info,
                   control.FindByName(absl::StrCat(kBuseNamePrefix, volume_id)));
  return std::unique_ptr<Device>(new BuseBlockDevice(std::move(control), info.index));
}

absl::StatusOr<std::vector<std::string>> BuseBlockDevice::List() {
  std::vector<std::string> ids;
  auto control = sdk::BuseControl::Open();
  if (absl::IsNotFound(control.status())) return ids;
  if (!control.ok()) return control.status();
  ASSIGN_OR_RETURN(const std::vector<uint32_t> indices, control->List());
  for (const uint32_t index : indices) {
    const auto info = control->Info(index);
    if (!info.ok()) continue;  // destroyed since it was listed
    const std::string name(info->name, strnlen(info->name, sizeof(info->name)));
    if (name.rfind(kBuseNamePrefix, 0) == 0) ids.push_back(name.substr(strlen(kBuseNamePrefix)));
  }
  return ids;
}

absl::StatusOr<std::vector<Fd>> BuseBlockDevice::Descriptors() {
  ASSIGN_OR_RETURN(const buse_info info, control_.Info(index_));
  return control_.OpenServers(info);
}

absl::Status BuseBlockDevice::Publish() {
  RETURN_IF_ERROR(RunBounded(
      kPublishLimit, [&] { return control_.Start(index_); }, [&] { Abort(); }));
  if (access(kUdevSocket, F_OK) == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const buse_info info, control_.Info(index_));
  return MakeStableLink(ByBuseLink(info), path());
}

absl::Status BuseBlockDevice::Resize(uint64_t size_bytes) {
  return control_.Resize(index_, size_bytes);
}

absl::Status BuseBlockDevice::Unpublish(bool force) {
  const auto info = control_.Info(index_);
  if (absl::IsNotFound(info.status())) return absl::OkStatus();
  if (!info.ok()) return info.status();
  if (!HasDisk(*info)) return RemoveByBuseLink(*info);
  if (!force) RETURN_IF_ERROR(flush_.Wait(kFlushLimit));
  const absl::Status status = RunBounded(
      force ? kForcedUnpublishLimit : kUnpublishLimit, [&] { return control_.Stop(index_, force); },
      [&] { Abort(); });
  if (status.ok()) return RemoveByBuseLink(*info);
  if (!absl::IsFailedPrecondition(status)) return status;
  return absl::FailedPreconditionError(absl::StrCat(path(), " is ", DescribeHolder(path())));
}

void BuseBlockDevice::Abort() {
  const absl::Status status = control_.Stop(index_, /*force=*/true);
  if (!status.ok()) SPDLOG_ERROR("abort {}: {}", path(), std::string(status.message()));
}

absl::Status BuseBlockDevice::Destroy() {
  const absl::Status status = control_.Destroy(index_);
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

}  // namespace diskd::agent
