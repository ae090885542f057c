// SPDX-License-Identifier: Apache-2.0
#include "client/lib/fake_agent.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diskd::client {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kGiB = 1ull << 30;

v1::CreateVolumeRequest CreateRequest(const std::string& name, uint64_t size_bytes = kGiB) {
  v1::CreateVolumeRequest request;
  request.set_name(name);
  request.set_driver("file");
  request.set_size_bytes(size_bytes);
  return request;
}

v1::AttachVolumeRequest AttachRequest(const std::string& volume) {
  v1::AttachVolumeRequest request;
  request.set_volume(volume);
  return request;
}

v1::DetachVolumeRequest DetachRequest(const std::string& volume, bool force = false) {
  v1::DetachVolumeRequest request;
  request.set_volume(volume);
  request.set_force(force);
  return request;
}

v1::DeleteVolumeRequest DeleteRequest(const std::string& volume) {
  v1::DeleteVolumeRequest request;
  request.set_volume(volume);
  return request;
}

TEST(FakeAgent_Create, SameAgainIsTheSameVolumeAndAnotherIsRefused) {
  FakeAgent agent;
  const auto first = agent.CreateVolume(CreateRequest("a"));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->volume().id(), "vol-0000000000000001");
  EXPECT_EQ(agent.CreateVolume(CreateRequest("a"))->volume().id(), first->volume().id());
  const absl::Status other = agent.CreateVolume(CreateRequest("a", 2 * kGiB)).status();
  EXPECT_TRUE(absl::IsAlreadyExists(other));
  EXPECT_THAT(std::string(other.message()), HasSubstr("size"));
}

TEST(FakeAgent_Create, RefusesWhatTheContractRefuses) {
  FakeAgent agent;
  const auto code = [&](const v1::CreateVolumeRequest& request) {
    return agent.CreateVolume(request).status().code();
  };
  EXPECT_EQ(code(CreateRequest("")), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(CreateRequest("-a")), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(CreateRequest(std::string(129, 'a'))), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(CreateRequest("a", 0)), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(CreateRequest("a", kGiB + 1)), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(CreateRequest("a", 1ull << 51)), absl::StatusCode::kInvalidArgument);
  v1::CreateVolumeRequest request = CreateRequest("a");
  request.set_logical_block_bytes(513);
  EXPECT_EQ(code(request), absl::StatusCode::kInvalidArgument);
  request = CreateRequest("a");
  request.set_driver("nosuch");
  EXPECT_EQ(code(request), absl::StatusCode::kInvalidArgument);
  request = CreateRequest("a");
  (*request.mutable_parameters())["colour"] = "blue";
  EXPECT_EQ(code(request), absl::StatusCode::kInvalidArgument);
  agent.SetCapacity(kGiB / 2);
  EXPECT_EQ(code(CreateRequest("a")), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ListAllVolumes(agent)->size(), 0u);
}

TEST(FakeAgent_Attach, SameAgainIsTheSameDeviceAndAnotherIsRefused) {
  FakeAgent agent;
  ASSERT_TRUE(agent.CreateVolume(CreateRequest("a")).ok());
  const auto first = agent.AttachVolume(AttachRequest("a"));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->attachment().transport(), v1::TRANSPORT_FUSE);
  EXPECT_EQ(agent.AttachVolume(AttachRequest("a"))->attachment().device_path(),
            first->attachment().device_path());
  v1::AttachVolumeRequest read_only = AttachRequest("a");
  read_only.set_read_only(true);
  EXPECT_TRUE(absl::IsAlreadyExists(agent.AttachVolume(read_only).status()));
}

TEST(FakeAgent_Attach, RefusesMissingVolumesAndTransports) {
  FakeAgent agent;
  EXPECT_TRUE(absl::IsNotFound(agent.AttachVolume(AttachRequest("a")).status()));
  ASSERT_TRUE(agent.CreateVolume(CreateRequest("a")).ok());
  v1::AttachVolumeRequest buse = AttachRequest("a");
  buse.set_transport(v1::TRANSPORT_BUSE);
  EXPECT_TRUE(absl::IsFailedPrecondition(agent.AttachVolume(buse).status()));
  agent.SetTransports({});
  EXPECT_TRUE(absl::IsFailedPrecondition(agent.AttachVolume(AttachRequest("a")).status()));
}

