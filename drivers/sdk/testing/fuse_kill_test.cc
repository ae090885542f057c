// SPDX-License-Identifier: Apache-2.0
//
// The whole FUSE path on this machine: connection, driver process, loop device, fio, ext4. The
// driver is killed again and again under verified writes; fio must not see one error.
// argv[1]: the directory of the driver executables. Exit code 77: not possible here.
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "drivers/sdk/device/fuse_device.h"
#include "drivers/sdk/device/loop_device.h"
#include "drivers/sdk/testing/driver_process.h"
#include "drivers/sdk/testing/temp_dir.h"

namespace diskd::sdk {
namespace {

constexpr int kExitSkip = 77;
constexpr int kDescriptors = 2;
constexpr int kKills = 12;
constexpr int kLoadTimeoutMs = 40'000;
constexpr absl::Duration kLifeOfAProcess = absl::Milliseconds(300);

absl::Status Shell(const std::string& command) {
  const int code = system(command.c_str());
  if (code == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("`", command, "` failed with ", code));
}

std::vector<int> Numbers(const FuseConnection& connection) {
  std::vector<int> numbers;
  for (const Fd& fd : connection.fds) numbers.push_back(fd.get());
  return numbers;
}

struct Scenario {
  std::string executable;
  VolumeConfig config;
};

absl::Status KillUnderLoad(const Scenario& scenario, const std::string& dir,
                           const std::string& mount_point, const FuseConnection& connection,
                           DriverProcess first, const std::string& disk) {
  const std::string log = absl::StrCat(dir, "/fio.log");
  const std::string fio = absl::StrCat(
      "fio --name=kill --filename=", disk,
      " --rw=randwrite --bsrange=4k-256k --bs_unaligned=0 --size=48m --time_based --runtime=6"
      " --ioengine=libaio --direct=1 --iodepth=16 --verify=crc32c --verify_backlog=64"
      " --verify_fatal=1 --fsync=32 --output=", log);
  FILE* load = popen(fio.c_str(), "r");
  if (load == nullptr) return absl::InternalError("fio can't be started");
  // After a failure nobody serves fio: its I/O has to fail before it can be waited for.
  auto collect = absl::MakeCleanup([&] {
    (void)AbortAndUnmountFuse(mount_point);
    pclose(load);
  });
  std::vector<DriverProcess> current;
  current.push_back(std::move(first));
  for (int i = 0; i < kKills; ++i) {
    absl::SleepFor(kLifeOfAProcess);
    current.back().Kill();
    ASSIGN_OR_RETURN(DriverProcess next, DriverProcess::Spawn(scenario.executable, dir));
    RETURN_IF_ERROR(next.Open(scenario.config));
    RETURN_IF_ERROR(next.Serve(driver::v1::TRANSPORT_FUSE, Numbers(connection), true));
    current.push_back(std::move(next));
  }
  pollfd end_of_output{.fd = fileno(load), .events = POLLIN, .revents = 0};
  if (poll(&end_of_output, 1, kLoadTimeoutMs) != 1) {
    return absl::InternalError("fio hangs: a request was lost");
  }
  std::move(collect).Cancel();
  const int code = pclose(load);
  if (code != 0) {
    (void)!system(absl::StrCat("cat ", log, " >&2").c_str());
    return absl::InternalError(absl::StrCat("fio failed with ", code));
  }
  // A file system survives a kill as well, and nothing is left open behind the service.
  const std::string mnt = absl::StrCat(dir, "/mnt");
  mkdir(mnt.c_str(), 0700);
  RETURN_IF_ERROR(Shell(absl::StrCat("mkfs.ext4 -q -F ", disk, " && mount ", disk, " ", mnt)));
  auto unmount = absl::MakeCleanup([&] { (void)!system(absl::StrCat("umount ", mnt).c_str()); });
  RETURN_IF_ERROR(Shell(absl::StrCat("head -c 8M /dev/urandom > ", mnt, "/a && sync && sha256sum ",
                                     mnt, "/a > ", dir, "/sum")));
  current.back().Kill();
  ASSIGN_OR_RETURN(DriverProcess last, DriverProcess::Spawn(scenario.executable, dir));
  RETURN_IF_ERROR(last.Open(scenario.config));
  RETURN_IF_ERROR(last.Serve(driver::v1::TRANSPORT_FUSE, Numbers(connection), true));
  RETURN_IF_ERROR(Shell(absl::StrCat("echo 3 > /proc/sys/vm/drop_caches; sha256sum --quiet -c ",
                                     dir, "/sum && fstrim ", mnt)));
  std::move(unmount).Cancel();
  RETURN_IF_ERROR(Shell(absl::StrCat("umount ", mnt, " && fsck.ext4 -fn ", disk, " >&2")));
  driver::v1::Request request;
  request.mutable_status();
  ASSIGN_OR_RETURN(const driver::v1::Response status, last.Call(request));
  if (status.status().errors() != 0 || status.status().writes() + status.status().reads() == 0) {
    return absl::InternalError(absl::StrCat("status: ", status.ShortDebugString()));
  }
  request.mutable_shutdown();
  RETURN_IF_ERROR(last.Call(request).status());
  const int exit_code = last.Wait();
  if (exit_code != 0) return absl::InternalError(absl::StrCat("driver exited with ", exit_code));
  return absl::OkStatus();
}

absl::Status Run(const Scenario& scenario, const std::string& dir) {
  const std::string mount_point = absl::StrCat(dir, "/fuse");
  mkdir(mount_point.c_str(), 0700);
  ASSIGN_OR_RETURN(DriverProcess driver, DriverProcess::Spawn(scenario.executable, dir));
  RETURN_IF_ERROR(driver.Provision(scenario.config));
  auto deprovision = absl::MakeCleanup([&] {
    auto process = DriverProcess::Spawn(scenario.executable, dir);
    if (process.ok()) (void)process->Deprovision(scenario.config);
  });
  RETURN_IF_ERROR(driver.Open(scenario.config));
  ASSIGN_OR_RETURN(const FuseConnection connection, MountFuse(mount_point, kDescriptors));
  auto unmount = absl::MakeCleanup([&] { (void)AbortAndUnmountFuse(mount_point); });
  if (!connection.can_resend) return absl::UnimplementedError("the kernel can't resend (< 6.9)");
  RETURN_IF_ERROR(driver.Serve(driver::v1::TRANSPORT_FUSE, Numbers(connection), false));
  ASSIGN_OR_RETURN(const int loop,
                   AttachLoop(absl::StrCat(mount_point, "/", kFuseDiskName), LoopOptions{}));
  auto detach = absl::MakeCleanup([&] {
    (void)AbortAndUnmountFuse(mount_point);
    (void)DetachLoopLazily(loop);
  });
  RETURN_IF_ERROR(KillUnderLoad(scenario, dir, mount_point, connection, std::move(driver), LoopPath(loop)));
  // The shut-down driver serves nobody, so a busy detach would be reported, not waited for.
  std::move(detach).Cancel();
  RETURN_IF_ERROR(AbortAndUnmountFuse(mount_point));
  return DetachLoop(loop);
}

}  // namespace
}  // namespace diskd::sdk

