// SPDX-License-Identifier: Apache-2.0
//
// Pins csi.v1 to version 1.12 of the Container Storage Interface: the listing of every name,
// number and type, and the bytes of one request.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "client/csi/wire_listing.h"
#include "proto/csi/v1/csi.pb.h"
#include "proto/csi/v1/group.pb.h"

namespace diskd::csi {
namespace {

using ::csi::v1::NodePublishVolumeRequest;
using ::csi::v1::VolumeCapability;

std::vector<std::string> Golden() {
  std::ifstream file(std::string(DISKD_CSI_TESTDATA) + "/csi_v1_12.txt");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

TEST(Wire, Declarations_AreThoseOfVersion1_12) {
  const std::vector<std::string> golden = Golden();
  ASSERT_GT(golden.size(), 300u);
  EXPECT_THAT(WireListing({::csi::v1::CreateVolumeRequest::descriptor()->file(),
                           ::csi::v1::Volume::descriptor()->file(),
                           ::csi::v1::BlockMetadata::descriptor()->file(),
                           ::google::protobuf::DescriptorPool::generated_pool()->FindFileByName(
                               "proto/csi/v1/options.proto")}),
              ::testing::ElementsAreArray(golden));
}

TEST(Wire, PublishRequest_HasTheseBytes) {
  NodePublishVolumeRequest request;
  request.set_volume_id("v");
  request.set_staging_target_path("/s");
  request.set_target_path("/t");
  request.mutable_volume_capability()->mutable_mount()->set_fs_type("xfs");
  request.mutable_volume_capability()->mutable_mount()->add_mount_flags("noatime");
  request.mutable_volume_capability()->mutable_access_mode()->set_mode(
      VolumeCapability::AccessMode::SINGLE_NODE_MULTI_WRITER);
  request.set_readonly(true);
  (*request.mutable_secrets())["k"] = "p";
  EXPECT_EQ(absl::BytesToHexString(request.SerializeAsString()),
            "0a0176"    // 1 volume_id
            "1a022f73"  // 3 staging_target_path
            "22022f74"  // 4 target_path
            "2a14"      // 5 volume_capability
            "120e0a037866731207"
            "6e6f6174696d65"      //   2 mount: 1 fs_type, 2 mount_flags
            "1a020807"            //   3 access_mode: 1 mode
            "3001"                // 6 readonly
            "3a060a016b120170");  // 7 secrets
}

}  // namespace
}  // namespace diskd::csi
