// SPDX-License-Identifier: Apache-2.0
#include "client/lib/client.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <sys/un.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "client/lib/backoff.h"
#include "client/lib/status.h"
#include "proto/diskd/v1/diskd.grpc.pb.h"

namespace diskd::client {
namespace {

// A page of 1000 volumes with long parameters is beyond gRPC's default of 4 MiB.
constexpr int kMaxMessageBytes = 64 << 20;
// gRPC waits this long between connection attempts; its default grows to two minutes, during
// which calls fail although the agent is back.
constexpr absl::Duration kFirstReconnectPause = absl::Milliseconds(50);
constexpr absl::Duration kLongestReconnectPause = absl::Seconds(1);
// How long a connected agent may take to say hello; a busy node is slow, not broken.
constexpr absl::Duration kHandshakeTimeout = absl::Seconds(5);

enum class OnAgentUnavailable { kRetry, kReturn };

absl::StatusOr<std::string> SocketPathOf(absl::string_view endpoint) {
  absl::string_view path = endpoint;
  // gRPC's two spellings; both are used in the wild.
  if (!absl::ConsumePrefix(&path, "unix://")) absl::ConsumePrefix(&path, "unix:");
  if (!absl::StartsWith(path, "/")) {
    return absl::InvalidArgumentError(
        absl::StrCat("endpoint \"", endpoint, "\": want the absolute path of the agent's Unix ",
                     "socket, such as ", kDefaultEndpoint));
  }
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("endpoint \"", endpoint, "\": a socket path has at most ",
                     sizeof(sockaddr_un::sun_path) - 1, " bytes, this one ", path.size(),
                     ": give the agent a shorter --run-dir"));
  }
  return std::string(path);
}

absl::Status CheckOptions(const ClientOptions& options) {
  if (options.call_timeout <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("timeout ", absl::FormatDuration(options.call_timeout), ": must be positive"));
  }
  if (options.retry_limit < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("retry limit ", options.retry_limit, ": must not be negative"));
  }
  if (options.first_pause <= absl::ZeroDuration() || options.longest_pause < options.first_pause) {
    return absl::InvalidArgumentError(
        absl::StrCat("retry pauses ", absl::FormatDuration(options.first_pause), " to ",
                     absl::FormatDuration(options.longest_pause),
                     ": the first must be positive and not longer than the longest"));
  }
  return absl::OkStatus();
}

grpc::ChannelArguments ChannelOptions() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);  // ours know the contract
  // Clients with the same socket and options would share a connection otherwise.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto set_ms = [&arguments](const char* name, absl::Duration duration) {
    arguments.SetInt(name, static_cast<int>(absl::ToInt64Milliseconds(duration)));
  };
  set_ms(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstReconnectPause);
  set_ms(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kLongestReconnectPause);
  set_ms(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kHandshakeTimeout);  // misnamed by gRPC
  return arguments;
}

absl::Status TimeoutError(absl::Duration timeout) {
  return absl::DeadlineExceededError(
      absl::StrCat("no answer from the agent within ", absl::FormatDuration(timeout),
                   "; it may go on with the work: repeat the call for its result, or give it "
                   "more time"));
}

}  // namespace

struct Client::Connection {
  Connection(std::string path, const ClientOptions& client_options)
      : socket_path(std::move(path)),
        options(client_options),
        channel(grpc::CreateCustomChannel("unix://" + socket_path,
                                          grpc::InsecureChannelCredentials(), ChannelOptions())),
        volumes(channel),
        snapshots(channel),
        attachments(channel),
        node(channel) {}

  // The outcome of one attempt, with an unreachable agent marked as such.
  absl::Status StatusOf(const grpc::Status& answer) const {
    absl::Status status = StatusFromGrpc(answer);
    if (absl::IsDeadlineExceeded(status)) return TimeoutError(options.call_timeout);
    // When the agent itself answered UNAVAILABLE, the connection is still there.
    if (absl::IsUnavailable(status) && channel->GetState(false) != GRPC_CHANNEL_READY) {
      return AgentUnreachableError(socket_path, status);
    }
    return status;
  }

  bool Retryable(const absl::Status& status, OnAgentUnavailable on_unavailable) const {
    if (absl::IsAborted(status)) return options.retry_aborted;
    if (!absl::IsUnavailable(status)) return false;
    return IsAgentUnreachable(status) || on_unavailable == OnAgentUnavailable::kRetry;
  }

  template <typename Response, typename Stub, typename Request>
  absl::StatusOr<Response> Call(
      Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
      const Request& request, OnAgentUnavailable on_unavailable = OnAgentUnavailable::kRetry) {
    const absl::Time deadline = absl::Now() + options.call_timeout;
    Backoff backoff(options.first_pause, options.longest_pause);
    for (int retries = 0;; ++retries) {
      grpc::ClientContext context;
      context.set_deadline(absl::ToChronoTime(deadline));
      Response response;
      const absl::Status status = StatusOf((stub.*method)(&context, request, &response));
      if (status.ok()) return response;
      if (retries >= options.retry_limit || !Retryable(status, on_unavailable)) return status;
      const absl::Duration pause = backoff.Next();
      if (absl::Now() + pause >= deadline) return status;
      absl::SleepFor(pause);
    }
  }

  const std::string socket_path;
  const ClientOptions options;
  const std::shared_ptr<grpc::Channel> channel;
  v1::VolumeService::Stub volumes;
  v1::SnapshotService::Stub snapshots;
  v1::AttachmentService::Stub attachments;
  v1::NodeService::Stub node;
};

