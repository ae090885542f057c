// SPDX-License-Identifier: Apache-2.0
//
// For the tests beside it: diskctl over a fake agent, its output and exit code kept.
#ifndef DISKD_CLIENT_DISKCTL_RUN_FIXTURE_H_
#define DISKD_CLIENT_DISKCTL_RUN_FIXTURE_H_

#include <cstdlib>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "client/diskctl/exit_code.h"
#include "client/diskctl/run.h"
#include "client/lib/fake_agent.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diskd::diskctl {

class RunTest : public ::testing::Test {
 protected:
  RunTest() {
    unsetenv("DISKD_SOCKET");
    facts_.root = true;
    facts_.kernel_release = "6.12.0";
    facts_.buse = absl::NotFoundError("stat /dev/buse-control: No such file or directory");
  }

  int Run(const std::vector<std::string>& args) {
    const World world{
        .connect = [this](const std::string& endpoint, absl::Duration timeout)
            -> absl::StatusOr<std::shared_ptr<client::Agent>> {
          endpoint_ = endpoint;
          timeout_ = timeout;
          return std::shared_ptr<client::Agent>(std::shared_ptr<void>(), &agent_);
        },
        .host_facts =
            [this](const std::string& socket_path) {
              asked_socket_ = socket_path;
              return facts_;
            },
    };
    std::ostringstream out, err;
    const int code = diskctl::Run(args, world, out, err);
    out_ = out.str();
    err_ = err.str();
    return code;
  }

  // Two volumes: "data" (10GiB, file, attached) and "scratch" (64MiB, memory).
  void MakeVolumes() {
    ASSERT_EQ(Run({"volume", "create", "data", "--driver", "file", "--size", "10GiB", "--param",
                   "directory=/srv"}),
              kExitOk);
    ASSERT_EQ(Run({"volume", "create", "scratch", "--driver", "memory", "--size", "64MiB"}),
              kExitOk);
    ASSERT_EQ(Run({"attach", "data"}), kExitOk);
  }

  client::FakeAgent agent_;
  HostFacts facts_;
  std::string out_, err_;
  std::string endpoint_, asked_socket_;
  absl::Duration timeout_;
};

}  // namespace diskd::diskctl

#endif  // DISKD_CLIENT_DISKCTL_RUN_FIXTURE_H_
