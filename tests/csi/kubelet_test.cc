// SPDX-License-Identifier: Apache-2.0
//
// Plays kubelet: disk-csi, a private agent, the file driver, real mounts. Every call twice.
// Exit code 77: the machine can't run it.
#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "proto/csi/v1/csi.grpc.pb.h"

namespace diskd::csi {
namespace {

namespace fs = std::filesystem;
using ::csi::v1::VolumeCapability;

constexpr int64_t kSizeBytes = 64 << 20;
constexpr int64_t kXfsSizeBytes = 300 << 20;  // mkfs.xfs refuses less
constexpr std::chrono::seconds kCallLimit{60};

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// Growing a mounted ext4 needs CAP_SYS_RESOURCE, which some containers don't have.
bool MayGrowExt4() {
  const std::string status = ReadFile("/proc/self/status");
  const size_t at = status.find("CapEff:");
  return at != std::string::npos &&
         (std::stoull(status.substr(at + 7), nullptr, 16) >> CAP_SYS_RESOURCE & 1) != 0;
}

bool HasXfs() {
  return std::system(
             "modprobe -q xfs 2>/dev/null; grep -qw xfs /proc/filesystems && "
             "command -v mkfs.xfs xfs_growfs >/dev/null") == 0;
}

class Kubelet : public ::testing::TestWithParam<std::string> {  // "ext4", "xfs", "block"
 protected:
  void SetUp() override {
    if (GetParam() == "xfs") {
      if (!HasXfs()) GTEST_SKIP() << "this machine has no xfs";
      size_ = kXfsSizeBytes;
    }
    char pattern[] = "/tmp/diskd-kubelet.XXXXXX";
    work_ = mkdtemp(pattern);
    const std::string bin = getenv("DISKD_BIN_DIR");
    for (const char* name : {"/state", "/run", "/links", "/staging", "/pods"}) {
      fs::create_directory(work_ + name);
    }
    agent_ = Start({bin + "/diskd", "--state-dir", work_ + "/state", "--run-dir", work_ + "/run",
                    "--link-dir", work_ + "/links", "--driver-dir", bin + "/drivers"});
    plugin_ = Start({bin + "/disk-csi", "--endpoint", "unix://" + work_ + "/csi.sock", "--agent",
                     work_ + "/run/diskd.sock", "--node-id", "node-a"});
    const auto channel =
        grpc::CreateChannel("unix:" + work_ + "/csi.sock", grpc::InsecureChannelCredentials());
    controller_ = ::csi::v1::Controller::NewStub(channel);
    node_ = ::csi::v1::Node::NewStub(channel);
    if (GetParam() == "block") {
      capability_.mutable_block();
    } else {
      capability_.mutable_mount()->set_fs_type(GetParam());
    }
    capability_.mutable_access_mode()->set_mode(
        VolumeCapability::AccessMode::SINGLE_NODE_SINGLE_WRITER);
  }

  void TearDown() override {
    if (IsSkipped()) return;
    for (const pid_t pid : {plugin_, agent_}) {
      if (pid <= 0) continue;
      kill(pid, SIGTERM);
      waitpid(pid, nullptr, 0);
    }
    EXPECT_EQ(ReadFile("/proc/self/mountinfo").find(work_), std::string::npos) << "mounts are left";
    EXPECT_TRUE(fs::is_empty(work_ + "/links")) << "attachments are left";
    EXPECT_TRUE(fs::is_empty(work_ + "/staging"));
    EXPECT_TRUE(fs::is_empty(work_ + "/pods"));
    if (!HasFailure()) fs::remove_all(work_);
  }

  pid_t Start(std::vector<std::string> arguments) {
    const pid_t pid = fork();
    if (pid != 0) return pid;
    const int log = open((work_ + "/log").c_str(), O_CREAT | O_APPEND | O_WRONLY, 0600);
    dup2(log, 1);
    dup2(log, 2);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    execv(argv[0], argv.data());
    _exit(127);
  }

  // Makes the call twice; both have to succeed.
  template <typename Stub, typename Request, typename Response>
  Response Twice(Stub& stub,
                 grpc::Status (Stub::*call)(grpc::ClientContext*, const Request&, Response*),
                 const Request& request) {
    Response response;
    for (int i = 0; i < 2; ++i) {
      const grpc::Status status = Once(stub, call, request, &response);
      EXPECT_TRUE(status.ok()) << Request::descriptor()->name() << " call " << i + 1 << ": "
                               << status.error_message() << "\n"
                               << ReadFile(work_ + "/log");
    }
    return response;
  }
  template <typename Stub, typename Request, typename Response>
  grpc::Status Once(Stub& stub,
                    grpc::Status (Stub::*call)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(std::chrono::system_clock::now() + kCallLimit);
    return (stub.*call)(&context, request, response);
  }

  // Writes through the target and reads it back.
  void UseTarget(const std::string& target) {
    const std::string path = GetParam() == "block" ? target : target + "/file";
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ASSERT_GE(fd, 0) << path;
    ASSERT_EQ(pwrite(fd, "kubelet", 7, 8192), 7);
    ASSERT_EQ(fsync(fd), 0);
    char back[8] = {};
    ASSERT_EQ(pread(fd, back, 7, 8192), 7);
    EXPECT_STREQ(back, "kubelet");
    struct stat info;
    ASSERT_EQ(fstat(fd, &info), 0);
    EXPECT_EQ(S_ISBLK(info.st_mode), GetParam() == "block");
    close(fd);
  }