TEST(FakeAgent_Detach, OpenDeviceNeedsForceAndNothingIsASuccess) {
  FakeAgent agent;
  EXPECT_TRUE(agent.DetachVolume(DetachRequest("nosuch")).ok());
  ASSERT_TRUE(agent.CreateVolume(CreateRequest("a")).ok());
  EXPECT_TRUE(agent.DetachVolume(DetachRequest("a")).ok());
  ASSERT_TRUE(agent.AttachVolume(AttachRequest("a")).ok());
  agent.SetDeviceOpen("a", true);
  EXPECT_TRUE(absl::IsFailedPrecondition(agent.DetachVolume(DetachRequest("a")).status()));
  EXPECT_TRUE(agent.DetachVolume(DetachRequest("a", /*force=*/true)).ok());
  EXPECT_EQ(agent.ListAttachments({})->attachments_size(), 0);
}

TEST(FakeAgent_Delete, AttachedIsRefusedAndNothingIsASuccess) {
  FakeAgent agent;
  EXPECT_TRUE(agent.DeleteVolume(DeleteRequest("a")).ok());
  const auto volume = agent.CreateVolume(CreateRequest("a"));
  ASSERT_TRUE(agent.AttachVolume(AttachRequest("a")).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(agent.DeleteVolume(DeleteRequest("a")).status()));
  ASSERT_TRUE(agent.DetachVolume(DetachRequest("a")).ok());
  EXPECT_TRUE(agent.DeleteVolume(DeleteRequest(volume->volume().id())).ok());
  EXPECT_NE(agent.CreateVolume(CreateRequest("a"))->volume().id(), volume->volume().id());
}

TEST(FakeAgent_Busy, ChangesAreAborted) {
  FakeAgent agent;
  ASSERT_TRUE(agent.CreateVolume(CreateRequest("a")).ok());
  agent.SetBusy("a", true);
  EXPECT_TRUE(absl::IsAborted(agent.AttachVolume(AttachRequest("a")).status()));
  EXPECT_TRUE(absl::IsAborted(agent.DeleteVolume(DeleteRequest("a")).status()));
  agent.SetBusy("a", false);
  EXPECT_TRUE(agent.AttachVolume(AttachRequest("a")).ok());
}

TEST(FakeAgent_Pages, CoverEveryVolumeOnce) {
  FakeAgent agent;
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(agent.CreateVolume(CreateRequest("v" + std::to_string(i))).ok());
  }
  v1::ListVolumesRequest request;
  request.set_page_size(2);
  std::vector<std::string> names;
  do {
    const auto page = agent.ListVolumes(request);
    ASSERT_TRUE(page.ok());
    for (const v1::Volume& volume : page->volumes()) names.push_back(volume.name());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(names, ::testing::ElementsAre("v0", "v1", "v2", "v3", "v4"));
}

TEST(FakeAgent_Failures, ComeInOrderAndHaveNoEffect) {
  FakeAgent agent;
  agent.FailNext("CreateVolume", absl::InternalError("one"));
  agent.FailNext("CreateVolume", absl::AbortedError("two"));
  EXPECT_TRUE(absl::IsInternal(agent.CreateVolume(CreateRequest("a")).status()));
  EXPECT_TRUE(absl::IsAborted(agent.CreateVolume(CreateRequest("a")).status()));
  EXPECT_EQ(ListAllVolumes(agent)->size(), 0u);
  EXPECT_TRUE(agent.CreateVolume(CreateRequest("a")).ok());
  EXPECT_EQ(agent.Calls("CreateVolume"), 3);
}

// An agent whose pages never end.
TEST(ListAllVolumes_EndlessPages, AreGivenUp) {
  struct Endless : FakeAgent {
    absl::StatusOr<v1::ListVolumesResponse> ListVolumes(const v1::ListVolumesRequest&) override {
      v1::ListVolumesResponse response;
      response.set_next_page_token("again");
      return response;
    }
  } agent;
  EXPECT_TRUE(absl::IsInternal(ListAllVolumes(agent).status()));
}

}  // namespace
}  // namespace diskd::client
