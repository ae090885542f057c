// SPDX-License-Identifier: Apache-2.0
#include "client/lib/client.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/fd.h"
#include "client/lib/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/diskd/v1/diskd.grpc.pb.h"

namespace diskd::client {
namespace {

using ::testing::HasSubstr;

// Generous: only a broken client waits this long.
constexpr absl::Duration kPatience = absl::Seconds(60);

// Answers each call with the next status of the script, and OK after its end.
class Script {
 public:
  void Push(grpc::Status status, int times = 1) {
    absl::MutexLock lock(&mutex_);
    answers_.insert(answers_.end(), times, status);
  }
  grpc::Status Next() {
    absl::MutexLock lock(&mutex_);
    ++calls_;
    if (answers_.empty()) return grpc::Status::OK;
    grpc::Status status = answers_.front();
    answers_.pop_front();
    return status;
  }
  int calls() {
    absl::MutexLock lock(&mutex_);
    return calls_;
  }

 private:
  absl::Mutex mutex_;
  std::deque<grpc::Status> answers_;
  int calls_ = 0;
};

struct Volumes : v1::VolumeService::Service {
  explicit Volumes(Script& s) : script(s) {}
  grpc::Status CreateVolume(grpc::ServerContext*, const v1::CreateVolumeRequest* request,
                            v1::CreateVolumeResponse* response) override {
    response->mutable_volume()->set_name(request->name());
    return script.Next();
  }
  grpc::Status GetVolume(grpc::ServerContext* context, const v1::GetVolumeRequest* request,
                         v1::GetVolumeResponse* response) override {
    if (request->volume() == "never") never_answer.WaitForNotification();
    response->mutable_volume()->set_name(request->volume());
    return script.Next();
  }
  grpc::Status ListVolumes(grpc::ServerContext*, const v1::ListVolumesRequest* request,
                           v1::ListVolumesResponse* response) override {
    response->set_next_page_token(request->page_token());
    response->add_volumes()->set_name(std::string(volume_name_bytes, 'x'));
    return script.Next();
  }
  grpc::Status DeleteVolume(grpc::ServerContext*, const v1::DeleteVolumeRequest*,
                            v1::DeleteVolumeResponse*) override {
    return script.Next();
  }
  Script& script;
  absl::Notification never_answer;
  size_t volume_name_bytes = 1;
};

struct Attachments : v1::AttachmentService::Service {
  explicit Attachments(Script& s) : script(s) {}
  grpc::Status AttachVolume(grpc::ServerContext*, const v1::AttachVolumeRequest* request,
                            v1::AttachVolumeResponse* response) override {
    response->mutable_attachment()->set_volume_name(request->volume());
    return script.Next();
  }
  grpc::Status DetachVolume(grpc::ServerContext*, const v1::DetachVolumeRequest*,
                            v1::DetachVolumeResponse*) override {
    return script.Next();
  }
  grpc::Status ListAttachments(grpc::ServerContext*, const v1::ListAttachmentsRequest*,
                               v1::ListAttachmentsResponse* response) override {
    response->add_attachments()->set_volume_name("listed");
    return script.Next();
  }
  Script& script;
};

struct Node : v1::NodeService::Service {
  explicit Node(Script& s) : script(s) {}
  grpc::Status GetNodeInfo(grpc::ServerContext*, const v1::GetNodeInfoRequest*,
                           v1::GetNodeInfoResponse* response) override {
    response->set_node_name("node-1");
    return script.Next();
  }
  grpc::Status ListDrivers(grpc::ServerContext*, const v1::ListDriversRequest*,
                           v1::ListDriversResponse* response) override {
    response->add_drivers()->set_name("memory");
    return script.Next();
  }
  Script& script;
};

class ClientTest : public ::testing::Test {
 protected:
  ClientTest() : volumes_(script_), attachments_(script_), node_(script_) {
    char folder[] = "/tmp/diskd-client-test.XXXXXX";
    EXPECT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
    path_ = folder_ + "/diskd.sock";
  }
  ~ClientTest() override {
    if (!volumes_.never_answer.HasBeenNotified()) volumes_.never_answer.Notify();
    StopAgent();
    std::filesystem::remove_all(folder_);
  }

  void StartAgent() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix://" + path_, grpc::InsecureServerCredentials());
    builder.RegisterService(&volumes_);
    builder.RegisterService(&attachments_);
    builder.RegisterService(&node_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }
  void StopAgent() {
    if (server_ == nullptr) return;
    server_->Shutdown();
    server_->Wait();
    server_.reset();
  }

