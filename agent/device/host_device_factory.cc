// SPDX-License-Identifier: Apache-2.0
#include "agent/device/host_device_factory.h"

#include <fcntl.h>
#include <sys/utsname.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "agent/device/buse_block_device.h"
#include "agent/device/fuse_block_device.h"
#include "agent/device/stable_link.h"
#include "agent/paths/volume_paths.h"
#include "agent/process/command.h"
#include "base/errno_status.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "drivers/sdk/device/buse_device.h"
#include "drivers/sdk/device/fuse_device.h"

namespace diskd::agent {
namespace {

using diskd::v1::TRANSPORT_BUSE;
using diskd::v1::TRANSPORT_FUSE;

constexpr absl::Duration kModprobeLimit = absl::Seconds(10);
constexpr char kModprobe[] = "/sbin/modprobe";

// The first release whose FUSE can send unanswered requests again (FUSE_NOTIFY_RESEND).
constexpr int kResendMajor = 6, kResendMinor = 9;

absl::Status CanOpen(const char* path) {
  const Fd fd(open(path, O_RDWR | O_CLOEXEC));
  return fd.valid() ? absl::OkStatus() : ErrnoStatus(errno, absl::StrCat("open ", path));
}

diskd::v1::TransportInfo Info(diskd::v1::Transport transport, const absl::Status& status,
                              const std::string& found) {
  diskd::v1::TransportInfo info;
  info.set_transport(transport);
  info.set_available(status.ok());
  info.set_reason(status.ok() ? found : std::string(status.message()));
  return info;
}

std::string FuseReason() {
  utsname name{};
  uname(&name);
  int major = 0, minor = 0;
  sscanf(name.release, "%d.%d", &major, &minor);
  if (major > kResendMajor || (major == kResendMajor && minor >= kResendMinor)) {
    return "/dev/fuse and loop devices; I/O survives the death of a driver process";
  }
  return absl::StrCat("/dev/fuse and loop devices; Linux ", major, ".", minor, " is older than ",
                      kResendMajor, ".", kResendMinor,
                      ": I/O in flight fails when a driver process dies, detach and attach again");
}

}  // namespace

HostDeviceFactory::HostDeviceFactory(std::string run_dir, std::string link_dir)
    : run_dir_(std::move(run_dir)), link_dir_(std::move(link_dir)) {
  if (!absl::IsNotFound(sdk::BuseControl::Open().status())) return;
  const auto loaded = RunCommand({kModprobe, "-q", "buse"}, kModprobeLimit);
  if (!loaded.ok()) {
    SPDLOG_INFO("the kernel module buse was not loaded: {}",
                std::string(loaded.status().message()));
  }
}

std::vector<diskd::v1::TransportInfo> HostDeviceFactory::Transports() {
  absl::Status fuse = CanOpen("/dev/fuse");
  if (fuse.ok()) fuse = CanOpen("/dev/loop-control");
  return {Info(TRANSPORT_BUSE, sdk::BuseControl::Open().status(), "kernel module buse"),
          Info(TRANSPORT_FUSE, fuse, FuseReason())};
}

absl::StatusOr<std::unique_ptr<Device>> HostDeviceFactory::Create(diskd::v1::Transport transport,
                                                                  const DeviceSpec& spec) {
  if (transport == TRANSPORT_BUSE) return BuseBlockDevice::Create(spec);
  return FuseBlockDevice::Create(FuseMountPoint(run_dir_, spec.volume_id), spec);
}

absl::StatusOr<std::unique_ptr<Device>> HostDeviceFactory::Find(diskd::v1::Transport transport,
                                                                const std::string& volume_id,
                                                                int number,
                                                                bool survives_driver_death) {
  if (transport == TRANSPORT_BUSE) return BuseBlockDevice::Find(volume_id);
  return FuseBlockDevice::Find(FuseMountPoint(run_dir_, volume_id), number, survives_driver_death);
}

absl::Status HostDeviceFactory::CheckDisk(diskd::v1::Transport transport,
                                          const std::string& volume_id, int number) const {
  // The module gives the number of a disk away only after it was destroyed.
  if (transport == TRANSPORT_BUSE) return absl::OkStatus();
  return FuseBlockDevice::CheckLoop(FuseMountPoint(run_dir_, volume_id), number);
}

absl::StatusOr<std::vector<DeviceFactory::Found>> HostDeviceFactory::List() {
  std::vector<Found> all;
  ASSIGN_OR_RETURN(const std::vector<std::string> buse, BuseBlockDevice::List());
  for (const std::string& id : buse) all.push_back({id, TRANSPORT_BUSE});
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator(absl::StrCat(run_dir_, kVolumesFolder), error)) {
    const std::string id = entry.path().filename().string();
    ASSIGN_OR_RETURN(const bool mounted, sdk::IsFuseMounted(FuseMountPoint(run_dir_, id)));
    if (mounted) all.push_back({id, TRANSPORT_FUSE});
  }
  return all;
}

std::string HostDeviceFactory::LinkPath(const std::string& name) const {
  return absl::StrCat(link_dir_, "/", name);
}

absl::Status HostDeviceFactory::Link(const std::string& name, const std::string& device_path) {
  RETURN_IF_ERROR(MakeStableLink(LinkPath(name), device_path));
  RemoveOtherLinks(LinkPath(name), device_path);
  return absl::OkStatus();
}

absl::Status HostDeviceFactory::Unlink(const std::string& name) {
  return RemoveStableLink(LinkPath(name));
}

}  // namespace diskd::agent