  int64_t Total(const std::string& id) {
    ::csi::v1::NodeGetVolumeStatsRequest stats;
    stats.set_volume_id(id);
    stats.set_volume_path(work_ + "/pods/target");
    return Twice(*node_, &::csi::v1::Node::Stub::NodeGetVolumeStats, stats).usage(0).total();
  }

  // Of the published volume, under its users.
  void ExpandOnNode(const std::string& id, int64_t bytes) {
    ::csi::v1::NodeExpandVolumeRequest request;
    request.set_volume_id(id);
    request.set_volume_path(work_ + "/pods/target");
    request.set_staging_target_path(work_ + "/staging");
    request.mutable_capacity_range()->set_required_bytes(bytes);
    *request.mutable_volume_capability() = capability_;
    if (GetParam() == "ext4" && !MayGrowExt4()) {
      ::csi::v1::NodeExpandVolumeResponse response;
      EXPECT_EQ(
          Once(*node_, &::csi::v1::Node::Stub::NodeExpandVolume, request, &response).error_code(),
          grpc::StatusCode::INTERNAL);
      return;
    }
    const auto expanded = Twice(*node_, &::csi::v1::Node::Stub::NodeExpandVolume, request);
    EXPECT_EQ(expanded.capacity_bytes(), bytes);
    // A file system needs some for itself.
    EXPECT_GT(Total(id), bytes * 3 / 4);
    EXPECT_LE(Total(id), bytes);
    UseTarget(work_ + "/pods/target");
  }

  int64_t size_ = kSizeBytes;
  std::string work_;
  pid_t agent_ = 0, plugin_ = 0;
  std::unique_ptr<::csi::v1::Controller::Stub> controller_;
  std::unique_ptr<::csi::v1::Node::Stub> node_;
  VolumeCapability capability_;
};

TEST_P(Kubelet, LifeOfVolume_EveryCallTwice_LeavesNothing) {
  using ControllerStub = ::csi::v1::Controller::Stub;
  using NodeStub = ::csi::v1::Node::Stub;
  ::csi::v1::CreateVolumeRequest create;
  create.set_name("pvc-\xc3\xa4 test");
  create.mutable_capacity_range()->set_required_bytes(size_);
  *create.add_volume_capabilities() = capability_;
  const auto created = Twice(*controller_, &ControllerStub::CreateVolume, create);
  EXPECT_EQ(created.volume().capacity_bytes(), size_);
  const std::string id = created.volume().volume_id();
  ASSERT_FALSE(id.empty());

  create.mutable_capacity_range()->set_required_bytes(2 * size_);
  ::csi::v1::CreateVolumeResponse ignored;
  EXPECT_EQ(Once(*controller_, &ControllerStub::CreateVolume, create, &ignored).error_code(),
            grpc::StatusCode::ALREADY_EXISTS);

  ::csi::v1::NodeStageVolumeRequest stage;
  stage.set_volume_id(id);
  stage.set_staging_target_path(work_ + "/staging");
  *stage.mutable_volume_capability() = capability_;
  Twice(*node_, &NodeStub::NodeStageVolume, stage);

  ::csi::v1::NodePublishVolumeRequest publish;
  publish.set_volume_id(id);
  publish.set_staging_target_path(work_ + "/staging");
  publish.set_target_path(work_ + "/pods/target");
  *publish.mutable_volume_capability() = capability_;
  Twice(*node_, &NodeStub::NodePublishVolume, publish);
  UseTarget(publish.target_path());

  publish.set_target_path(work_ + "/pods/second");
  ::csi::v1::NodePublishVolumeResponse published;
  EXPECT_EQ(Once(*node_, &NodeStub::NodePublishVolume, publish, &published).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);

  EXPECT_GT(Total(id), 0);

  ::csi::v1::ControllerExpandVolumeRequest grow;
  grow.set_volume_id(id);
  grow.mutable_capacity_range()->set_required_bytes(2 * size_);
  *grow.mutable_volume_capability() = capability_;
  const auto grown = Twice(*controller_, &ControllerStub::ControllerExpandVolume, grow);
  EXPECT_EQ(grown.capacity_bytes(), 2 * size_);
  EXPECT_EQ(grown.node_expansion_required(), GetParam() != "block");
  ExpandOnNode(id, 2 * size_);
  ExpandOnNode(id, 3 * size_);  // alone

  ::csi::v1::DeleteVolumeRequest remove;
  remove.set_volume_id(id);
  ::csi::v1::DeleteVolumeResponse removed;
  EXPECT_EQ(Once(*controller_, &ControllerStub::DeleteVolume, remove, &removed).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);

  ::csi::v1::NodeUnpublishVolumeRequest unpublish;
  unpublish.set_volume_id(id);
  unpublish.set_target_path(work_ + "/pods/target");
  Twice(*node_, &NodeStub::NodeUnpublishVolume, unpublish);
  ::csi::v1::NodeUnstageVolumeRequest unstage;
  unstage.set_volume_id(id);
  unstage.set_staging_target_path(work_ + "/staging");
  Twice(*node_, &NodeStub::NodeUnstageVolume, unstage);
  Twice(*controller_, &ControllerStub::DeleteVolume, remove);
}

INSTANTIATE_TEST_SUITE_P(Access, Kubelet, ::testing::Values("ext4", "xfs", "block"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace diskd::csi

int main(int argc, char** argv) {
  if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) != 0 || !getenv("DISKD_BIN_DIR")) {
    std::puts("skipped: needs root, /dev/fuse and DISKD_BIN_DIR");
    return 77;
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
