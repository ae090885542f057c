// SPDX-License-Identifier: Apache-2.0
//
// The whole data path on this machine: device, driver process, fio, ext4. The driver is killed
// again and again under verified writes; fio must not see one error.
// Exit code 77: not possible here.
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "drivers/sdk/testing/driver_process.h"
#include "drivers/sdk/testing/temp_dir.h"
#include "drivers/sdk/testing/test_device.h"

namespace diskd::sdk {
namespace {

constexpr int kExitSkip = 77;
constexpr int kKills = 12;
// fio's own end, and the time a slow machine needs for the kills.
constexpr int kLoadTimeoutMs = 60'000;
constexpr absl::Duration kLifeOfAProcess = absl::Milliseconds(300);

absl::Status Shell(const std::string& command) {
  const int code = system(command.c_str());
  if (code == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("`", command, "` failed with ", code));
}

class KillTest {
 public:
  KillTest(std::string executable, std::string dir, VolumeConfig config)
      : executable_(std::move(executable)), dir_(std::move(dir)), config_(std::move(config)) {}

  absl::Status Run(TestDevice& device) {
    ASSIGN_OR_RETURN(DriverProcess first, DriverProcess::Spawn(executable_, dir_));
    RETURN_IF_ERROR(first.Provision(config_));
    auto deprovision = absl::MakeCleanup([this] {
      auto process = DriverProcess::Spawn(executable_, dir_);
      if (process.ok()) (void)process->Deprovision(config_);
    });
    RETURN_IF_ERROR(first.Open(config_));
    RETURN_IF_ERROR(device.Attach(first));
    driver_ = std::make_unique<DriverProcess>(std::move(first));
    RETURN_IF_ERROR(KillUnderFio(device));
    RETURN_IF_ERROR(KillUnderFileSystem(device));
    return CheckStatusAndEnd(device);
  }

 private:
  absl::Status Replace(TestDevice& device) {
    driver_->Kill();
    ASSIGN_OR_RETURN(DriverProcess next, DriverProcess::Spawn(executable_, dir_));
    RETURN_IF_ERROR(next.Open(config_));
    RETURN_IF_ERROR(device.HandOver(next));
    driver_ = std::make_unique<DriverProcess>(std::move(next));
    return absl::OkStatus();
  }

  absl::Status KillUnderFio(TestDevice& device) {
    const std::string log = absl::StrCat(dir_, "/fio.log");
    // By itself fio has writes of several sizes in flight that overlap, and expects one of them.
    const std::string fio = absl::StrCat(
        "fio --name=kill --filename=", device.path(),
        " --rw=randwrite --bsrange=4k-256k --size=48m --time_based --runtime=6 --ioengine=libaio"
        " --direct=1 --iodepth=16 --verify=crc32c --verify_backlog=64 --verify_fatal=1 --fsync=32"
        " --serialize_overlap=1 --output=",
        log);
    FILE* load = popen(fio.c_str(), "r");
    if (load == nullptr) return absl::InternalError("fio can't be started");
    // After a failure nobody serves fio: its I/O has to fail before it can be waited for.
    auto collect = absl::MakeCleanup([&] {
      device.Abort();
      pclose(load);
    });
    for (int i = 0; i < kKills; ++i) {
      absl::SleepFor(kLifeOfAProcess);
      RETURN_IF_ERROR(Replace(device));
    }
    pollfd end_of_output{.fd = fileno(load), .events = POLLIN, .revents = 0};
    if (poll(&end_of_output, 1, kLoadTimeoutMs) != 1) {
      return absl::InternalError("fio hangs: a request was lost");
    }
    std::move(collect).Cancel();
    const int code = pclose(load);
    if (code == 0) return absl::OkStatus();
    (void)!system(absl::StrCat("cat ", log, " >&2").c_str());
    return absl::InternalError(absl::StrCat("fio failed with ", code));
  }

  absl::Status KillUnderFileSystem(TestDevice& device) {
    const std::string mnt = absl::StrCat(dir_, "/mnt"), disk = device.path();
    mkdir(mnt.c_str(), 0700);
    RETURN_IF_ERROR(Shell(absl::StrCat("mkfs.ext4 -q -F ", disk, " && mount ", disk, " ", mnt)));
    auto unmount = absl::MakeCleanup([&] {
      device.Abort();
      (void)!system(absl::StrCat("umount ", mnt).c_str());
    });
    RETURN_IF_ERROR(Shell(absl::StrCat("head -c 8M /dev/urandom > ", mnt, "/a && sync && ",
                                       "sha256sum ", mnt, "/a > ", dir_, "/sum")));
    RETURN_IF_ERROR(Replace(device));
    RETURN_IF_ERROR(Shell(absl::StrCat("echo 3 > /proc/sys/vm/drop_caches; sha256sum --quiet -c ",
                                       dir_, "/sum && fstrim ", mnt)));
    std::move(unmount).Cancel();
    return Shell(absl::StrCat("umount ", mnt, " && fsck.ext4 -fn ", disk, " >&2"));
  }

  absl::Status CheckStatusAndEnd(TestDevice& device) {
    driver::v1::Request request;
    request.mutable_status();
    ASSIGN_OR_RETURN(const driver::v1::Response status, driver_->Call(request));
    if (status.status().errors() != 0 || status.status().reads() == 0) {
      return absl::InternalError(absl::StrCat("status: ", status.ShortDebugString()));
    }
    RETURN_IF_ERROR(device.Remove());
    request.mutable_shutdown();
    RETURN_IF_ERROR(driver_->Call(request).status());
    const int code = driver_->Wait();
    if (code != 0) return absl::InternalError(absl::StrCat("the driver exited with ", code));
    return absl::OkStatus();
  }

  const std::string executable_;
  const std::string dir_;
  const VolumeConfig config_;
  std::unique_ptr<DriverProcess> driver_;
};

absl::Status RunIn(const std::string& dir, const std::string& executable,
                   const std::string& transport) {
  VolumeConfig config;
  config.volume_id = absl::StrCat("kill-test-", getpid());
  config.size_bytes = 64 << 20;
  config.state_dir = absl::StrCat(dir, "/state");
  mkdir(config.state_dir.c_str(), 0700);
  ASSIGN_OR_RETURN(
      const std::unique_ptr<TestDevice> device,
      transport == "buse" ? TestDevice::MakeBuse(config.volume_id) : TestDevice::MakeFuse(dir));
  return KillTest(executable, dir, config).Run(*device);
}

}  // namespace
}  // namespace diskd::sdk

int main(int argc, char** argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: kill_test DRIVER_DIRECTORY memory|file fuse|buse\n");
    return 2;
  }
  if (geteuid() != 0 || system("fio --version > /dev/null") != 0) {
    fprintf(stderr, "skipped: needs root and fio\n");
    return diskd::sdk::kExitSkip;
  }
  diskd::InitLog("kill_test", "info");
  const diskd::sdk::TempDir dir;
  const absl::Status status =
      diskd::sdk::RunIn(dir.path(), absl::StrCat(argv[1], "/diskd-driver-", argv[2]), argv[3]);
  if (absl::IsUnimplemented(status)) {
    fprintf(stderr, "skipped: %s\n", status.ToString().c_str());
    return diskd::sdk::kExitSkip;
  }
  if (!status.ok()) {
    fprintf(stderr, "FAILED: %s\n", status.ToString().c_str());
    return 1;
  }
  printf("OK: %d kills under fio, one under ext4\n", diskd::sdk::kKills);
  return 0;
}
