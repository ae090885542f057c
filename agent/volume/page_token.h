// SPDX-License-Identifier: Apache-2.0
//
// The opaque token that says where the next page of volumes begins.
#ifndef DISKD_AGENT_VOLUME_PAGE_TOKEN_H_
#define DISKD_AGENT_VOLUME_PAGE_TOKEN_H_

#include <string>

#include "absl/status/statusor.h"

namespace diskd::agent {

std::string MakePageToken(const std::string& last_id);
// The last id of the page before; empty token: empty. INVALID_ARGUMENT: not one of ours.
absl::StatusOr<std::string> ParsePageToken(const std::string& token);

}  // namespace diskd::agent

#endif  // DISKD_AGENT_VOLUME_PAGE_TOKEN_H_
