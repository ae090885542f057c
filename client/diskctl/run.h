// SPDX-License-Identifier: Apache-2.0
//
// diskctl from its arguments to its exit code, without a process around it.
#ifndef DISKD_CLIENT_DISKCTL_RUN_H_
#define DISKD_CLIENT_DISKCTL_RUN_H_

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/diskctl/host_facts.h"
#include "client/lib/agent.h"

namespace diskd::diskctl {

// What the world gives to diskctl; tests give another one.
struct World {
  std::function<absl::StatusOr<std::shared_ptr<client::Agent>>(const std::string& endpoint,
                                                               absl::Duration timeout)>
      connect;
  std::function<HostFacts(const std::string& socket_path)> host_facts;
};

World RealWorld();

// `args`: without the program's name. Returns an ExitCode. One run at a time.
int Run(const std::vector<std::string>& args, const World& world, std::ostream& out,
        std::ostream& err);

}  // namespace diskd::diskctl

#endif  // DISKD_CLIENT_DISKCTL_RUN_H_
