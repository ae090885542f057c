// SPDX-License-Identifier: Apache-2.0
#include "client/csi/server.h"

#include <grpcpp/grpcpp.h>
#include <signal.h>

#include <chrono>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "client/csi/controller.h"
#include "client/csi/identity.h"
#include "client/csi/linux_host.h"
#include "client/csi/node.h"
#include "client/csi/request.h"

namespace diskd::csi {
namespace {

constexpr std::chrono::seconds kShutdownGrace{10};
constexpr absl::Duration kProbeTimeout = absl::Seconds(2);
constexpr size_t kMaxNodeIdBytes = 256;
constexpr size_t kMaxSocketPathBytes = 107;

absl::StatusOr<std::string> SocketAddress(absl::string_view endpoint) {
  absl::ConsumePrefix(&endpoint, "unix:");
  while (absl::StartsWith(endpoint, "//")) endpoint.remove_prefix(1);
  if (!absl::StartsWith(endpoint, "/") || endpoint.size() > kMaxSocketPathBytes) {
    return absl::InvalidArgumentError(absl::StrCat("endpoint \"", endpoint,
                                                   "\": use unix:///path with at most ",
                                                   kMaxSocketPathBytes, " bytes of path"));
  }
  return absl::StrCat("unix:", endpoint);
}

}  // namespace

absl::Status RunServer(ServerOptions options) {
  RETURN_IF_ERROR(CheckDriverName(options.driver_name));
  if (options.node_id.empty() || options.node_id.size() > kMaxNodeIdBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("node id has ", options.node_id.size(), " bytes; 1 to ", kMaxNodeIdBytes));
  }
  if (options.topology_key.empty()) {
    options.topology_key = absl::StrCat("topology.", options.driver_name, "/node");
  }
  ASSIGN_OR_RETURN(const std::string address, SocketAddress(options.endpoint));
  ASSIGN_OR_RETURN(const std::unique_ptr<client::Client> agent,
                   client::Client::Connect(options.agent));
  client::ClientOptions probe_options;
  probe_options.call_timeout = kProbeTimeout;
  probe_options.retry_limit = 0;
  ASSIGN_OR_RETURN(const std::unique_ptr<client::Client> probe_agent,
                   client::Client::Connect(options.agent, probe_options));

  // Before gRPC makes its threads, so that all of them leave the signals to sigwait.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  LinuxHost host;
  const Placement placement{options.topology_key, options.node_id};
  Identity identity(options.driver_name, probe_agent.get());
  Controller controller(
      placement, agent.get(),
      options.node_expansion_only ? Expansion::kOnNodeOnly : Expansion::kAnywhere);
  Node node(placement, agent.get(), &host);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials());
  builder.RegisterService(&identity);
  builder.RegisterService(&controller);
  builder.RegisterService(&node);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) {
    return absl::UnavailableError(absl::StrCat("can't listen on ", address));
  }
  SPDLOG_INFO("{} for node {} on {}", options.driver_name, options.node_id, address);
  int signal_number = 0;
  sigwait(&signals, &signal_number);
  SPDLOG_INFO("signal {}: stopping", signal_number);
  server->Shutdown(std::chrono::system_clock::now() + kShutdownGrace);
  return absl::OkStatus();
}

}  // namespace diskd::csi
