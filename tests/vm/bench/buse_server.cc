// SPDX-License-Identifier: Apache-2.0
//
// The candidate in the benchmarks: the SDK's server of the kernel module with the real drivers,
// without the process around them, so that each setting can be measured.
//
//   bench_buse null|memory|bio SIZE_MB QUEUES default|batch SPIN_US
//
// bio: the driver memory on a disk that takes bios as they come (BUSE_ATTR_BIO).
// Prints the disk's path when it serves; SIGTERM removes it.
#include "drivers/sdk/transport/buse_server.h"

#include <sched.h>
#include <signal.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "drivers/memory/memory_driver.h"
#include "drivers/null/null_driver.h"
#include "drivers/sdk/device/buse_device.h"
#include "drivers/sdk/transport/buse_queue.h"

namespace {

using diskd::sdk::BuseControl;
using diskd::sdk::BuseQueue;
using diskd::sdk::BuseQueueServer;
using diskd::sdk::KernelBuseQueue;

struct Settings {
  std::string driver;
  uint64_t bytes = 0;
  uint32_t queues = 0;
  bool batch = false;
  uint64_t spin_us = 0;
};

// Enters the kernel with the time to spin that is being measured instead of the server's own.
class SpinningQueue final : public BuseQueue {
 public:
  SpinningQueue(diskd::Fd fd, uint64_t spin_us)
      : queue_(std::move(fd)), spin_(spin_us << BUSE_ENTER_SPIN_SHIFT) {}

  absl::StatusOr<buse_attach> Attach(uint32_t queue) override { return queue_.Attach(queue); }
  absl::StatusOr<std::byte*> Map(size_t bytes) override { return queue_.Map(bytes); }
  int Enter(uint64_t argument) override {
    constexpr uint64_t kSpinMask = BUSE_ENTER_SPIN_MAX_US << BUSE_ENTER_SPIN_SHIFT;
    if ((argument & kSpinMask) != 0) argument = (argument & ~kSpinMask) | spin_;
    return queue_.Enter(argument);
  }
  int poll_fd() const override { return queue_.poll_fd(); }

 private:
  KernelBuseQueue queue_;
  const uint64_t spin_;
};

diskd::sdk::VolumeConfig Volume(const Settings& settings) {
  diskd::sdk::VolumeConfig config;
  config.volume_id = absl::StrCat("bench-", getpid());
  config.size_bytes = settings.bytes;
  return config;
}

absl::StatusOr<std::unique_ptr<diskd::sdk::Driver>> OpenDriver(const Settings& settings) {
  const diskd::sdk::DriverDefinition& definition = settings.driver == "null"
                                                       ? diskd::null_driver::Definition()
                                                       : diskd::memory_driver::Definition();
  const diskd::sdk::VolumeConfig config = Volume(settings);
  if (definition.provision == nullptr) return definition.open(config);
  RETURN_IF_ERROR(definition.provision(config));
  auto driver = definition.open(config);
  // The open file keeps the memory; nothing stays behind, however we end.
  RETURN_IF_ERROR(definition.deprovision(config));
  return driver;
}

absl::StatusOr<buse_info> Create(BuseControl& control, const Settings& settings) {
  buse_info info{};
  info.index = BUSE_INDEX_ANY;
  const std::string name = absl::StrCat("bench-", getpid());
  name.copy(info.name, sizeof(info.name) - 1);
  info.params.size_bytes = settings.bytes;
  info.params.nr_queues = settings.queues;
  if (settings.driver == "bio") info.params.attributes |= BUSE_ATTR_BIO;
  RETURN_IF_ERROR(control.Create(info));
  return info;
}

void ServeQueue(BuseQueueServer& server, bool batch, std::atomic<int>& opened,
                const std::atomic<bool>& stop) {
  const sched_param none{};
  if (batch) sched_setscheduler(0, SCHED_BATCH, &none);
  absl::Status status = server.Open();
  opened.fetch_add(1);
  opened.notify_all();
  if (status.ok()) status = server.Serve(stop);
  if (!status.ok() && !stop.load()) fprintf(stderr, "%s\n", status.ToString().c_str());
  server.Close();
}

absl::Status Run(const Settings& settings) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ASSIGN_OR_RETURN(const std::unique_ptr<diskd::sdk::Driver> driver, OpenDriver(settings));
  ASSIGN_OR_RETURN(BuseControl control, BuseControl::Open());
  ASSIGN_OR_RETURN(const buse_info info, Create(control, settings));
  ASSIGN_OR_RETURN(std::vector<diskd::Fd> fds, control.OpenServers(info));
  std::vector<std::unique_ptr<BuseQueueServer>> servers;
  std::vector<std::thread> threads;
  std::atomic<int> opened{0};
  std::atomic<bool> stop{false};
  for (size_t i = 0; i < fds.size(); ++i) {
    servers.push_back(std::make_unique<BuseQueueServer>(
        std::make_unique<SpinningQueue>(std::move(fds[i]), settings.spin_us), static_cast<int>(i),
        *driver));
    threads.emplace_back([&server = *servers.back(), &settings, &opened, &stop] {
      ServeQueue(server, settings.batch, opened, stop);
    });
  }
  for (int n = opened.load(); n < static_cast<int>(threads.size()); n = opened.load()) {
    opened.wait(n);
  }
  absl::Status status = control.Start(info.index);
  if (status.ok()) {
    printf("%s\n", BuseControl::DiskPath(info.index).c_str());
    fflush(stdout);
    int number;
    sigwait(&signals, &number);
  }
  stop.store(true);
  status.Update(control.Stop(info.index, /*force=*/true));
  status.Update(control.Destroy(info.index));  // ends the servers' waits
  for (std::thread& thread : threads) thread.join();
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  uint64_t size_mb;
  if (argc != 6 || !absl::SimpleAtoi(argv[2], &size_mb) ||
      !absl::SimpleAtoi(argv[3], &settings.queues) ||
      !absl::SimpleAtoi(argv[5], &settings.spin_us)) {
    fprintf(stderr, "usage: bench_buse null|memory|bio SIZE_MB QUEUES default|batch SPIN_US\n");
    return 2;
  }
  settings.driver = argv[1];
  settings.bytes = size_mb << 20;
  settings.batch = strcmp(argv[4], "batch") == 0;
  const absl::Status status = Run(settings);
  if (!status.ok()) fprintf(stderr, "bench_buse: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
