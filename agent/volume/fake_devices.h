// SPDX-License-Identifier: Apache-2.0
//
// Devices of a kernel in memory, for tests. Outlives the agent under test, as the kernel does.
#ifndef DISKD_AGENT_VOLUME_FAKE_DEVICES_H_
#define DISKD_AGENT_VOLUME_FAKE_DEVICES_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agent/device/device.h"

namespace diskd::agent {

class FakeDevices : public DeviceFactory {
 public:
  // Called before everything that changes the world; an error keeps it from happening.
  using EffectHook = std::function<absl::Status(const std::string& effect)>;

  explicit FakeDevices(EffectHook hook = nullptr) : hook_(std::move(hook)) {}

  std::vector<diskd::v1::TransportInfo> Transports() override;  // buse: not available
  absl::StatusOr<std::unique_ptr<Device>> Create(diskd::v1::Transport transport,
                                                 const DeviceSpec& spec) override;
  absl::StatusOr<std::unique_ptr<Device>> Find(diskd::v1::Transport transport,
                                               const std::string& volume_id, int number,
                                               bool survives_driver_death) override;
  absl::Status CheckDisk(diskd::v1::Transport transport, const std::string& volume_id,
                         int number) const override;
  absl::StatusOr<std::vector<Found>> List() override;
  std::string LinkPath(const std::string& name) const override { return "/links/" + name; }
  absl::Status Link(const std::string& name, const std::string& device_path) override;
  absl::Status Unlink(const std::string& name) override;

  // What a test looks at and does.
  size_t count();
  std::map<std::string, std::string> links();
  void SetOpen(const std::string& volume_id, bool open);  // somebody uses the disk
  uint64_t SizeOf(const std::string& volume_id) {
    absl::MutexLock lock(&mutex_);
    return devices_[volume_id].size_bytes;
  }
  void Abort(const std::string& volume_id);  // as an administrator does
  bool Aborted(const std::string& volume_id);
  void SetSurvives(bool survives);  // of devices created from now on
  void FailLinks(absl::Status status);
  void Vanish(const std::string& volume_id);
  void LoseDisk(const std::string& volume_id);  // the next disk gets its number

 private:
  class Handle;
  struct Kernel {
    diskd::v1::Transport transport;
    int number = -1;
    bool open = false;
    bool aborted = false;
    uint64_t size_bytes = 0;  // of the last Resize()
  };
  absl::Status Effect(const std::string& effect) {
    return hook_ ? hook_(effect) : absl::OkStatus();
  }

  const EffectHook hook_;
  mutable absl::Mutex mutex_;
  std::map<std::string, Kernel> devices_ ABSL_GUARDED_BY(mutex_);  // by volume id
  std::map<std::string, std::string> links_ ABSL_GUARDED_BY(mutex_);
  int next_number_ ABSL_GUARDED_BY(mutex_) = 3;
  bool survives_ ABSL_GUARDED_BY(mutex_) = true;
  absl::Status link_failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_VOLUME_FAKE_DEVICES_H_
