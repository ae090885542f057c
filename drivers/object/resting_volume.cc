// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/resting_volume.h"

#include <algorithm>

#include "base/status_macros.h"
#include "drivers/object/object_volume.h"
#include "drivers/object/served_volume.h"

namespace diskd::object {

absl::StatusOr<std::vector<sdk::Snapshot>> RestingVolume::ListSnapshots() {
  ASSIGN_OR_RETURN(const Head head, ReadHead(config_));
  return SnapshotsOf(head);
}

absl::StatusOr<sdk::CreatedSnapshot> RestingVolume::CreateSnapshot(const std::string& name) {
  ASSIGN_OR_RETURN(const auto volume, ServedVolume::Open(config_, /*at_rest=*/true));
  return volume->CreateSnapshot(name);
}

absl::Status RestingVolume::DeleteSnapshot(const std::string& name) {
  ASSIGN_OR_RETURN(const std::vector<sdk::Snapshot> snapshots, ListSnapshots());
  if (std::none_of(snapshots.begin(), snapshots.end(),
                   [&](const sdk::Snapshot& snapshot) { return snapshot.name == name; })) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const auto volume, ServedVolume::Open(config_, /*at_rest=*/true));
  return volume->DeleteSnapshot(name);
}

absl::Status RestingVolume::RollBack(const std::string& snapshot) {
  ASSIGN_OR_RETURN(const auto volume, ServedVolume::Open(config_, /*at_rest=*/true));
  return volume->RollBack(snapshot);
}

}  // namespace diskd::object
