// SPDX-License-Identifier: Apache-2.0
//
// The end of a process whose driver broke the contract of drivers/sdk/driver.h. Dying is safe: the
// kernel keeps unanswered requests for the successor. Going on with a wrong answer is not.
#ifndef DISKD_DRIVERS_SDK_CHECK_H_
#define DISKD_DRIVERS_SDK_CHECK_H_

#include <cstdlib>

#include "base/log.h"

namespace diskd::sdk {

inline void Check(bool holds, const char* contract) {
  if (holds) [[likely]]
    return;
  SPDLOG_CRITICAL("driver contract broken: {}", contract);
  std::abort();
}

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_CHECK_H_
