// SPDX-License-Identifier: Apache-2.0
#include "client/diskctl/exit_code.h"

#include "client/lib/status.h"

namespace diskd::diskctl {

ExitCode ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return kExitUsage;
    case absl::StatusCode::kNotFound:
      return kExitNotFound;
    case absl::StatusCode::kAlreadyExists:
      return kExitAlreadyExists;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kUnimplemented:  // of this volume's driver
      return kExitInUse;
    case absl::StatusCode::kUnavailable:
      return client::IsAgentUnreachable(status) ? kExitUnreachable : kExitDriver;
    case absl::StatusCode::kDeadlineExceeded:
      return kExitTimeout;
    case absl::StatusCode::kResourceExhausted:
      return kExitNoSpace;
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return kExitPermission;
    default:
      return kExitFailure;
  }
}

}  // namespace diskd::diskctl
