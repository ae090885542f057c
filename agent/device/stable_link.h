// SPDX-License-Identifier: Apache-2.0
//
// Links with names that stay, such as /dev/disk/by-diskd/NAME -> /dev/loop3.
#ifndef DISKD_AGENT_DEVICE_STABLE_LINK_H_
#define DISKD_AGENT_DEVICE_STABLE_LINK_H_

#include <string>

#include "absl/status/status.h"

namespace diskd::agent {

// Makes the directory when there is none; replaces an earlier link in one step.
absl::Status MakeStableLink(const std::string& link, const std::string& target);
// Those beside `link` that lead to the same target.
void RemoveOtherLinks(const std::string& link, const std::string& target);
absl::Status RemoveStableLink(const std::string& link);  // not there: OK

}  // namespace diskd::agent

#endif  // DISKD_AGENT_DEVICE_STABLE_LINK_H_
