// SPDX-License-Identifier: Apache-2.0
//
// Early return on error, for functions that return absl::Status or absl::StatusOr.
#ifndef DISKD_BASE_STATUS_MACROS_H_
#define DISKD_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define DISKD_CONCAT_INNER(a, b) a##b
#define DISKD_CONCAT(a, b) DISKD_CONCAT_INNER(a, b)

// Returns from the calling function when `expression` is not OK.
#define RETURN_IF_ERROR(expression)                           \
  do {                                                        \
    if (absl::Status status_ = (expression); !status_.ok()) { \
      return status_;                                         \
    }                                                         \
  } while (false)

// ASSIGN_OR_RETURN(auto x, MakeX()): declares or assigns x, or returns the error.
#define ASSIGN_OR_RETURN(lhs, expression) \
  ASSIGN_OR_RETURN_INNER(DISKD_CONCAT(status_or_, __LINE__), lhs, expression)

#define ASSIGN_OR_RETURN_INNER(temporary, lhs, expression) \
  auto temporary = (expression);                           \
  if (!temporary.ok()) return temporary.status();          \
  lhs = std::move(temporary).value()

#endif  // DISKD_BASE_STATUS_MACROS_H_
