// SPDX-License-Identifier: Apache-2.0
//
// Store calls that wait for their result, for code off the data path. Never call them from a
// store's `done`.
#ifndef DISKD_DRIVERS_OBJECT_STORE_BLOCKING_H_
#define DISKD_DRIVERS_OBJECT_STORE_BLOCKING_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/object/env/store.h"

namespace diskd::object {

absl::StatusOr<Etag> PutNow(Store& store, const std::string& name, std::string body,
                            PutCondition condition = PutCondition::None(),
                            Lane lane = Lane::kUpload);
absl::StatusOr<GetResult> GetNow(Store& store, const std::string& name,
                                 std::optional<ByteRange> range = std::nullopt);
absl::StatusOr<HeadResult> HeadNow(Store& store, const std::string& name);
absl::StatusOr<ListResult> ListNow(Store& store, const std::string& prefix,
                                   const std::string& after = "");
absl::Status DeleteNow(Store& store, const std::string& name);

// All at once, one body each, on the lane with the most connections; results in the same order.
std::vector<absl::StatusOr<Etag>> PutAtOnce(Store& store, const std::string& name,
                                            const std::vector<std::string>& bodies,
                                            const PutCondition& condition);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_BLOCKING_H_
