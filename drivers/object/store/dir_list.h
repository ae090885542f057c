// SPDX-License-Identifier: Apache-2.0
//
// Names below a directory in the order of their bytes, one page at a time.
#ifndef DISKD_DRIVERS_OBJECT_STORE_DIR_LIST_H_
#define DISKD_DRIVERS_OBJECT_STORE_DIR_LIST_H_

#include <string>

#include "absl/status/statusor.h"
#include "drivers/object/env/store.h"

namespace diskd::object {

// Regular files below `directory` whose paths begin with `prefix` and are greater than `after`, the
// smallest `page` of them. Memory is bounded by `page` and the depth. What appears or goes
// meanwhile may or may not be in it.
absl::StatusOr<ListResult> ListBelow(int directory, const std::string& prefix,
                                     const std::string& after, size_t page);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_DIR_LIST_H_
