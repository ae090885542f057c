// SPDX-License-Identifier: Apache-2.0
//
// An open object volume: engine, thread, log and store put together, as a driver. Its features work
// while queues serve; a rollback does not.
#ifndef DISKD_DRIVERS_OBJECT_SERVED_VOLUME_H_
#define DISKD_DRIVERS_OBJECT_SERVED_VOLUME_H_

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "drivers/object/engine/engine.h"
#include "drivers/object/object_queue.h"
#include "drivers/object/object_volume.h"
#include "drivers/object/runtime/engine_thread.h"
#include "drivers/object/runtime/posting_store.h"
#include "drivers/object/runtime/uring_log.h"
#include "drivers/object/served_log.h"
#include "drivers/sdk/driver.h"
#include "drivers/sdk/features.h"

namespace diskd::object {

class ServedVolume final : public sdk::Driver, public sdk::VolumeFeatures {
 public:
  // Takes the volume over and recovers it; with `standby`, only at TakeOver(). `at_rest`: nothing
  // will be served.
  static absl::StatusOr<std::unique_ptr<ServedVolume>> Open(const sdk::VolumeConfig& config,
                                                            bool at_rest);
  // On a store of the caller's; nullptr: the one of the parameters. `tell_interval`: of
  // VolumeConfig::tell_opening.
  static absl::StatusOr<std::unique_ptr<ServedVolume>> OpenOn(std::unique_ptr<Store> store,
                                                              const sdk::VolumeConfig& config,
                                                              bool at_rest,
                                                              absl::Duration tell_interval);
  ServedVolume(std::string volume_id, ObjectVolume volume, bool at_rest)
      : volume_id_(std::move(volume_id)), volume_(std::move(volume)), at_rest_(at_rest) {}
  // Uploads what is left, within a limit.
  ~ServedVolume() override;

  sdk::Geometry geometry() const override { return geometry_; }
  absl::StatusOr<std::unique_ptr<sdk::Queue>> OpenQueue(int index, sdk::QueueIo& io) override;
  // Of an owner that was fenced, or whose log or store has lost something.
  absl::Status health() override;
  std::optional<sdk::Trouble> trouble() override;
  // The other process goes on from the write log, as after a kill of this one.
  absl::Status LetGo() override;
  absl::Status TakeOver() override;
  sdk::VolumeFeatures* features() override { return engine_ == nullptr ? nullptr : this; }

  absl::StatusOr<sdk::CreatedSnapshot> CreateSnapshot(const std::string& name) override;
  absl::StatusOr<std::vector<sdk::Snapshot>> ListSnapshots() override;
  absl::Status DeleteSnapshot(const std::string& name) override;
  absl::StatusOr<uint64_t> RollBack(const std::string& snapshot) override;
  absl::Status Resize(uint64_t size_bytes) override;
  absl::StatusOr<std::vector<sdk::Statistic>> Statistics() override;

 private:
  // Shared with what runs on the engine's thread, which may come after a wait has given up.
  template <class Result>
  struct Answer {
    absl::Notification done;
    Result result;
  };
  using SnapshotAnswer = Answer<absl::StatusOr<uint64_t>>;

  // Has `call` run there, with a function that takes its result.
  template <class Result, class Call>
  std::shared_ptr<Answer<Result>> Start(Call call) {
    auto answer = std::make_shared<Answer<Result>>();
    thread_->Post([this, answer, call] {
      call(*engine_, [answer](Result result) {
        answer->result = std::move(result);
        answer->done.Notify();
      });
    });
    return answer;
  }
  // nullopt: not within `limit`; it goes on.
  template <class Result, class Call>
  std::optional<Result> Ask(absl::Duration limit, Call call) {
    const auto answer = Start<Result>(std::move(call));
    if (!answer->done.WaitForNotificationWithTimeout(limit)) return std::nullopt;
    return std::move(answer->result);
  }
  // UNAVAILABLE in place of nullopt.
  template <class Call>
  absl::Status AskFeature(Call call);

  absl::StatusOr<sdk::Snapshot> Find(const std::string& name);  // NOT_FOUND
  absl::Status OnlyAtRest(const char* what) const;
  // `tell`: every so often while it lasts. UNAVAILABLE: not within `limit`; then there is no
  // engine.
  absl::Status OpenEngine(bool successor, absl::Duration limit, absl::Duration tell_interval,
                          const std::function<void()>& tell);
  // An open that waits for leases is at nothing but that; each look at it counts as a step.
  struct LeaseWait {
    absl::Time until;
    uint64_t turns = 0;
  };
  // What the opening is at.
  void TellOpening(const sdk::VolumeConfig::TellOpening& tell, LeaseWait& wait) const;
  void StopEngine();
  void EndEngine(absl::Notification& gone);

  const std::string volume_id_;
  const ObjectVolume volume_;
  const bool at_rest_;
  sdk::Geometry geometry_;
  VolumeLoad load_;
  // By name: those whose callers have given up. Control thread.
  std::map<std::string, std::shared_ptr<SnapshotAnswer>> creating_;
  // In the order of dependence. The store ends before the thread that its answers are posted to.
  std::unique_ptr<EngineThread> thread_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<PostingStore> posting_;
  std::unique_ptr<ServedLog> log_;
  std::unique_ptr<UringLog> cache_;  // nullptr: none
  std::unique_ptr<Engine> engine_;
};

// A snapshot in HEAD as the SDK has it.
sdk::Snapshot ToSdk(const SnapshotEntry& entry);
std::vector<sdk::Snapshot> SnapshotsOf(const Head& head);
absl::StatusOr<sdk::Snapshot> FindSnapshot(const Head& head, const std::string& name);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_SERVED_VOLUME_H_
