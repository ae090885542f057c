// SPDX-License-Identifier: Apache-2.0
//
// The plugin's process: three services on one Unix socket.
#ifndef DISKD_CLIENT_CSI_SERVER_H_
#define DISKD_CLIENT_CSI_SERVER_H_

#include <string>

#include "absl/status/status.h"
#include "client/lib/client.h"

namespace diskd::csi {

struct ServerOptions {
  std::string endpoint;  // unix:///path, unix:path, or the path
  std::string agent = client::kDefaultEndpoint;
  std::string node_id;
  std::string driver_name = "csi.diskd.io";
  std::string topology_key;  // empty: topology.DRIVER-NAME/node
  bool node_expansion_only = false;
};

// Serves until SIGTERM or SIGINT; call it from the only thread of the process. INVALID_ARGUMENT:
// the options. UNAVAILABLE: the socket.
absl::Status RunServer(ServerOptions options);

}  // namespace diskd::csi

#endif  // DISKD_CLIENT_CSI_SERVER_H_
