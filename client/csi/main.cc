// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "base/log.h"
#include "client/csi/identity.h"
#include "client/csi/server.h"

int main(int argc, char** argv) {
  diskd::csi::ServerOptions options;
  std::string log_level = "info";
  CLI::App app("disk-csi: Container Storage Interface plugin for diskd", "disk-csi");
  app.set_version_flag("--version", std::string("disk-csi ") + diskd::csi::kPluginVersion);
  app.add_option("--endpoint", options.endpoint, "unix:///path of the plugin's socket")
      ->envname("CSI_ENDPOINT")
      ->required();
  app.add_option("--agent", options.agent, "the node agent's socket")->capture_default_str();
  app.add_option("--node-id", options.node_id, "this node's name in the cluster")
      ->envname("NODE_NAME")
      ->required();
  app.add_option("--driver-name", options.driver_name)->capture_default_str();
  app.add_option("--topology-key", options.topology_key, "default: topology.DRIVER-NAME/node");
  app.add_flag("--node-expansion-only", options.node_expansion_only,
               "volumes grow by NodeExpandVolume alone: for a resizer that does not call the "
               "controller of the volume's node");
  app.add_option("--log-level", log_level)
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error", "off"}))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  diskd::InitLog("disk-csi", log_level);
  umask(0077);

  const absl::Status status = diskd::csi::RunServer(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "disk-csi: %s\n", std::string(status.message()).c_str());
  return 1;
}
