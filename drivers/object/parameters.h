// SPDX-License-Identifier: Apache-2.0
//
// Reading a volume's parameters. Any thread.
#ifndef DISKD_DRIVERS_OBJECT_PARAMETERS_H_
#define DISKD_DRIVERS_OBJECT_PARAMETERS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "drivers/sdk/driver.h"

namespace diskd::object {

// Empty: not given.
inline std::string Parameter(const sdk::VolumeConfig& config, const char* name) {
  const auto it = config.parameters.find(name);
  return it == config.parameters.end() ? std::string() : it->second;
}

// INVALID_ARGUMENT, with what is `allowed` instead of the value.
inline absl::Status WrongParameter(const char* name, const std::string& value,
                                   const char* allowed) {
  return absl::InvalidArgumentError(
      absl::StrCat("parameter ", name, "=", value, ": must be ", allowed));
}

}  // namespace diskd::object

#endif  // DISKD_DRIVERS_OBJECT_PARAMETERS_H_
