// SPDX-License-Identifier: Apache-2.0
//
// What every RPC of the plugin does around its own work. Thread-safe.
#ifndef DISKD_CLIENT_CSI_RPC_H_
#define DISKD_CLIENT_CSI_RPC_H_

#include <google/protobuf/message.h>
#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/log.h"
#include "client/csi/redact.h"

namespace diskd::csi {

// Same code, same message; no details, as the interface demands.
inline grpc::Status ToGrpc(const absl::Status& status) {
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

// Logs the request without its secrets, runs `work` (-> absl::Status), logs what failed.
template <typename Work>
grpc::Status Serve(const char* method, const google::protobuf::Message& request, Work work) {
  SPDLOG_DEBUG("{} {}", method, RedactedText(request));
  const absl::Status status = work();
  if (!status.ok()) {
    SPDLOG_WARN("{} {}: {}", method, RedactedText(request), std::string(status.message()));
  }
  return ToGrpc(status);
}

}  // namespace diskd::csi

#endif  // DISKD_CLIENT_CSI_RPC_H_
