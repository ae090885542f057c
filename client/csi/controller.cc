// SPDX-License-Identifier: Apache-2.0
#include "client/csi/controller.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/csi/rpc.h"

namespace diskd::csi {
namespace {

using ::csi::v1::ControllerServiceCapability;

constexpr size_t kMaxIdBytes = 128;

bool SameProperties(const v1::Volume& volume, const Parameters& parameters) {
  return volume.driver() == parameters.driver &&
         (parameters.block_bytes == 0 || volume.logical_block_bytes() == parameters.block_bytes) &&
         std::map<std::string, std::string>(volume.parameters().begin(),
                                            volume.parameters().end()) ==
             parameters.driver_parameters;
}

// Codes after which the orchestrator asks again for the same volume by itself.
bool WillBeRepeated(const absl::Status& status) {
  return absl::IsAborted(status) || absl::IsUnavailable(status) ||
         absl::IsDeadlineExceeded(status) || absl::IsCancelled(status);
}

// NOT_FOUND from CreateVolume would tell the orchestrator about a missing content source.
absl::Status CreateError(const absl::Status& status) {
  if (!absl::IsNotFound(status)) return status;
  return absl::FailedPreconditionError(status.message());
}

}  // namespace

absl::StatusOr<v1::Volume> FindVolume(client::Agent& agent, const std::string& volume_id) {
  const absl::Status missing =
      absl::NotFoundError(absl::StrCat("volume ", volume_id, " does not exist on this node"));
  if (volume_id.size() > kMaxIdBytes) return missing;
  v1::GetVolumeRequest request;
  request.set_volume(volume_id);
  auto response = agent.GetVolume(request);
  if (absl::IsNotFound(response.status()) || absl::IsInvalidArgument(response.status())) {
    return missing;
  }
  RETURN_IF_ERROR(response.status());
  if (response->volume().id() != volume_id) return missing;
  return response->volume();
}

absl::Status GiveSecrets(client::Agent& agent, const std::string& volume_id,
                         const Secrets& secrets) {
  if (secrets.empty()) return absl::OkStatus();
  v1::SetVolumeSecretsRequest request;
  request.set_volume(volume_id);
  for (const auto& [name, value] : secrets) (*request.mutable_secrets())[name] = value;
  return agent.SetVolumeSecrets(request).status();
}

absl::Status Controller::CheckTopology(const ::csi::v1::TopologyRequirement& requirement) const {
  if (requirement.requisite().empty()) return absl::OkStatus();
  for (const auto& topology : requirement.requisite()) {
    const auto it = topology.segments().find(placement_.topology_key);
    if (it != topology.segments().end() && it->second == placement_.node_id) {
      return absl::OkStatus();
    }
  }
  return absl::ResourceExhaustedError(absl::StrCat("none of the ", requirement.requisite_size(),
                                                   " requisite topologies has ",
                                                   placement_.topology_key, "=", placement_.node_id,
                                                   ", the only node this plugin makes volumes on"));
}

absl::StatusOr<v1::Volume> Controller::FindOrCreate(const std::string& name,
                                                    const Parameters& parameters,
                                                    const ::csi::v1::CapacityRange& range,
                                                    uint64_t minimum_bytes,
                                                    const Secrets& secrets) {
  ASSIGN_OR_RETURN(uint64_t size, ChooseSize(range, parameters.block_bytes, minimum_bytes));
  v1::GetVolumeRequest get;
  get.set_volume(name);
  auto found = agent_->GetVolume(get);
  if (!found.ok() && !absl::IsNotFound(found.status())) return found.status();
  if (found.ok()) {
    const v1::Volume& volume = found->volume();
    if (!SameProperties(volume, parameters) || !SizeInRange(range, volume.size_bytes()) ||
        volume.size_bytes() < minimum_bytes) {
      return absl::AlreadyExistsError(absl::StrCat(
          "volume ", volume.id(), " (", volume.size_bytes(),
          " bytes) has this name already, with another capacity, driver, blockSize or param.*"));
    }
    if (volume.state() == v1::VOLUME_STATE_READY) return volume;
    size = volume.size_bytes();  // an interrupted create, which the same create finishes
  }
  v1::CreateVolumeRequest create;
  create.set_name(name);
  create.set_driver(parameters.driver);
  create.set_size_bytes(size);
  create.set_logical_block_bytes(parameters.block_bytes);
  create.mutable_parameters()->insert(parameters.driver_parameters.begin(),
                                      parameters.driver_parameters.end());
  for (const auto& [key, value] : secrets) (*create.mutable_secrets())[key] = value;
  auto created = agent_->CreateVolume(create);
  if (created.ok()) return created->volume();
  const absl::Status status = created.status();
  if (WillBeRepeated(status) || absl::IsAlreadyExists(status)) return status;
  // After any other code the orchestrator may forget the volume: leave nothing behind.
  v1::DeleteVolumeRequest undo;
  undo.set_volume(name);
  const absl::Status undone = agent_->DeleteVolume(undo).status();
  if (undone.ok() || absl::IsNotFound(undone)) return CreateError(status);
  return absl::AbortedError(absl::StrCat(status.message(), "; and what was made of the volume ",
                                         "can't be taken away: ", undone.message()));
}

absl::Status Controller::Create(const ::csi::v1::CreateVolumeRequest& request,
                                ::csi::v1::Volume& result) {
  RETURN_IF_ERROR(CheckVolumeName(request.name()));
  if (request.volume_capabilities().empty()) {
    return absl::InvalidArgumentError("volume_capabilities is missing");
  }
  if (request.has_volume_content_source()) {
    return absl::InvalidArgumentError("volume_content_source is not supported");
  }
  if (!request.mutable_parameters().empty()) {
    return absl::InvalidArgumentError("mutable_parameters are not supported");
  }
  ASSIGN_OR_RETURN(const Parameters parameters, ParseParameters(request.parameters()));
  uint64_t minimum_bytes = kMinSizeBytes;
  for (const auto& capability : request.volume_capabilities()) {
    ASSIGN_OR_RETURN(const Access access, ParseCapability(capability));
    const std::string& fs_type = access.fs_type.empty() ? parameters.fs_type : access.fs_type;
    if (!access.block && fs_type == "xfs") minimum_bytes = kMinXfsBytes;
  }
  RETURN_IF_ERROR(CheckTopology(request.accessibility_requirements()));

  const std::string name = AgentVolumeName(request.name());
  ASSIGN_OR_RETURN(const InFlight::Hold hold, in_flight_.Acquire(name));
  ASSIGN_OR_RETURN(const v1::Volume volume, FindOrCreate(name, parameters, request.capacity_range(),
                                                         minimum_bytes, request.secrets()));
  result.set_volume_id(volume.id());
  result.set_capacity_bytes(volume.size_bytes());
  for (const char* key : {kTransportKey, kFsTypeKey}) {
    const auto it = request.parameters().find(key);
    if (it != request.parameters().end() && !it->second.empty()) {
      (*result.mutable_volume_context())[key] = it->second;
    }
  }
  (*result.add_accessible_topology()->mutable_segments())[placement_.topology_key] =
      placement_.node_id;
  return absl::OkStatus();
}

absl::Status Controller::Delete(const ::csi::v1::DeleteVolumeRequest& request) {
  const std::string& id = request.volume_id();
  if (id.empty()) return absl::InvalidArgumentError("volume_id is missing");
  ASSIGN_OR_RETURN(const InFlight::Hold hold, in_flight_.Acquire(id));
  const absl::Status found = FindVolume(*agent_, id).status();
  if (absl::IsNotFound(found)) return absl::OkStatus();
  RETURN_IF_ERROR(found);
  RETURN_IF_ERROR(GiveSecrets(*agent_, id, request.secrets()));
  v1::DeleteVolumeRequest remove;
  remove.set_volume(id);
  const absl::Status status = agent_->DeleteVolume(remove).status();
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::Status Controller::Validate(const ::csi::v1::ValidateVolumeCapabilitiesRequest& request,
                                  ::csi::v1::ValidateVolumeCapabilitiesResponse& response) {
  if (request.volume_id().empty()) return absl::InvalidArgumentError("volume_id is missing");
  if (request.volume_capabilities().empty()) {
    return absl::InvalidArgumentError("volume_capabilities is missing");
  }
  ASSIGN_OR_RETURN(const v1::Volume volume, FindVolume(*agent_, request.volume_id()));
  for (const auto& capability : request.volume_capabilities()) {
    const absl::Status status = ParseCapability(capability).status();
    if (!status.ok()) {
      response.set_message(std::string(status.message()));
      return absl::OkStatus();
    }
  }
  const absl::StatusOr<Parameters> parameters = ParseParameters(request.parameters());
  if (!parameters.ok()) {
    response.set_message(std::string(parameters.status().message()));
  } else if (!request.parameters().empty() && !SameProperties(volume, *parameters)) {
    response.set_message(absl::StrCat("volume ", volume.id(), " was made with other parameters"));
  } else if (!request.mutable_parameters().empty()) {
    response.set_message("mutable_parameters are not supported");
  } else {
    auto& confirmed = *response.mutable_confirmed();
    *confirmed.mutable_volume_context() = request.volume_context();
    *confirmed.mutable_volume_capabilities() = request.volume_capabilities();
    *confirmed.mutable_parameters() = request.parameters();
  }
  return absl::OkStatus();
}

grpc::Status Controller::CreateVolume(grpc::ServerContext*,
                                      const ::csi::v1::CreateVolumeRequest* request,
                                      ::csi::v1::CreateVolumeResponse* response) {
  return Serve("CreateVolume", *request,
               [&] { return Create(*request, *response->mutable_volume()); });
}

grpc::Status Controller::DeleteVolume(grpc::ServerContext*,
                                      const ::csi::v1::DeleteVolumeRequest* request,
                                      ::csi::v1::DeleteVolumeResponse*) {
  return Serve("DeleteVolume", *request, [&] { return Delete(*request); });
}

grpc::Status Controller::ValidateVolumeCapabilities(
    grpc::ServerContext*, const ::csi::v1::ValidateVolumeCapabilitiesRequest* request,
    ::csi::v1::ValidateVolumeCapabilitiesResponse* response) {
  return Serve("ValidateVolumeCapabilities", *request,
               [&] { return Validate(*request, *response); });
}

grpc::Status Controller::ControllerGetCapabilities(
    grpc::ServerContext*, const ::csi::v1::ControllerGetCapabilitiesRequest*,
    ::csi::v1::ControllerGetCapabilitiesResponse* response) {
  for (const auto type : {ControllerServiceCapability::RPC::CREATE_DELETE_VOLUME,
                          ControllerServiceCapability::RPC::SINGLE_NODE_MULTI_WRITER}) {
    response->add_capabilities()->mutable_rpc()->set_type(type);
  }
  if (expansion_ == Expansion::kAnywhere) {
    response->add_capabilities()->mutable_rpc()->set_type(
        ControllerServiceCapability::RPC::EXPAND_VOLUME);
  }
  return grpc::Status::OK;
}

}  // namespace diskd::csi
