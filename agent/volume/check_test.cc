// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/check.h"

#include "agent/volume/names.h"
#include "gtest/gtest.h"

namespace diskd::agent {
namespace {

std::vector<diskd::v1::DriverInfo> Drivers() {
  diskd::v1::DriverInfo file, broken;
  file.set_name("file");
  file.add_parameters()->set_name("dir");
  broken.set_name("broken");
  broken.set_problem("it exits with status 3");
  return {broken, file};
}

struct CreateCase {
  const char* label;
  std::string name;
  std::string driver;
  uint64_t size;
  uint32_t block;
  std::string parameter;
  std::string complaint;  // part of the message; empty: fine
};

class CheckCreateTest : public testing::TestWithParam<CreateCase> {};

TEST_P(CheckCreateTest, SaysWhatToDo) {
  const CreateCase& c = GetParam();
  diskd::v1::CreateVolumeRequest request;
  request.set_name(c.name);
  request.set_driver(c.driver);
  request.set_size_bytes(c.size);
  request.set_logical_block_bytes(c.block);
  if (!c.parameter.empty()) (*request.mutable_parameters())[c.parameter] = "x";
  const auto checked = CheckCreate(request, Drivers());
  if (c.complaint.empty()) {
    ASSERT_TRUE(checked.ok()) << checked.status();
    EXPECT_EQ(checked->logical_block_bytes(), c.block == 0 ? 512 : c.block);
    return;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(checked.status())) << checked.status();
  EXPECT_NE(checked.status().message().find(c.complaint), absl::string_view::npos)
      << checked.status();
}

constexpr uint64_t kMiB = 1 << 20;

INSTANTIATE_TEST_SUITE_P(
    Table, CheckCreateTest,
    testing::Values(
        CreateCase{"Plain", "data", "file", kMiB, 0, "", ""},
        CreateCase{"Parameter", "data", "file", kMiB, 4096, "dir", ""},
        CreateCase{"LongestName", std::string(128, 'a'), "file", kMiB, 0, "", ""},
        CreateCase{"AllNameBytes", "0Az._-", "file", kMiB, 0, "", ""},
        CreateCase{"LargestSize", "data", "file", kMaxVolumeBytes, 0, "", ""},
        CreateCase{"EmptyName", "", "file", kMiB, 0, "", "use 1 to 128"},
        CreateCase{"NameTooLong", std::string(129, 'a'), "file", kMiB, 0, "", "use 1 to 128"},
        CreateCase{"Slash", "a/b", "file", kMiB, 0, "", "letters, digits"},
        CreateCase{"LeadingDot", ".a", "file", kMiB, 0, "", "begin with"},
        CreateCase{"LeadingDash", "-a", "file", kMiB, 0, "", "begin with"},
        CreateCase{"Umlaut", "\xc3\xa4", "file", kMiB, 0, "", "letters, digits"},
        CreateCase{"Newline", "a\n", "file", kMiB, 0, "", "letters, digits"},
        CreateCase{"LooksLikeId", "vol-0123456789abcdef", "file", kMiB, 0, "", "looks like"},
        CreateCase{"NoSize", "data", "file", 0, 0, "", "at least 1048576"},
        CreateCase{"TooSmall", "data", "file", kMiB - 512, 0, "", "at least 1048576"},
        CreateCase{"TooLarge", "data", "file", kMaxVolumeBytes + 512, 0, "", "at most"},
        CreateCase{"NotAMultiple", "data", "file", kMiB + 1, 0, "", "round it to 1048576"},
        CreateCase{"NotAMultipleOf4096", "data", "file", kMiB + 512, 4096, "", "multiple"},
        CreateCase{"OddBlock", "data", "file", kMiB, 513, "", "512, 1024, 2048 or 4096"},
        CreateCase{"BlockTooLarge", "data", "file", kMiB, 8192, "", "512, 1024, 2048 or 4096"},
        CreateCase{"NoDriver", "data", "", kMiB, 0, "", "available drivers are file"},
        CreateCase{"UnknownDriver", "data", "nosuch", kMiB, 0, "", "available drivers are file"},
        CreateCase{"BrokenDriver", "data", "broken", kMiB, 0, "", "exits with status 3"},
        CreateCase{"UnknownParameter", "data", "file", kMiB, 0, "colour", "parameters are dir"}),
    [](const auto& info) { return info.param.label; });

TEST(VolumeId, IsRecognizedByItsForm) {
  EXPECT_TRUE(IsVolumeId(NewVolumeId()));
  EXPECT_NE(NewVolumeId(), NewVolumeId());
  EXPECT_FALSE(IsVolumeId("vol-0123456789abcdeg"));
  EXPECT_FALSE(IsVolumeId("vol-0123456789ABCDEF"));
  EXPECT_FALSE(IsVolumeId("vol-0123456789abcdef0"));
}

TEST(CheckAttach_Transport, BestAvailableOneOrTheReasonWhyNot) {
  diskd::v1::TransportInfo buse, fuse;
  buse.set_transport(diskd::v1::TRANSPORT_BUSE);
  buse.set_reason("no module");
  fuse.set_transport(diskd::v1::TRANSPORT_FUSE);
  fuse.set_available(true);
  diskd::v1::AttachVolumeRequest request;
  const auto chosen = CheckAttach(request, {buse, fuse}, 2);
  ASSERT_TRUE(chosen.ok());
  EXPECT_EQ(chosen->transport, diskd::v1::TRANSPORT_FUSE);
  EXPECT_EQ(chosen->queues, 2u);
  EXPECT_EQ(chosen->queue_depth, kDefaultQueueDepth);
  request.set_transport(diskd::v1::TRANSPORT_BUSE);
  const absl::Status refused = CheckAttach(request, {buse, fuse}, 2).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused));
  EXPECT_NE(refused.message().find("no module"), absl::string_view::npos) << refused;
}

TEST(CheckAttach_Queues, AreBoundedAndDefaultToTheCpusUpToFour) {
  diskd::v1::TransportInfo fuse;
  fuse.set_transport(diskd::v1::TRANSPORT_FUSE);
  fuse.set_available(true);
  diskd::v1::AttachVolumeRequest request;
  EXPECT_EQ(CheckAttach(request, {fuse}, 0)->queues, 1u);
  EXPECT_EQ(CheckAttach(request, {fuse}, 128)->queues, 4u);
  request.set_queues(kMaxQueues + 1);
  EXPECT_TRUE(absl::IsInvalidArgument(CheckAttach(request, {fuse}, 1).status()));
  request.set_queues(1);
  request.set_queue_depth(kMaxQueueDepth + 1);
  EXPECT_TRUE(absl::IsInvalidArgument(CheckAttach(request, {fuse}, 1).status()));
}

}  // namespace
}  // namespace diskd::agent
