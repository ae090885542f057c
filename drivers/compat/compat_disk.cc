// SPDX-License-Identifier: Apache-2.0
#include "drivers/compat/compat_disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "drivers/sdk/device/buse_device.h"
#include "drivers/sdk/device/fuse_device.h"
#include "drivers/sdk/device/loop_device.h"
#include "drivers/sdk/transport/buse_server.h"
#include "drivers/sdk/transport/fuse_server.h"

namespace diskd::compat {
namespace {

// As over nbd, I/O fails when the process is gone.
constexpr uint32_t kParkLimitMs = 1000;

absl::Status FlushDisk(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, absl::StrCat("open ", path));
  if (fsync(fd.get()) != 0) return ErrnoStatus(errno, absl::StrCat("flush ", path));
  return absl::OkStatus();
}

class BuseDisk final : public CompatDisk {
 public:
  static absl::StatusOr<std::unique_ptr<CompatDisk>> Make(sdk::BuseControl control,
                                                          const std::string& name,
                                                          const sdk::Geometry& geometry) {
    const auto left = control.FindByName(name);
    if (left.ok()) {
      RETURN_IF_ERROR(control.Stop(left->index, /*force=*/true));
      RETURN_IF_ERROR(control.Destroy(left->index));
    } else if (!absl::IsNotFound(left.status())) {
      return left.status();
    }
    buse_info info{};
    info.index = BUSE_INDEX_ANY;
    name.copy(info.name, sizeof(info.name) - 1);
    info.params.size_bytes = geometry.size_bytes;
    info.params.logical_block_bytes = geometry.logical_block_bytes;
    info.params.nr_queues = 1;
    info.params.park_limit_ms = kParkLimitMs;
    if (geometry.read_only) info.params.attributes |= BUSE_ATTR_READ_ONLY;
    if (geometry.volatile_cache) info.params.attributes |= BUSE_ATTR_VOLATILE_CACHE;
    if (geometry.discard) info.params.attributes |= BUSE_ATTR_DISCARD;
    RETURN_IF_ERROR(control.Create(info));
    return std::unique_ptr<CompatDisk>(new BuseDisk(std::move(control), info));
  }

  ~BuseDisk() override {
    (void)control_.Stop(info_.index, /*force=*/true);
    (void)control_.Destroy(info_.index);
  }

  absl::StatusOr<std::unique_ptr<sdk::QueueTransport>> OpenQueue(sdk::Driver& driver) override {
    ASSIGN_OR_RETURN(std::vector<Fd> servers, control_.OpenServers(info_));
    return std::make_unique<sdk::BuseQueueServer>(
        std::make_unique<sdk::KernelBuseQueue>(std::move(servers[0])), 0, driver);
  }
  absl::Status Publish() override { return control_.Start(info_.index); }
  std::string path() const override { return sdk::BuseControl::DiskPath(info_.index); }
  absl::Status Unpublish(bool force) override {
    if (!force) RETURN_IF_ERROR(FlushDisk(path()));
    return control_.Stop(info_.index, force);
  }

 private:
  BuseDisk(sdk::BuseControl control, const buse_info& info)
      : control_(std::move(control)), info_(info) {}

  sdk::BuseControl control_;
  const buse_info info_;
};

class FuseDisk final : public CompatDisk {
 public:
  static absl::StatusOr<std::unique_ptr<CompatDisk>> Make(const std::string& mount_point,
                                                          const sdk::Geometry& geometry) {
    RETURN_IF_ERROR(RemoveRemains(mount_point));
    if (mkdir(mount_point.c_str(), 0700) != 0 && errno != EEXIST) {
      return ErrnoStatus(errno, absl::StrCat("create ", mount_point));
    }
    ASSIGN_OR_RETURN(sdk::FuseConnection connection,
                     sdk::MountFuse(mount_point, 1, geometry.logical_block_bytes));
    return std::unique_ptr<CompatDisk>(
        new FuseDisk(mount_point, std::move(connection.fds[0]), geometry));
  }

  ~FuseDisk() override {
    (void)sdk::AbortAndUnmountFuse(mount_point_);
    if (loop_ >= 0) (void)sdk::DetachLoopLazily(loop_);
    rmdir(mount_point_.c_str());
  }

  absl::StatusOr<std::unique_ptr<sdk::QueueTransport>> OpenQueue(sdk::Driver& driver) override {
    return std::make_unique<sdk::FuseQueueServer>(fuse_.get(), 0, driver);
  }
  absl::Status Publish() override {
    ASSIGN_OR_RETURN(loop_, sdk::AttachLoop(absl::StrCat(mount_point_, "/", sdk::kFuseDiskName),
                                            {.logical_block_bytes = geometry_.logical_block_bytes,
                                             .read_only = geometry_.read_only}));
    return absl::OkStatus();
  }
  std::string path() const override { return sdk::LoopPath(loop_); }
  absl::Status Unpublish(bool force) override {
    if (force) {
      RETURN_IF_ERROR(sdk::AbortAndUnmountFuse(mount_point_));
      return sdk::DetachLoopLazily(loop_);
    }
    RETURN_IF_ERROR(FlushDisk(path()));
    RETURN_IF_ERROR(sdk::DetachLoop(loop_));
    loop_ = -1;
    return absl::OkStatus();
  }

 private:
  FuseDisk(std::string mount_point, Fd fuse, const sdk::Geometry& geometry)
      : mount_point_(std::move(mount_point)), fuse_(std::move(fuse)), geometry_(geometry) {}

  // Of a process that was killed: its loop device fails all I/O.
  static absl::Status RemoveRemains(const std::string& mount_point) {
    ASSIGN_OR_RETURN(const bool mounted, sdk::IsFuseMounted(mount_point));
    if (!mounted) return absl::OkStatus();
    const std::string backing = absl::StrCat(mount_point, "/", sdk::kFuseDiskName);
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/sys/block", error)) {
      const std::string name = entry.path().filename().string();
      int number;
      if (!absl::StartsWith(name, "loop") || !absl::SimpleAtoi(name.substr(4), &number)) continue;
      const auto found = sdk::LoopBackingFile(number);
      if (found.ok() && *found == backing) RETURN_IF_ERROR(sdk::DetachLoopLazily(number));
    }
    return sdk::AbortAndUnmountFuse(mount_point);
  }

  const std::string mount_point_;
  const Fd fuse_;
  const sdk::Geometry geometry_;
  int loop_ = -1;
};

}  // namespace

absl::StatusOr<std::unique_ptr<CompatDisk>> CompatDisk::Make(const std::string& name,
                                                             const std::string& directory,
                                                             const sdk::Geometry& geometry) {
  const char* variable = getenv(kTransportVariable);
  const std::string wanted = variable == nullptr ? "" : variable;
  if (wanted != "" && wanted != "buse" && wanted != "fuse") {
    return absl::InvalidArgumentError(
        absl::StrCat(kTransportVariable, "=", wanted, " is neither buse nor fuse"));
  }
  if (wanted != "fuse") {
    auto control = sdk::BuseControl::Open();
    if (control.ok()) return BuseDisk::Make(*std::move(control), name, geometry);
    if (wanted == "buse" || !absl::IsNotFound(control.status())) return control.status();
  }
  return FuseDisk::Make(absl::StrCat(directory, "/", name), geometry);
}

}  // namespace diskd::compat
