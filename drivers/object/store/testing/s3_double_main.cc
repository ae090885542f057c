// SPDX-License-Identifier: Apache-2.0
//
// diskd-s3-double: the S3 double as a process, for scripts. Keys from AWS_ACCESS_KEY_ID and
// AWS_SECRET_ACCESS_KEY; prints its endpoint; serves until it is killed. Faults by HTTP, unsigned:
//   curl -X PUT -d 'action=status method=PUT count=5' $ENDPOINT/-/fault
//   curl -X PUT $ENDPOINT/-/clear; curl $ENDPOINT/-/counts; curl -X PUT $ENDPOINT/-/lose/KEY
#include <signal.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "drivers/object/store/testing/s3_double.h"

int main(int argc, char** argv) {
  diskd::object::S3DoubleOptions options;
  options.faults_over_http = true;
  CLI::App app("An S3 service in memory that misbehaves on request.");
  app.add_option("--bucket", options.bucket);
  bool without_conditions = false;
  app.add_flag("--without-conditions", without_conditions, "refuse conditional writes");
  CLI11_PARSE(app, argc, argv);
  if (without_conditions) {
    options.if_match = options.if_none_match = diskd::object::S3DoubleOptions::Condition::kRefused;
  }
  if (auto keys = diskd::object::EnvironmentCredentials()->Get(); keys.ok()) {
    options.credentials = *keys;
  }
  // Before the server's threads, so that they block it too.
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  const auto server = diskd::object::S3Double::Start(options);
  if (!server.ok()) {
    std::cerr << "diskd-s3-double: " << std::string(server.status().message()) << "\n";
    return 1;
  }
  std::cout << (*server)->endpoint() << std::endl;
  int received = 0;
  sigwait(&set, &received);
  return 0;
}
