// SPDX-License-Identifier: Apache-2.0
//
// A complete driver: a RAM disk whose data goes with its process. docs/driver-guide.md explains it
// line by line.
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "drivers/sdk/driver.h"
#include "drivers/sdk/main.h"

namespace {

using diskd::sdk::Driver;
using diskd::sdk::Geometry;
using diskd::sdk::VolumeConfig;

constexpr uint64_t kLargestDisk = 1 << 30;

class ExampleDriver final : public diskd::sdk::SyncDriver {
 public:
  explicit ExampleDriver(const VolumeConfig& config) : data_(config.size_bytes) {
    geometry_.size_bytes = config.size_bytes;
    if (config.logical_block_bytes != 0) geometry_.logical_block_bytes = config.logical_block_bytes;
    geometry_.read_only = config.read_only;
    geometry_.write_zeroes = true;
  }

  Geometry geometry() const override { return geometry_; }

  int Read(uint64_t offset, absl::Span<std::byte> into) override {
    memcpy(into.data(), data_.data() + offset, into.size());
    return 0;
  }

  int Write(uint64_t offset, absl::Span<const std::byte> from, bool fua) override {
    memcpy(data_.data() + offset, from.data(), from.size());
    return 0;
  }

  int WriteZeroes(uint64_t offset, uint64_t length) override {
    memset(data_.data() + offset, 0, length);
    return 0;
  }

 private:
  std::vector<std::byte> data_;
  Geometry geometry_;
};

absl::StatusOr<std::unique_ptr<Driver>> Open(const VolumeConfig& config) {
  if (config.size_bytes > kLargestDisk) {
    return absl::InvalidArgumentError(absl::StrCat("volume ", config.volume_id, ": ",
                                                   config.size_bytes, " bytes; at most ",
                                                   kLargestDisk, " are possible"));
  }
  return std::make_unique<ExampleDriver>(config);
}

const diskd::sdk::DriverDefinition kDefinition{
    .name = "example",
    .description = "RAM disk of the driver guide; its data goes with its process",
    .parameters = {},
    .open = Open,
};

}  // namespace

int main(int argc, char** argv) { return diskd::sdk::DriverMain(argc, argv, kDefinition); }
