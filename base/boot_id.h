// SPDX-License-Identifier: Apache-2.0
//
// Any thread.
#ifndef DISKD_BASE_BOOT_ID_H_
#define DISKD_BASE_BOOT_ID_H_

#include <string>

#include "absl/status/statusor.h"

namespace diskd {

// Another one after each boot of the machine; the same in all its containers.
absl::StatusOr<std::string> ReadBootId();

}  // namespace diskd

#endif  // DISKD_BASE_BOOT_ID_H_
