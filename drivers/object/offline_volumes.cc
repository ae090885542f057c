// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/offline_volumes.h"

#include <sys/stat.h>

#include "base/status_macros.h"
#include "drivers/sdk/features.h"

namespace diskd::object {

absl::StatusOr<std::unique_ptr<OfflineVolumes>> OfflineVolumes::Open(const ObjectVolume& volume) {
  umask(0);  // every mode is given where a file is made
  std::unique_ptr<OfflineVolumes> offline(new OfflineVolumes());
  ASSIGN_OR_RETURN(offline->thread_, EngineThread::Start());
  ASSIGN_OR_RETURN(offline->store_, OpenStore(volume.store));
  offline->posting_ = std::make_unique<PostingStore>(offline->store_.get(), offline->thread_.get());
  offline->volumes_ = std::make_unique<Volumes>(offline->posting_.get(), offline->thread_.get(),
                                                volume.options, sdk::kFeatureLimit);
  return offline;
}

OfflineVolumes::~OfflineVolumes() {
  if (volumes_ != nullptr) {
    absl::Notification gone;
    thread_->Post([&] {
      volumes_.reset();
      gone.Notify();
    });
    gone.WaitForNotification();
  }
  store_.reset();
  thread_.reset();
}

}  // namespace diskd::object
