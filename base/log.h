// SPDX-License-Identifier: Apache-2.0
//
// Logging: SPDLOG_INFO("volume {}: attached", id) and friends, to standard error, one line each.
#ifndef DISKD_BASE_LOG_H_
#define DISKD_BASE_LOG_H_

#include <spdlog/spdlog.h>

#include <string>

namespace diskd {

// Call once at the start of main(). `level`: trace, debug, info, warning, error, off.
void InitLog(const std::string& program, const std::string& level);

}  // namespace diskd

#endif  // DISKD_BASE_LOG_H_
