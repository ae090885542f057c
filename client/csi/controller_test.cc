// SPDX-License-Identifier: Apache-2.0
#include "client/csi/controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>

#include "client/lib/fake_agent.h"

namespace diskd::csi {
namespace {

using ::csi::v1::VolumeCapability;
using ::grpc::StatusCode;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr int64_t kMiB = 1 << 20;
constexpr char kKey[] = "topology.test/node";

// Can fail a create when the volume is there already, and show a volume as one half-made.
class HalfAgent : public client::FakeAgent {
 public:
  absl::StatusOr<v1::CreateVolumeResponse> CreateVolume(
      const v1::CreateVolumeRequest& request) override {
    if (auto action = std::exchange(during_create, nullptr)) action();
    auto response = FakeAgent::CreateVolume(request);
    const absl::Status error = std::exchange(after_create, absl::OkStatus());
    if (!error.ok()) return error;
    return response;
  }
  absl::StatusOr<v1::GetVolumeResponse> GetVolume(const v1::GetVolumeRequest& request) override {
    auto response = FakeAgent::GetVolume(request);
    if (half_made && response.ok()) {
      response->mutable_volume()->set_state(v1::VOLUME_STATE_CREATING);
    }
    return response;
  }

  std::function<void()> during_create;
  absl::Status after_create;
  bool half_made = false;
};

class ControllerTest : public ::testing::Test {
 protected:
  static ::csi::v1::CreateVolumeRequest Request(const std::string& name, int64_t bytes) {
    ::csi::v1::CreateVolumeRequest request;
    request.set_name(name);
    request.mutable_capacity_range()->set_required_bytes(bytes);
    (*request.mutable_parameters())["driver"] = "memory";
    VolumeCapability& capability = *request.add_volume_capabilities();
    capability.mutable_mount();
    capability.mutable_access_mode()->set_mode(VolumeCapability::AccessMode::SINGLE_NODE_WRITER);
    return request;
  }
  grpc::Status Create(const ::csi::v1::CreateVolumeRequest& request) {
    response_.Clear();
    return controller_.CreateVolume(nullptr, &request, &response_);
  }
  grpc::Status Delete(const std::string& id) {
    ::csi::v1::DeleteVolumeRequest request;
    request.set_volume_id(id);
    ::csi::v1::DeleteVolumeResponse response;
    return controller_.DeleteVolume(nullptr, &request, &response);
  }
  StatusCode Expand(const std::string& id, int64_t required, int64_t limit,
                    ::csi::v1::ControllerExpandVolumeResponse* response) {
    ::csi::v1::ControllerExpandVolumeRequest request;
    request.set_volume_id(id);
    request.mutable_capacity_range()->set_required_bytes(required);
    request.mutable_capacity_range()->set_limit_bytes(limit);
    return controller_.ControllerExpandVolume(nullptr, &request, response).error_code();
  }
  int Volumes() { return agent_.ListVolumes({})->volumes_size(); }

  template <typename Request, typename Response>
  void ExpectUnimplemented(grpc::Status (::csi::v1::Controller::Service::*method)(
      grpc::ServerContext*, const Request*, Response*)) {
    const Request request;
    Response response;
    const grpc::Status status = (controller_.*method)(nullptr, &request, &response);
    EXPECT_EQ(status.error_code(), StatusCode::UNIMPLEMENTED) << Request::descriptor()->name();
    EXPECT_THAT(status.error_message(), Not(IsEmpty())) << Request::descriptor()->name();
  }

