// SPDX-License-Identifier: Apache-2.0
#include "client/lib/status.h"

#include <cstdlib>
#include <fstream>

#include "base/packet_socket.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diskd::client {
namespace {

using ::testing::HasSubstr;

TEST(StatusFromGrpc_EveryCode, StaysTheSame) {
  EXPECT_TRUE(StatusFromGrpc(grpc::Status::OK).ok());
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status =
        StatusFromGrpc(grpc::Status(static_cast<grpc::StatusCode>(code), "why"));
    EXPECT_EQ(static_cast<int>(status.code()), code);
    EXPECT_EQ(status.message(), "why");
  }
}

TEST(StatusFromGrpc_CodeThatDoesNotExist, IsUnknownAndKeepsTheNumber) {
  const absl::Status status = StatusFromGrpc(grpc::Status(static_cast<grpc::StatusCode>(20), "x"));
  EXPECT_TRUE(absl::IsUnknown(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("20"));
}

class CheckSocketTest : public ::testing::Test {
 protected:
  CheckSocketTest() {
    char folder[] = "/tmp/diskd-status-test.XXXXXX";
    EXPECT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
    path_ = folder_ + "/diskd.sock";
  }
  ~CheckSocketTest() override {
    unlink(path_.c_str());
    rmdir(folder_.c_str());
  }
  std::string folder_;
  std::string path_;
};

TEST_F(CheckSocketTest, NoFile_AsksWhetherTheAgentRuns) {
  const absl::Status status = CheckSocket(path_);
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("Is the agent running?"));
}

TEST_F(CheckSocketTest, FileWithoutListener_SaysThatTheAgentStopped) {
  std::ofstream(path_) << "left over";
  const absl::Status status = CheckSocket(path_);
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("has stopped or crashed"));
}

TEST_F(CheckSocketTest, AnotherKindOfSocket_IsNotTheAgents) {
  const absl::StatusOr<Fd> driver_socket = ListenPacketSocket(path_);
  ASSERT_TRUE(driver_socket.ok());
  const absl::Status status = CheckSocket(path_);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("is not the agent's"));
}

TEST_F(CheckSocketTest, LongPath_IsRefused) {
  EXPECT_TRUE(absl::IsInvalidArgument(CheckSocket("/" + std::string(200, 'x'))));
  EXPECT_TRUE(absl::IsInvalidArgument(CheckSocket("")));
}

TEST_F(CheckSocketTest, UnreachableError_IsMarkedAndOthersAreNot) {
  const absl::Status cause = absl::UnavailableError("Socket closed");
  const absl::Status status = AgentUnreachableError(path_, cause);
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_TRUE(IsAgentUnreachable(status));
  EXPECT_FALSE(IsAgentUnreachable(cause));
  EXPECT_FALSE(IsAgentUnreachable(absl::OkStatus()));
}

}  // namespace
}  // namespace diskd::client