int main(int argc, char** argv) {
  using namespace diskd::sdk;
  if (argc != 3) {
    fprintf(stderr, "usage: fuse_kill_test DRIVER_DIRECTORY memory|file\n");
    return 2;
  }
  if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) != 0 ||
      access("/dev/loop-control", R_OK | W_OK) != 0 || system("fio --version > /dev/null") != 0) {
    fprintf(stderr, "skipped: needs root, /dev/fuse, loop devices and fio\n");
    return kExitSkip;
  }
  diskd::InitLog("fuse_kill_test", "info");
  const TempDir dir;
  Scenario scenario;
  scenario.executable = absl::StrCat(argv[1], "/diskd-driver-", argv[2]);
  scenario.config.volume_id = absl::StrCat("fuse-kill-", getpid());
  scenario.config.size_bytes = 64 << 20;
  scenario.config.state_dir = dir.path() + "/state";
  mkdir(scenario.config.state_dir.c_str(), 0700);
  const absl::Status status = Run(scenario, dir.path());
  if (absl::IsUnimplemented(status)) {
    fprintf(stderr, "skipped: %s\n", status.ToString().c_str());
    return kExitSkip;
  }
  if (!status.ok()) {
    fprintf(stderr, "FAILED: %s\n", status.ToString().c_str());
    return 1;
  }
  printf("OK: %d kills under fio, one under ext4\n", kKills);
  return 0;
}
