// SPDX-License-Identifier: Apache-2.0
#include "drivers/file/file_driver.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "drivers/file/backing.h"
#include "drivers/file/file_queue.h"
#include "drivers/file/provision.h"
#include "drivers/sdk/features.h"

namespace diskd::file_driver {
namespace {

absl::Status ChangeSize(const Backing& backing, const Place& place, const sdk::VolumeConfig& config,
                        uint64_t size_bytes) {
  const uint32_t block = std::max(config.logical_block_bytes, backing.block_bytes);
  if (size_bytes % block == 0) return SetSize(backing.fd.get(), place, config, size_bytes);
  return absl::InvalidArgumentError(
      absl::StrCat("a size of ", size_bytes, " bytes is not a multiple of ", block));
}

class FileDriver final : public sdk::Driver, public sdk::VolumeFeatures {
 public:
  FileDriver(sdk::VolumeConfig config, Place place, Backing backing, const sdk::Geometry& geometry)
      : config_(std::move(config)),
        place_(std::move(place)),
        backing_(std::move(backing)),
        geometry_(geometry) {}

  sdk::Geometry geometry() const override { return geometry_; }

  absl::StatusOr<std::unique_ptr<sdk::Queue>> OpenQueue(int, sdk::QueueIo& io) override {
    RETURN_IF_ERROR(io.Start());
    return std::make_unique<FileQueue>(backing_.fd.get(), place_.preallocate, io);
  }

  absl::Status LetGo() override { return ReleaseBacking(place_.path, backing_); }
  absl::Status TakeOver() override { return ClaimBacking(place_.path, backing_); }

  sdk::VolumeFeatures* features() override { return this; }
  absl::Status Resize(uint64_t size_bytes) override {
    if (size_bytes < geometry_.size_bytes) {
      return absl::FailedPreconditionError(
          "a volume that is served can't be made smaller: detach it first");
    }
    if (geometry_.read_only) {
      return absl::FailedPreconditionError(
          "a volume that is attached read-only can't grow: detach it first");
    }
    return ChangeSize(backing_, place_, config_, size_bytes);
  }

 private:
  const sdk::VolumeConfig config_;
  const Place place_;
  Backing backing_;
  const sdk::Geometry geometry_;
};

absl::StatusOr<std::unique_ptr<sdk::Driver>> Open(const sdk::VolumeConfig& config) {
  ASSIGN_OR_RETURN(const Place place, PlaceOf(config));
  ASSIGN_OR_RETURN(Backing backing, OpenBacking(place.path, config.read_only));
  if (!config.standby) RETURN_IF_ERROR(ClaimBacking(place.path, backing));
  if (backing.size_bytes < config.size_bytes) {
    return absl::FailedPreconditionError(
        absl::StrCat("volume ", config.volume_id, ": ", place.path, " has ", backing.size_bytes,
                     " bytes, fewer than the volume's ", config.size_bytes,
                     ": something has cut it; restore it"));
  }
  sdk::Geometry geometry;
  geometry.size_bytes = config.size_bytes;
  geometry.logical_block_bytes = std::max(config.logical_block_bytes, backing.block_bytes);
  if (geometry.size_bytes % geometry.logical_block_bytes != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("volume ", config.volume_id, ": its size of ", geometry.size_bytes,
                     " bytes is not a multiple of ", geometry.logical_block_bytes,
                     ", the block of what ", place.path, " is on: choose a size that is"));
  }
  geometry.read_only = config.read_only;
  geometry.volatile_cache = true;
  geometry.fua = true;
  // Holes would give back what allocate=full has reserved.
  geometry.discard = backing.punch && !place.preallocate;
  geometry.write_zeroes = backing.punch;
  geometry.discard_granularity_bytes = backing.granularity_bytes;
  return std::make_unique<FileDriver>(config, place, std::move(backing), geometry);
}

// A volume that nobody serves.
class RestingFile final : public sdk::VolumeFeatures {
 public:
  explicit RestingFile(sdk::VolumeConfig config) : config_(std::move(config)) {}

  absl::Status Resize(uint64_t size_bytes) override {
    ASSIGN_OR_RETURN(const Place place, PlaceOf(config_));
    ASSIGN_OR_RETURN(Backing backing, OpenBacking(place.path, /*read_only=*/false));
    RETURN_IF_ERROR(ClaimBacking(place.path, backing));
    return ChangeSize(backing, place, config_, size_bytes);
  }

 private:
  const sdk::VolumeConfig config_;
};

absl::StatusOr<std::unique_ptr<sdk::VolumeFeatures>> AtRest(const sdk::VolumeConfig& config) {
  return std::make_unique<RestingFile>(config);
}

}  // namespace

const sdk::DriverDefinition& Definition() {
  static const sdk::DriverDefinition definition{
      .name = "file",
      .description = "Raw file or block device, by io_uring and O_DIRECT",
      .parameters =
          {{"path", "file to create, or an existing block device"},
           {"dir", "directory for a file named after the volume (default: the agent's own)"},
           {"allocate", "thin (default): space is taken as it is written; full: at creation"},
           {"existing", "refuse (default) or use: take an existing file at path, keep its data"}},
      .provision = Provision,
      .deprovision = Deprovision,
      .open = Open,
      .at_rest = AtRest,
  };
  return definition;
}

}  // namespace diskd::file_driver
