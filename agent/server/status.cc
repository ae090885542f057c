// SPDX-License-Identifier: Apache-2.0
#include "agent/server/status.h"

#include <string>

namespace diskd::agent {

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  // Both number the codes alike.
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

}  // namespace diskd::agent