  static ClientOptions FastOptions() {
    ClientOptions options;
    options.call_timeout = kPatience;
    options.first_pause = absl::Microseconds(100);
    options.longest_pause = absl::Milliseconds(1);
    return options;
  }
  std::unique_ptr<Client> MakeClient(const ClientOptions& options = FastOptions()) {
    auto client = Client::Connect("unix://" + path_, options);
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }

  Script script_;
  Volumes volumes_;
  Attachments attachments_;
  Node node_;
  std::unique_ptr<grpc::Server> server_;
  std::string folder_;
  std::string path_;
};

v1::CreateVolumeRequest CreateRequest(const std::string& name) {
  v1::CreateVolumeRequest request;
  request.set_name(name);
  return request;
}

v1::GetVolumeRequest GetRequest(const std::string& volume) {
  v1::GetVolumeRequest request;
  request.set_volume(volume);
  return request;
}

v1::AttachVolumeRequest AttachRequest(const std::string& volume) {
  v1::AttachVolumeRequest request;
  request.set_volume(volume);
  return request;
}

TEST_F(ClientTest, EveryMethod_ReachesItsRpcAndReturnsItsAnswer) {
  StartAgent();
  const auto client = MakeClient();
  EXPECT_EQ(client->CreateVolume(CreateRequest("a"))->volume().name(), "a");
  EXPECT_EQ(client->GetVolume(GetRequest("b"))->volume().name(), "b");
  v1::ListVolumesRequest list;
  list.set_page_token("next");
  EXPECT_EQ(client->ListVolumes(list)->next_page_token(), "next");
  EXPECT_TRUE(client->DeleteVolume({}).ok());
  EXPECT_EQ(client->AttachVolume(AttachRequest("c"))->attachment().volume_name(), "c");
  EXPECT_TRUE(client->DetachVolume({}).ok());
  EXPECT_EQ(client->ListAttachments({})->attachments(0).volume_name(), "listed");
  EXPECT_EQ(client->GetNodeInfo({})->node_name(), "node-1");
  EXPECT_EQ(client->ListDrivers({})->drivers(0).name(), "memory");
  EXPECT_EQ(script_.calls(), 9);
}

TEST_F(ClientTest, Error_KeepsCodeAndMessageAndIsNotRetried) {
  StartAgent();
  script_.Push({grpc::StatusCode::NOT_FOUND, "no volume b"});
  const absl::Status status = MakeClient()->GetVolume(GetRequest("b")).status();
  EXPECT_EQ(status, absl::NotFoundError("no volume b"));
  EXPECT_EQ(script_.calls(), 1);
}

TEST_F(ClientTest, LongList_IsNotCutByTheMessageLimit) {
  StartAgent();
  volumes_.volume_name_bytes = 8 << 20;
  const auto list = MakeClient()->ListVolumes({});
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(list->volumes(0).name().size(), 8u << 20);
}

TEST_F(ClientTest, NoAnswer_EndsAtTheDeadlineWithAdvice) {
  StartAgent();
  ClientOptions options = FastOptions();
  options.call_timeout = absl::Milliseconds(200);
  const absl::Status status = MakeClient(options)->GetVolume(GetRequest("never")).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("within 200ms"));
}

TEST_F(ClientTest, AgentUnavailable_IsRetried) {
  StartAgent();
  script_.Push({grpc::StatusCode::UNAVAILABLE, "starting"}, 2);
  const auto answer = MakeClient()->CreateVolume(CreateRequest("a"));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(script_.calls(), 3);
}

TEST_F(ClientTest, AgentUnavailableForEver_EndsAtTheRetryLimit) {
  StartAgent();
  script_.Push({grpc::StatusCode::UNAVAILABLE, "starting"}, 100);
  ClientOptions options = FastOptions();
  options.retry_limit = 3;
  const absl::Status status = MakeClient(options)->CreateVolume(CreateRequest("a")).status();
  EXPECT_EQ(status, absl::UnavailableError("starting"));
  EXPECT_FALSE(IsAgentUnreachable(status));
  EXPECT_EQ(script_.calls(), 4);
}

TEST_F(ClientTest, PauseBeyondTheDeadline_IsNotBegun) {
  StartAgent();
  script_.Push({grpc::StatusCode::UNAVAILABLE, "starting"}, 100);
  ClientOptions options = FastOptions();
  options.first_pause = options.longest_pause = kPatience * 3;
  const absl::Time begin = absl::Now();
  EXPECT_TRUE(absl::IsUnavailable(MakeClient(options)->CreateVolume(CreateRequest("a")).status()));
  EXPECT_LT(absl::Now() - begin, kPatience);
  EXPECT_EQ(script_.calls(), 1);
}

TEST_F(ClientTest, DriverFailure_OfAttachIsReturnedAtOnce) {
  StartAgent();
  script_.Push({grpc::StatusCode::UNAVAILABLE, "driver memory exits"});
  const absl::Status status = MakeClient()->AttachVolume(AttachRequest("a")).status();
  EXPECT_EQ(status, absl::UnavailableError("driver memory exits"));
  EXPECT_FALSE(IsAgentUnreachable(status));
  EXPECT_EQ(script_.calls(), 1);
}

TEST_F(ClientTest, Aborted_IsRetriedOnlyOnDemand) {
  StartAgent();
  script_.Push({grpc::StatusCode::ABORTED, "busy"}, 2);
  EXPECT_TRUE(absl::IsAborted(MakeClient()->AttachVolume(AttachRequest("a")).status()));
  EXPECT_EQ(script_.calls(), 1);
  ClientOptions options = FastOptions();
  options.retry_aborted = true;
  EXPECT_TRUE(MakeClient(options)->AttachVolume(AttachRequest("a")).ok());
  EXPECT_EQ(script_.calls(), 3);
}

TEST_F(ClientTest, NoAgent_SaysWhatToCheck) {
  ClientOptions options = FastOptions();
  options.retry_limit = 2;
  const absl::Status status = MakeClient(options)->GetNodeInfo({}).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_TRUE(IsAgentUnreachable(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("there is no socket " + path_));
  EXPECT_THAT(std::string(status.message()), HasSubstr("systemctl start diskd"));
}

TEST_F(ClientTest, Restart_IsSurvivedByOneClient) {
  StartAgent();
  ClientOptions options = FastOptions();
  options.retry_limit = 10'000;
  const auto client = MakeClient(options);
  ASSERT_TRUE(client->GetNodeInfo({}).ok());
  ClientOptions impatient = FastOptions();
  impatient.retry_limit = 0;
  const auto probe = MakeClient(impatient);
  ASSERT_TRUE(probe->GetNodeInfo({}).ok());
  StopAgent();
  EXPECT_TRUE(IsAgentUnreachable(probe->GetNodeInfo({}).status()));
  StartAgent();
  const auto answer = client->GetNodeInfo({});
  EXPECT_TRUE(answer.ok()) << answer.status();
}

// Accepts and drops connections: an agent that dies in the middle of every call.
TEST_F(ClientTest, LostConnection_IsRetriedForAttachToo) {
  Fd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path_.data(), path_.size());
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(listener.get(), 8), 0);
  ClientOptions options = FastOptions();
  options.retry_limit = 1'000'000;
  const auto client = MakeClient(options);
  absl::StatusOr<v1::AttachVolumeResponse> answer = absl::UnknownError("not called");
  std::thread caller([&] { answer = client->AttachVolume(AttachRequest("a")); });
  for (int dropped = 0; dropped < 3; ++dropped) {
    EXPECT_TRUE(Fd(accept(listener.get(), nullptr, nullptr)).valid());
  }
  listener.reset();
  ASSERT_EQ(unlink(path_.c_str()), 0);
  StartAgent();
  caller.join();
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->attachment().volume_name(), "a");
  EXPECT_EQ(script_.calls(), 1);
}

