// SPDX-License-Identifier: Apache-2.0
//
// The user ids that driver processes serve as: a range of numbers that nothing else on the machine
// uses, none of which has to exist as a user. A volume has always the same one of them.
#ifndef DISKD_AGENT_SUPERVISOR_DRIVER_USERS_H_
#define DISKD_AGENT_SUPERVISOR_DRIVER_USERS_H_

#include <sys/types.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace diskd::agent {

class DriverUsers {
 public:
  // Drivers stay root.
  DriverUsers() = default;

  // "FIRST:COUNT", or "root". INVALID_ARGUMENT. `uid_map`: the content of /proc/self/uid_map;
  // FAILED_PRECONDITION: it does not have them all.
  static absl::StatusOr<DriverUsers> Parse(absl::string_view text, absl::string_view uid_map);

  // 0: root.
  uid_t Of(const std::string& volume_id) const;

 private:
  uid_t first_ = 0;
  uint32_t count_ = 0;
};

// Beyond what distributions, systemd and container engines give out.
inline constexpr char kDefaultDriverUsers[] = "1900000000:65536";

}  // namespace diskd::agent

#endif  // DISKD_AGENT_SUPERVISOR_DRIVER_USERS_H_
