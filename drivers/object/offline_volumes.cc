// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/offline_volumes.h"

#include <sys/stat.h>

#include "base/status_macros.h"
#include "drivers/sdk/features.h"

namespace diskd::object {

absl::StatusOr<std::unique_ptr<OfflineVolumes>> OfflineVolumes::Open(const ObjectVolume& volume) {
  std::unique_ptr<OfflineVolumes> offline(new OfflineVolumes());
  ASSIGN_OR_RETURN(offline->thread_, EngineThread::Start());
  offline->on_ = offline->thread_.get();
  RETURN_IF_ERROR(offline->Build(volume));
  return offline;
}

absl::StatusOr<std::unique_ptr<OfflineVolumes>> OfflineVolumes::OpenBeside(
    const ObjectVolume& volume, OfflineVolumes& other) {
  std::unique_ptr<OfflineVolumes> offline(new OfflineVolumes());
  offline->on_ = other.on_;
  RETURN_IF_ERROR(offline->Build(volume));
  return offline;
}

absl::Status OfflineVolumes::Build(const ObjectVolume& volume) {
  umask(0);  // every mode is given where a file is made
  ASSIGN_OR_RETURN(store_, OpenStore(volume.store));
  posting_ = std::make_unique<PostingStore>(store_.get(), on_);
  volumes_ = std::make_unique<Volumes>(posting_.get(), on_, volume.options, sdk::kFeatureLimit);
  return absl::OkStatus();
}

OfflineVolumes::~OfflineVolumes() {
  if (volumes_ != nullptr) {
    absl::Notification gone;
    on_->Post([&] {
      volumes_.reset();
      gone.Notify();
    });
    gone.WaitForNotification();
  }
  store_.reset();
  if (thread_ == nullptr && on_ != nullptr) {
    // Answers that were posted use posting_.
    absl::Notification passed;
    on_->Post([&] { passed.Notify(); });
    passed.WaitForNotification();
  }
  thread_.reset();
}

}  // namespace diskd::object