TEST_F(ClientTest, Connect_TakesUrlsAndPaths) {
  StartAgent();
  for (const std::string& endpoint : {"unix://" + path_, "unix:" + path_, path_}) {
    auto client = Client::Connect(endpoint);
    ASSERT_TRUE(client.ok()) << client.status();
    EXPECT_TRUE((*client)->GetNodeInfo({}).ok()) << endpoint;
  }
}

TEST_F(ClientTest, Connect_RefusesWhatIsNoUnixSocket) {
  for (const std::string endpoint : {"", "diskd.sock", "tcp://localhost:1", "unix://relative"}) {
    const absl::Status status = Client::Connect(endpoint).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << endpoint;
    EXPECT_THAT(std::string(status.message()), HasSubstr("absolute path"));
  }
  const absl::Status status = Client::Connect("/" + std::string(200, 'x')).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("shorter"));
}

TEST_F(ClientTest, Connect_RefusesOptionsWithoutSense) {
  ClientOptions no_time;
  no_time.call_timeout = absl::ZeroDuration();
  ClientOptions negative;
  negative.retry_limit = -1;
  ClientOptions pauses;
  pauses.longest_pause = pauses.first_pause / 2;
  for (const ClientOptions& options : {no_time, negative, pauses}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Client::Connect(path_, options).status()));
  }
}

}  // namespace
}  // namespace diskd::client
