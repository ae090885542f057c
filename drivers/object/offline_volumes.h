// SPDX-License-Identifier: Apache-2.0
//
// Volumes (engine/volumes.h) with a store and a thread to run on, as calls that wait. One thread at
// a time.
#ifndef DISKD_DRIVERS_OBJECT_OFFLINE_VOLUMES_H_
#define DISKD_DRIVERS_OBJECT_OFFLINE_VOLUMES_H_

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "drivers/object/engine/volumes.h"
#include "drivers/object/object_volume.h"
#include "drivers/object/runtime/engine_thread.h"
#include "drivers/object/runtime/posting_store.h"

namespace diskd::object {

class OfflineVolumes {
 public:
  static absl::StatusOr<std::unique_ptr<OfflineVolumes>> Open(const ObjectVolume& volume);
  // On the thread of another one, which outlives it.
  static absl::StatusOr<std::unique_ptr<OfflineVolumes>> OpenBeside(const ObjectVolume& volume,
                                                                    OfflineVolumes& other);
  ~OfflineVolumes();

  // `call`(Volumes&, done) there; what `done` gets. Ends, with the store's status, when the store
  // does not answer for kFeatureLimit.
  template <class Result, class Call>
  Result Run(Call call) {
    absl::Notification ready;
    Result result;
    on_->Post([&] {
      call(*volumes_, [&](Result given) {
        result = std::move(given);
        ready.Notify();
      });
    });
    ready.WaitForNotification();
    return result;
  }

  Volumes* volumes() { return volumes_.get(); }  // for calls on that thread

 private:
  OfflineVolumes() = default;
  absl::Status Build(const ObjectVolume& volume);

  // In the order of dependence. The store ends before the thread that its answers are posted to.
  std::unique_ptr<EngineThread> thread_;  // nullptr: another one's
  EngineThread* on_ = nullptr;
  std::unique_ptr<Store> store_;
  std::unique_ptr<PostingStore> posting_;
  std::unique_ptr<Volumes> volumes_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_OFFLINE_VOLUMES_H_