  HalfAgent agent_;
  Controller controller_{Placement{kKey, "node-1"}, &agent_};
  ::csi::v1::CreateVolumeResponse response_;
};

TEST_F(ControllerTest, Create_Twice_IsOneVolume) {
  ASSERT_TRUE(Create(Request("a", 16 * kMiB)).ok());
  const std::string id = response_.volume().volume_id();
  EXPECT_EQ(response_.volume().capacity_bytes(), 16 * kMiB);
  EXPECT_EQ(response_.volume().accessible_topology(0).segments().at(kKey), "node-1");
  ASSERT_TRUE(Create(Request("a", 16 * kMiB)).ok());
  EXPECT_EQ(response_.volume().volume_id(), id);
  EXPECT_EQ(Volumes(), 1);
}

TEST_F(ControllerTest, Secrets_GoToTheAgentBeforeWhatNeedsThem) {
  ::csi::v1::CreateVolumeRequest request = Request("a", 16 * kMiB);
  (*request.mutable_secrets())["encryption_key"] = "k";
  ASSERT_TRUE(Create(request).ok());
  EXPECT_EQ(agent_.last_create().secrets().at("encryption_key"), "k");
  ::csi::v1::DeleteVolumeRequest remove;
  remove.set_volume_id(response_.volume().volume_id());
  (*remove.mutable_secrets())["encryption_key"] = "again";
  ::csi::v1::DeleteVolumeResponse removed;
  ASSERT_TRUE(controller_.DeleteVolume(nullptr, &remove, &removed).ok());
  EXPECT_EQ(agent_.last_secrets().secrets().at("encryption_key"), "again");
  EXPECT_EQ(Volumes(), 0);
}

TEST_F(ControllerTest, Create_SameNameOtherProperties_IsAlreadyExists) {
  ASSERT_TRUE(Create(Request("a", 16 * kMiB)).ok());
  EXPECT_EQ(Create(Request("a", 32 * kMiB)).error_code(), StatusCode::ALREADY_EXISTS);
  ::csi::v1::CreateVolumeRequest request = Request("a", 16 * kMiB);
  (*request.mutable_parameters())["driver"] = "file";
  EXPECT_EQ(Create(request).error_code(), StatusCode::ALREADY_EXISTS);
  request = Request("a", 16 * kMiB);
  (*request.mutable_parameters())["blockSize"] = "4096";
  EXPECT_EQ(Create(request).error_code(), StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(Volumes(), 1);
}

TEST_F(ControllerTest, Create_SameNameTooSmallForTheFilesystem_IsAlreadyExists) {
  ASSERT_TRUE(Create(Request("a", 16 * kMiB)).ok());
  ::csi::v1::CreateVolumeRequest request = Request("a", 16 * kMiB);
  (*request.mutable_parameters())[kFsTypeKey] = "xfs";
  EXPECT_EQ(Create(request).error_code(), StatusCode::ALREADY_EXISTS);
}

TEST_F(ControllerTest, Create_FailsForGood_LeavesNothingBehind) {
  agent_.after_create = absl::InternalError("disk");
  EXPECT_EQ(Create(Request("a", 16 * kMiB)).error_code(), StatusCode::INTERNAL);
  EXPECT_EQ(Volumes(), 0);
  agent_.after_create = absl::NotFoundError("directory");
  EXPECT_EQ(Create(Request("a", 16 * kMiB)).error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(Volumes(), 0);
}

TEST_F(ControllerTest, Create_WillBeRepeated_IsNotUndone) {
  for (const absl::Status& error :
       {absl::UnavailableError("u"), absl::DeadlineExceededError("d"), absl::AbortedError("a")}) {
    agent_.after_create = error;
    EXPECT_EQ(static_cast<int>(Create(Request("a", 16 * kMiB)).error_code()), error.raw_code());
    EXPECT_EQ(Volumes(), 1);
    ASSERT_TRUE(Create(Request("a", 16 * kMiB)).ok());
    ASSERT_TRUE(Delete(response_.volume().volume_id()).ok());
  }
}

TEST_F(ControllerTest, Create_UndoFails_IsAbortedSoThatItIsRepeated) {
  agent_.after_create = absl::InternalError("disk");
  agent_.FailNext("DeleteVolume", absl::UnavailableError("down"));
  const grpc::Status status = Create(Request("a", 16 * kMiB));
  EXPECT_EQ(status.error_code(), StatusCode::ABORTED);
  EXPECT_THAT(status.error_message(), HasSubstr("disk"));
}

TEST_F(ControllerTest, Create_InterruptedOne_IsFinishedWithItsSize) {
  ASSERT_TRUE(Create(Request("a", 16 * kMiB)).ok());
  agent_.half_made = true;
  ::csi::v1::CreateVolumeRequest request = Request("a", 8 * kMiB);
  request.mutable_capacity_range()->set_limit_bytes(32 * kMiB);
  ASSERT_TRUE(Create(request).ok());
  EXPECT_EQ(agent_.Calls("CreateVolume"), 2);
  EXPECT_EQ(response_.volume().capacity_bytes(), 16 * kMiB);
}

TEST_F(ControllerTest, Create_SameNameConcurrently_IsAborted) {
  agent_.during_create = [&] {
    EXPECT_EQ(Create(Request("a", 16 * kMiB)).error_code(), StatusCode::ABORTED);
    EXPECT_TRUE(Create(Request("b", 16 * kMiB)).ok());
  };
  EXPECT_TRUE(Create(Request("a", 16 * kMiB)).ok());
  EXPECT_EQ(Volumes(), 2);
}

TEST_F(ControllerTest, Create_OtherNodesOnly_IsResourceExhausted) {
  ::csi::v1::CreateVolumeRequest request = Request("a", 16 * kMiB);
  auto& requisite = *request.mutable_accessibility_requirements()->add_requisite();
  (*requisite.mutable_segments())[kKey] = "node-2";
  EXPECT_EQ(Create(request).error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Volumes(), 0);
}

TEST_F(ControllerTest, Delete_MissingOrGone_Succeeds) {
  ASSERT_TRUE(Create(Request("a", 16 * kMiB)).ok());
  const std::string id = response_.volume().volume_id();
  EXPECT_TRUE(Delete("no-such-volume").ok());
  EXPECT_TRUE(Delete(AgentVolumeName("a")).ok());  // a name, which is no id
  EXPECT_EQ(Volumes(), 1);
  EXPECT_TRUE(Delete(id).ok());
  EXPECT_TRUE(Delete(id).ok());
  EXPECT_EQ(Volumes(), 0);
}

TEST_F(ControllerTest, Delete_Attached_IsRefused) {
  ASSERT_TRUE(Create(Request("a", 16 * kMiB)).ok());
  v1::AttachVolumeRequest attach;
  attach.set_volume(response_.volume().volume_id());
  ASSERT_TRUE(agent_.AttachVolume(attach).ok());
  EXPECT_EQ(Delete(attach.volume()).error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(Volumes(), 1);
}

TEST_F(ControllerTest, Expand_GrowsToBlocksOnceAndNeverShrinks) {
  auto create = Request("a", 16 * kMiB);
  (*create.mutable_parameters())["driver"] = "file";
  ASSERT_TRUE(Create(create).ok());
  const std::string id = response_.volume().volume_id();
  ::csi::v1::ControllerExpandVolumeResponse expanded;
  EXPECT_EQ(Expand(id, 32 * kMiB - 1, 0, &expanded), StatusCode::OK);
  EXPECT_EQ(expanded.capacity_bytes(), 32 * kMiB);
  EXPECT_TRUE(expanded.node_expansion_required());
  EXPECT_EQ(Expand(id, 32 * kMiB, 0, &expanded), StatusCode::OK);
  EXPECT_EQ(Expand(id, 16 * kMiB, 0, &expanded), StatusCode::OK);
  EXPECT_EQ(expanded.capacity_bytes(), 32 * kMiB);
  EXPECT_EQ(agent_.Calls("ResizeVolume"), 1);
  EXPECT_EQ(Expand(id, 0, 16 * kMiB, &expanded), StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(Expand(id, 64 * kMiB + 1, 64 * kMiB + 2, &expanded), StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(Expand(id, -1, 0, &expanded), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Expand("", 64 * kMiB, 0, &expanded), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Expand("no-such-volume", 64 * kMiB, 0, &expanded), StatusCode::NOT_FOUND);
  EXPECT_EQ(agent_.Calls("ResizeVolume"), 1);
}

TEST_F(ControllerTest, Expand_OfADriverThatCant_IsInfeasibleAndNotUnimplemented) {
  ASSERT_TRUE(Create(Request("a", 16 * kMiB)).ok());
  ::csi::v1::ControllerExpandVolumeResponse expanded;
  EXPECT_EQ(Expand(response_.volume().volume_id(), 32 * kMiB, 0, &expanded),
            StatusCode::INVALID_ARGUMENT);
}

TEST_F(ControllerTest, Expand_OnNodeOnly_IsNeitherAnnouncedNorDone) {
  const auto announced = [&](Controller& controller) {
    ::csi::v1::ControllerGetCapabilitiesResponse response;
    EXPECT_TRUE(controller.ControllerGetCapabilities(nullptr, nullptr, &response).ok());
    for (const auto& capability : response.capabilities()) {
      if (capability.rpc().type() == ::csi::v1::ControllerServiceCapability::RPC::EXPAND_VOLUME) {
        return true;
      }
    }
    return false;
  };
  Controller on_node{Placement{kKey, "node-1"}, &agent_, Expansion::kOnNodeOnly};
  EXPECT_TRUE(announced(controller_));
  EXPECT_FALSE(announced(on_node));
  ::csi::v1::ControllerExpandVolumeRequest request;
  ::csi::v1::ControllerExpandVolumeResponse response;
  EXPECT_EQ(on_node.ControllerExpandVolume(nullptr, &request, &response).error_code(),
            StatusCode::UNIMPLEMENTED);
}

TEST_F(ControllerTest, MissingFields_AreInvalid) {
  EXPECT_EQ(Create(Request("", 16 * kMiB)).error_code(), StatusCode::INVALID_ARGUMENT);
  ::csi::v1::CreateVolumeRequest request = Request("a", 16 * kMiB);
  request.clear_volume_capabilities();
  EXPECT_EQ(Create(request).error_code(), StatusCode::INVALID_ARGUMENT);
  request = Request("a", 16 * kMiB);
  (*request.mutable_parameters())["colour"] = "blue";
  EXPECT_EQ(Create(request).error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Delete("").error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(agent_.Calls("CreateVolume"), 0);
}

TEST_F(ControllerTest, Validate_UnknownVolume_IsNotFound) {
  ::csi::v1::ValidateVolumeCapabilitiesRequest request;
  ::csi::v1::ValidateVolumeCapabilitiesResponse response;
  EXPECT_EQ(controller_.ValidateVolumeCapabilities(nullptr, &request, &response).error_code(),
            StatusCode::INVALID_ARGUMENT);
  request.set_volume_id("no-such-volume");
  EXPECT_EQ(controller_.ValidateVolumeCapabilities(nullptr, &request, &response).error_code(),
            StatusCode::INVALID_ARGUMENT);
  *request.mutable_volume_capabilities() = Request("a", 0).volume_capabilities();
  EXPECT_EQ(controller_.ValidateVolumeCapabilities(nullptr, &request, &response).error_code(),
            StatusCode::NOT_FOUND);
}

TEST_F(ControllerTest, CallsWithoutCapability_AreUnimplementedAndSaySo) {
  using Service = ::csi::v1::Controller::Service;
  ExpectUnimplemented(&Service::ControllerPublishVolume);
  ExpectUnimplemented(&Service::ControllerUnpublishVolume);
  ExpectUnimplemented(&Service::ListVolumes);
  ExpectUnimplemented(&Service::GetCapacity);
  ExpectUnimplemented(&Service::CreateSnapshot);
  ExpectUnimplemented(&Service::DeleteSnapshot);
  ExpectUnimplemented(&Service::ListSnapshots);
  ExpectUnimplemented(&Service::GetSnapshot);
  ExpectUnimplemented(&Service::ControllerGetVolume);
  ExpectUnimplemented(&Service::ControllerModifyVolume);
}

}  // namespace
}  // namespace diskd::csi
