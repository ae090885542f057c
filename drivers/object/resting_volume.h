// SPDX-License-Identifier: Apache-2.0
//
// An object volume that this process does not serve. Making a snapshot, rollback and resize take it
// over, and let it go when the call ends; the rest disturbs no owner.
#ifndef DISKD_DRIVERS_OBJECT_RESTING_VOLUME_H_
#define DISKD_DRIVERS_OBJECT_RESTING_VOLUME_H_

#include <memory>
#include <string>
#include <vector>

#include "drivers/sdk/driver.h"
#include "drivers/sdk/features.h"

namespace diskd::object {

class RestingVolume final : public sdk::VolumeFeatures {
 public:
  explicit RestingVolume(sdk::VolumeConfig config) : config_(std::move(config)) {}

  absl::StatusOr<sdk::CreatedSnapshot> CreateSnapshot(const std::string& name) override;
  absl::StatusOr<std::vector<sdk::Snapshot>> ListSnapshots() override;
  absl::Status DeleteSnapshot(const std::string& name) override;
  absl::StatusOr<uint64_t> RollBack(const std::string& snapshot) override;
  absl::Status Resize(uint64_t size_bytes) override;
  absl::StatusOr<sdk::DiffPage> Diff(const std::string& from, const std::string& to, uint64_t begin,
                                     size_t max_extents) override;
  absl::StatusOr<sdk::CheckReport> Check() override;

 private:
  const sdk::VolumeConfig config_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_RESTING_VOLUME_H_
