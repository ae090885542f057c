// SPDX-License-Identifier: Apache-2.0
#include "client/lib/agent.h"

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace diskd::client {
namespace {

constexpr int kMaxPages = 10'000;

}  // namespace

absl::StatusOr<std::vector<v1::Volume>> ListAllVolumes(Agent& agent) {
  std::vector<v1::Volume> volumes;
  v1::ListVolumesRequest request;
  for (int page = 0; page < kMaxPages; ++page) {
    ASSIGN_OR_RETURN(v1::ListVolumesResponse response, agent.ListVolumes(request));
    for (v1::Volume& volume : *response.mutable_volumes()) volumes.push_back(std::move(volume));
    if (response.next_page_token().empty()) return volumes;
    request.set_page_token(response.next_page_token());
  }
  return absl::InternalError(absl::StrCat("the agent's list of volumes has not ended after ",
                                          kMaxPages,
                                          " pages; this is a fault of the agent: look at its log"));
}

}  // namespace diskd::client
