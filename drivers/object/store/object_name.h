// SPDX-License-Identifier: Apache-2.0
//
// The rules for names in env/store.h, in one place. Pure functions.
#ifndef DISKD_DRIVERS_OBJECT_STORE_OBJECT_NAME_H_
#define DISKD_DRIVERS_OBJECT_STORE_OBJECT_NAME_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace diskd::object {

// INVALID_ARGUMENT unless `name` may name an object.
absl::Status CheckName(absl::string_view name);

// The same for the beginning of a name, "" included.
absl::Status CheckPrefix(absl::string_view prefix);

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_STORE_OBJECT_NAME_H_
