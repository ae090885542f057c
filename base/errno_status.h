// SPDX-License-Identifier: Apache-2.0
//
// errno -> absl::Status, the one place where the mapping is decided.
#ifndef DISKD_BASE_ERRNO_STATUS_H_
#define DISKD_BASE_ERRNO_STATUS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace diskd {

// "what: reason (errno name)". `what` names the operation and its object: "open /dev/fuse".
absl::Status ErrnoStatus(int error, absl::string_view what);

}  // namespace diskd

#endif  // DISKD_BASE_ERRNO_STATUS_H_
