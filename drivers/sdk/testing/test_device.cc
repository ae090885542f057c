// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/testing/test_device.h"

#include <sys/stat.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "drivers/sdk/device/buse_device.h"
#include "drivers/sdk/device/fuse_device.h"
#include "drivers/sdk/device/loop_device.h"

namespace diskd::sdk {
namespace {

constexpr int kQueues = 2;

std::vector<int> Numbers(const std::vector<Fd>& fds) {
  std::vector<int> numbers;
  for (const Fd& fd : fds) numbers.push_back(fd.get());
  return numbers;
}

class FuseTestDevice final : public TestDevice {
 public:
  FuseTestDevice(std::string mount_point, FuseConnection connection)
      : mount_point_(std::move(mount_point)), connection_(std::move(connection)) {}
  ~FuseTestDevice() override {
    Abort();
    if (loop_ >= 0) (void)DetachLoopLazily(loop_);
  }

  absl::Status Attach(DriverProcess& first) override {
    RETURN_IF_ERROR(Serve(first, false));
    ASSIGN_OR_RETURN(loop_, AttachLoop(absl::StrCat(mount_point_, "/", kFuseDiskName), {}));
    return absl::OkStatus();
  }
  absl::Status HandOver(DriverProcess& successor) override { return Serve(successor, true); }
  void Abort() override { (void)AbortAndUnmountFuse(mount_point_); }
  absl::Status Remove() override {
    RETURN_IF_ERROR(AbortAndUnmountFuse(mount_point_));
    RETURN_IF_ERROR(DetachLoop(loop_));
    loop_ = -1;
    return absl::OkStatus();
  }
  std::string path() const override { return LoopPath(loop_); }

 private:
  absl::Status Serve(DriverProcess& process, bool resend) {
    return process.Serve(driver::v1::TRANSPORT_FUSE, Numbers(connection_.fds), resend);
  }

  const std::string mount_point_;
  const FuseConnection connection_;
  int loop_ = -1;
};

class BuseTestDevice final : public TestDevice {
 public:
  BuseTestDevice(BuseControl control, std::string name)
      : control_(std::move(control)), name_(std::move(name)) {}
  ~BuseTestDevice() override {
    if (!made_) return;
    Abort();
    (void)control_.Destroy(info_.index);
  }

  absl::Status Attach(DriverProcess& first) override {
    driver::v1::Request request;
    request.mutable_status();
    ASSIGN_OR_RETURN(const driver::v1::Response response, first.Call(request));
    const driver::v1::Geometry& geometry = response.status().geometry();
    info_.index = BUSE_INDEX_ANY;
    name_.copy(info_.name, sizeof(info_.name) - 1);
    info_.params.size_bytes = geometry.size_bytes();
    info_.params.logical_block_bytes = geometry.logical_block_bytes();
    info_.params.physical_block_bytes = geometry.physical_block_bytes();
    info_.params.discard_granularity_bytes = geometry.discard_granularity_bytes();
    info_.params.nr_queues = kQueues;
    info_.params.attributes = (geometry.volatile_cache() ? BUSE_ATTR_VOLATILE_CACHE : 0) |
                              (geometry.fua() ? BUSE_ATTR_FUA : 0) |
                              (geometry.discard() ? BUSE_ATTR_DISCARD : 0) |
                              (geometry.write_zeroes() ? BUSE_ATTR_WRITE_ZEROES : 0);
    RETURN_IF_ERROR(control_.Create(info_));
    made_ = true;
    RETURN_IF_ERROR(HandOver(first));
    return control_.Start(info_.index);
  }
  absl::Status HandOver(DriverProcess& successor) override {
    ASSIGN_OR_RETURN(const std::vector<Fd> servers, control_.OpenServers(info_));
    return successor.Serve(driver::v1::TRANSPORT_BUSE, Numbers(servers), false);
  }
  void Abort() override { (void)control_.Stop(info_.index, /*force=*/true); }
  absl::Status Remove() override {
    RETURN_IF_ERROR(control_.Stop(info_.index, /*force=*/false));
    RETURN_IF_ERROR(control_.Destroy(info_.index));
    made_ = false;
    return absl::OkStatus();
  }
  std::string path() const override { return BuseControl::DiskPath(info_.index); }

 private:
  BuseControl control_;
  const std::string name_;
  buse_info info_{};
  bool made_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<TestDevice>> TestDevice::MakeFuse(const std::string& dir) {
  const std::string mount_point = absl::StrCat(dir, "/fuse");
  mkdir(mount_point.c_str(), 0700);
  auto connection = MountFuse(mount_point, kQueues, LoopOptions().logical_block_bytes);
  if (!connection.ok()) return absl::UnimplementedError(connection.status().ToString());
  const bool can_resend = connection->can_resend;
  auto device = std::make_unique<FuseTestDevice>(mount_point, *std::move(connection));
  if (!can_resend) return absl::UnimplementedError("the kernel can't resend (before 6.9)");
  return device;
}

absl::StatusOr<std::unique_ptr<TestDevice>> TestDevice::MakeBuse(const std::string& name) {
  auto control = BuseControl::Open();
  if (!control.ok()) return absl::UnimplementedError(control.status().ToString());
  return std::make_unique<BuseTestDevice>(*std::move(control), name);
}

}  // namespace diskd::sdk
