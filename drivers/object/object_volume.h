// SPDX-License-Identifier: Apache-2.0
//
// What the parameters of an object volume mean. Any thread.
#ifndef DISKD_DRIVERS_OBJECT_OBJECT_VOLUME_H_
#define DISKD_DRIVERS_OBJECT_OBJECT_VOLUME_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/object/engine/options.h"
#include "drivers/object/packing_parameters.h"
#include "drivers/object/store/open_store.h"
#include "drivers/object/types.h"
#include "drivers/sdk/driver.h"

namespace diskd::object {

struct ObjectVolume {
  Uuid id;
  uint64_t size_blocks = 0;
  StoreParameters store;
  std::string log_path;
  uint64_t log_bytes = 0;
  std::string memory_path;  // of its LogMemory; "": there is none
  std::string memory_mark_path;
  std::string cache_path;
  uint64_t cache_bytes = 0;   // 0: no read cache
  bool use_existing = false;  // existing=use: the volume is in the store already, and stays there
  PackingParameters packing;
  Options options;
};

// INVALID_ARGUMENT: the parameters contradict each other or have unknown values.
// FAILED_PRECONDITION: the key of an encrypted volume is not here, and what to do about it.
absl::StatusOr<ObjectVolume> ParseVolume(const sdk::VolumeConfig& config);

// The same but for the key, which need not be here.
absl::StatusOr<ObjectVolume> ParseWithoutKey(const sdk::VolumeConfig& config);
// nullopt: not 32 hexadecimal digits in lower case.
std::optional<Uuid> ParseUuid(const std::string& text);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_OBJECT_VOLUME_H_
