// SPDX-License-Identifier: Apache-2.0
//
// absl::Status -> grpc::Status, the one place.
#ifndef DISKD_AGENT_SERVER_STATUS_H_
#define DISKD_AGENT_SERVER_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace diskd::agent {

grpc::Status ToGrpc(const absl::Status& status);

// OK: the value goes to `response`.
template <typename T>
grpc::Status ToGrpc(absl::StatusOr<T> result, T* response) {
  if (result.ok()) *response = *std::move(result);
  return ToGrpc(result.status());
}

}  // namespace diskd::agent

#endif  // DISKD_AGENT_SERVER_STATUS_H_
