// SPDX-License-Identifier: Apache-2.0
//
// An object volume that no process of this node serves. What changes it takes it over, and lets it
// go when the call ends; a list only looks at HEAD.
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
  absl::Status RollBack(const std::string& snapshot) override;

 private:
  const sdk::VolumeConfig config_;
};

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_RESTING_VOLUME_H_
