// SPDX-License-Identifier: Apache-2.0
#include "drivers/null/null_driver.h"

#include <cstring>

namespace diskd::null_driver {
namespace {

constexpr uint32_t kDefaultBlock = 512;

class NullDriver final : public sdk::SyncDriver {
 public:
  explicit NullDriver(const sdk::VolumeConfig& config) {
    geometry_.size_bytes = config.size_bytes;
    geometry_.logical_block_bytes =
        config.logical_block_bytes == 0 ? kDefaultBlock : config.logical_block_bytes;
    geometry_.read_only = config.read_only;
    geometry_.discard = true;
    geometry_.write_zeroes = true;
    geometry_.merging = false;
  }

  sdk::Geometry geometry() const override { return geometry_; }

  int Read(uint64_t, absl::Span<std::byte> into) override {
    memset(into.data(), 0, into.size());
    return 0;
  }
  int Write(uint64_t, absl::Span<const std::byte>, bool) override { return 0; }
  int Discard(uint64_t, uint64_t) override { return 0; }
  int WriteZeroes(uint64_t, uint64_t) override { return 0; }

 private:
  sdk::Geometry geometry_;
};

absl::StatusOr<std::unique_ptr<sdk::Driver>> Open(const sdk::VolumeConfig& config) {
  return std::make_unique<NullDriver>(config);
}

}  // namespace

const sdk::DriverDefinition& Definition() {
  static const sdk::DriverDefinition definition{
      .name = "null",
      .description = "Drops writes and reads zeroes at once; for benchmarks, keeps no data",
      .parameters = {},
      .open = Open,
  };
  return definition;
}

}  // namespace diskd::null_driver
