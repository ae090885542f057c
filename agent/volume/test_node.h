// SPDX-License-Identifier: Apache-2.0
//
// A pretended machine for tests of the logic: kernel, driver processes and database outlive the
// agent, which can be stopped at any effect and started again.
#ifndef DISKD_AGENT_VOLUME_TEST_NODE_H_
#define DISKD_AGENT_VOLUME_TEST_NODE_H_

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/store/sqlite_store.h"
#include "agent/supervisor/fake_drivers.h"
#include "agent/volume/attachments.h"
#include "agent/volume/fake_devices.h"
#include "agent/volume/features.h"
#include "agent/volume/volumes.h"

namespace diskd::agent {

class TestNode {
 public:
  explicit TestNode(const std::string& directory);
  ~TestNode();

  // A new agent on what the last one left. `finish`: also ends interrupted creates and deletes.
  absl::Status StartAgent(bool finish = true);
  // The agent ends as if killed.
  void StopAgent();
  // From the n-th effect on (0: the first) nothing happens any more, as if the agent were dead.
  void CrashAtEffect(int n) { effects_left_ = n; }
  void StopCrashing() { effects_left_ = -1; }
  // Every record of an attachment fails with this from now on.
  void FailAttachmentRecords(absl::Status status) { record_failure_ = std::move(status); }
  bool crashed() const { return crashed_; }
  void Reboot();

  Volumes& volumes() { return *volumes_; }
  Attachments& attachments() { return *attachments_; }
  Features& features() { return *features_; }
  Store& store() { return *store_; }
  FakeDevices& devices() { return devices_; }
  FakeDrivers& drivers() { return drivers_; }
  VolumeLocks& locks() { return *locks_; }
  LongCalls& long_calls() { return *long_calls_; }
  StoppableCalls& stoppable_calls() { return *stoppable_calls_; }
  const std::string& state_dir() const { return directory_; }

  // Requests with the usual content.
  static diskd::v1::CreateVolumeRequest CreateRequest(const std::string& name);
  static diskd::v1::AttachVolumeRequest AttachRequest(const std::string& volume);
  static diskd::v1::DetachVolumeRequest DetachRequest(const std::string& volume,
                                                      bool force = false);
  // A volume that is ready, or a failed test.
  diskd::v1::Volume MakeVolume(const std::string& name);
  diskd::v1::Volume MakeAttachedVolume(const std::string& name);
  // Waits until the attachment is in the state.
  diskd::v1::Attachment Await(const std::string& volume, diskd::v1::AttachmentState state);
  // What must not exist while nothing is attached.
  std::string Leftovers();

 private:
  class CountingStore;
  absl::Status Effect();

  const std::string directory_;
  std::atomic<int> effects_left_ = -1;  // -1: no crash
  std::atomic<bool> crashed_ = false;
  absl::Status record_failure_;
  std::string boot_id_ = "boot-1";
  FakeDevices devices_;
  FakeDrivers drivers_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<VolumeLocks> locks_;
  std::unique_ptr<LongCalls> long_calls_;
  std::unique_ptr<StoppableCalls> stoppable_calls_;
  std::unique_ptr<Secrets> secrets_;
  std::unique_ptr<Attachments> attachments_;
  std::unique_ptr<Features> features_;
  std::unique_ptr<Volumes> volumes_;
};

}  // namespace diskd::agent

#endif  // DISKD_AGENT_VOLUME_TEST_NODE_H_