Client::Client(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
Client::~Client() = default;

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(absl::string_view endpoint,
                                                        const ClientOptions& options) {
  ASSIGN_OR_RETURN(std::string path, SocketPathOf(endpoint));
  RETURN_IF_ERROR(CheckOptions(options));
  return std::unique_ptr<Client>(
      new Client(std::make_unique<Connection>(std::move(path), options)));
}

absl::StatusOr<v1::CreateVolumeResponse> Client::CreateVolume(
    const v1::CreateVolumeRequest& request) {
  return connection_->Call(connection_->volumes, &v1::VolumeService::Stub::CreateVolume, request);
}

absl::StatusOr<v1::GetVolumeResponse> Client::GetVolume(const v1::GetVolumeRequest& request) {
  return connection_->Call(connection_->volumes, &v1::VolumeService::Stub::GetVolume, request);
}

absl::StatusOr<v1::ListVolumesResponse> Client::ListVolumes(const v1::ListVolumesRequest& request) {
  return connection_->Call(connection_->volumes, &v1::VolumeService::Stub::ListVolumes, request);
}

absl::StatusOr<v1::DeleteVolumeResponse> Client::DeleteVolume(
    const v1::DeleteVolumeRequest& request) {
  return connection_->Call(connection_->volumes, &v1::VolumeService::Stub::DeleteVolume, request);
}

absl::StatusOr<v1::SetVolumeSecretsResponse> Client::SetVolumeSecrets(
    const v1::SetVolumeSecretsRequest& request) {
  return connection_->Call(connection_->volumes, &v1::VolumeService::Stub::SetVolumeSecrets,
                           request);
}

absl::StatusOr<v1::GetVolumeStatsResponse> Client::GetVolumeStats(
    const v1::GetVolumeStatsRequest& request) {
  return connection_->Call(connection_->volumes, &v1::VolumeService::Stub::GetVolumeStats, request);
}

absl::StatusOr<v1::CreateSnapshotResponse> Client::CreateSnapshot(
    const v1::CreateSnapshotRequest& request) {
  return connection_->Call(connection_->snapshots, &v1::SnapshotService::Stub::CreateSnapshot,
                           request);
}

absl::StatusOr<v1::ListSnapshotsResponse> Client::ListSnapshots(
    const v1::ListSnapshotsRequest& request) {
  return connection_->Call(connection_->snapshots, &v1::SnapshotService::Stub::ListSnapshots,
                           request);
}

absl::StatusOr<v1::DeleteSnapshotResponse> Client::DeleteSnapshot(
    const v1::DeleteSnapshotRequest& request) {
  return connection_->Call(connection_->snapshots, &v1::SnapshotService::Stub::DeleteSnapshot,
                           request);
}

absl::StatusOr<v1::RollBackVolumeResponse> Client::RollBackVolume(
    const v1::RollBackVolumeRequest& request) {
  return connection_->Call(connection_->snapshots, &v1::SnapshotService::Stub::RollBackVolume,
                           request);
}

absl::StatusOr<v1::ResizeVolumeResponse> Client::ResizeVolume(
    const v1::ResizeVolumeRequest& request) {
  return connection_->Call(connection_->volumes, &v1::VolumeService::Stub::ResizeVolume, request);
}

absl::StatusOr<v1::CheckVolumeResponse> Client::CheckVolume(const v1::CheckVolumeRequest& request) {
  return connection_->Call(connection_->volumes, &v1::VolumeService::Stub::CheckVolume, request);
}

absl::StatusOr<v1::DiffSnapshotsResponse> Client::DiffSnapshots(
    const v1::DiffSnapshotsRequest& request) {
  return connection_->Call(connection_->snapshots, &v1::SnapshotService::Stub::DiffSnapshots,
                           request);
}

absl::StatusOr<v1::AttachVolumeResponse> Client::AttachVolume(
    const v1::AttachVolumeRequest& request) {
  return connection_->Call(connection_->attachments, &v1::AttachmentService::Stub::AttachVolume,
                           request, OnAgentUnavailable::kReturn);
}

absl::StatusOr<v1::DetachVolumeResponse> Client::DetachVolume(
    const v1::DetachVolumeRequest& request) {
  return connection_->Call(connection_->attachments, &v1::AttachmentService::Stub::DetachVolume,
                           request);
}

absl::StatusOr<v1::UpgradeDriverResponse> Client::UpgradeDriver(
    const v1::UpgradeDriverRequest& request) {
  return connection_->Call(connection_->attachments, &v1::AttachmentService::Stub::UpgradeDriver,
                           request, OnAgentUnavailable::kReturn);
}

absl::StatusOr<v1::ListAttachmentsResponse> Client::ListAttachments(
    const v1::ListAttachmentsRequest& request) {
  return connection_->Call(connection_->attachments, &v1::AttachmentService::Stub::ListAttachments,
                           request);
}

absl::StatusOr<v1::GetNodeInfoResponse> Client::GetNodeInfo(const v1::GetNodeInfoRequest& request) {
  return connection_->Call(connection_->node, &v1::NodeService::Stub::GetNodeInfo, request);
}

absl::StatusOr<v1::ListDriversResponse> Client::ListDrivers(const v1::ListDriversRequest& request) {
  return connection_->Call(connection_->node, &v1::NodeService::Stub::ListDrivers, request);
}

}  // namespace diskd::client
