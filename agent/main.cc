// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "agent/agent.h"
#include "agent/options.h"
#include "base/log.h"

int main(int argc, char** argv) {
  diskd::agent::Options options;
  CLI::App app("diskd: node agent that serves virtual disks", "diskd");
  app.set_version_flag("--version", std::string("diskd ") + diskd::agent::kVersion);
  app.add_option("--state-dir", options.state_dir, "what outlives a reboot")->capture_default_str();
  app.add_option("--run-dir", options.run_dir, "sockets, mounts, logs")->capture_default_str();
  app.add_option("--socket", options.socket, "gRPC socket (default: RUN/diskd.sock)");
  app.add_option("--driver-dir", options.driver_dirs,
                 "where diskd-driver-NAME are; may be repeated "
                 "(default: drivers beside the executable, /usr/lib/diskd/drivers)");
  app.add_option("--link-dir", options.link_dir, "links NAME -> device")->capture_default_str();
  app.add_option("--node-name", options.node_name, "default: the host's name");
  app.add_option("--driver-users", options.driver_users,
                 "FIRST:COUNT, user ids that driver processes serve as, one for each volume; or "
                 "root")
      ->capture_default_str();
  app.add_option("--log-level", options.log_level)
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error", "off"}))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  diskd::InitLog("diskd", options.log_level);

  absl::Status status = options.Complete();
  if (status.ok() && geteuid() != 0) {
    status = absl::PermissionDeniedError("block devices need root: run diskd as root");
  }
  if (status.ok()) status = diskd::agent::RunAgent(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "diskd: %s\n", std::string(status.message()).c_str());
  return 1;
}
