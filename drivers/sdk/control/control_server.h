// SPDX-License-Identifier: Apache-2.0
//
// The socket end of diskd.driver.v1: packets in, packets out, one client after another.
#ifndef DISKD_DRIVERS_SDK_CONTROL_CONTROL_SERVER_H_
#define DISKD_DRIVERS_SDK_CONTROL_CONTROL_SERVER_H_

#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "base/fd.h"
#include "proto/driver/v1/driver.pb.h"

namespace diskd::sdk {

struct ControlReply {
  driver::v1::Response response;
  std::vector<int> fds;  // stay the handler's
  bool stop = false;     // the server ends once the reply is sent
  // Sends something ahead of the reply; a client that is gone misses it. Null: nowhere to.
  std::function<void(const driver::v1::Response&)> send_ahead;
};

class ControlHandler {
 public:
  virtual ~ControlHandler() = default;
  virtual void Handle(const driver::v1::Request& request, std::vector<Fd> fds,
                      ControlReply& reply) = 0;
};

// Serves clients of the listening socket until a reply says stop (then OK) or the socket breaks.
absl::Status RunControlServer(int listening_socket, ControlHandler& handler);

// Serves one connection; true: a reply said stop. False: the client has gone. What is not a
// Request gets an INVALID_ARGUMENT response.
bool ServeControlClient(int socket, ControlHandler& handler);

}  // namespace diskd::sdk

#endif  // DISKD_DRIVERS_SDK_CONTROL_CONTROL_SERVER_H_
