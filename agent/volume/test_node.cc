// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/test_node.h"

#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace diskd::agent {

// Passes calls on; each write is an effect.
class TestNode::CountingStore : public Store {
 public:
  CountingStore(TestNode* node, std::unique_ptr<Store> store)
      : node_(node), store_(std::move(store)) {}

  absl::Status PutVolume(const VolumeRecord& volume) override {
    RETURN_IF_ERROR(node_->Effect());
    return store_->PutVolume(volume);
  }
  absl::Status RemoveVolume(const std::string& id) override {
    RETURN_IF_ERROR(node_->Effect());
    return store_->RemoveVolume(id);
  }
  absl::StatusOr<std::optional<VolumeRecord>> FindVolume(const std::string& key) override {
    return store_->FindVolume(key);
  }
  absl::StatusOr<std::vector<VolumeRecord>> ListVolumes(const std::string& after,
                                                        int limit) override {
    return store_->ListVolumes(after, limit);
  }
  absl::StatusOr<int> CountVolumes() override { return store_->CountVolumes(); }
  absl::Status PutAttachment(const AttachmentRecord& attachment) override {
    RETURN_IF_ERROR(node_->Effect());
    RETURN_IF_ERROR(node_->record_failure_);
    return store_->PutAttachment(attachment);
  }
  absl::Status RemoveAttachment(const std::string& volume_id) override {
    RETURN_IF_ERROR(node_->Effect());
    return store_->RemoveAttachment(volume_id);
  }
  absl::StatusOr<std::optional<AttachmentRecord>> FindAttachment(
      const std::string& volume_id) override {
    return store_->FindAttachment(volume_id);
  }
  absl::StatusOr<std::vector<AttachmentRecord>> ListAttachments() override {
    return store_->ListAttachments();
  }

 private:
  TestNode* const node_;
  const std::unique_ptr<Store> store_;
};

TestNode::TestNode(const std::string& directory)
    : directory_([&] {
        std::string path = directory + "/node.XXXXXX";
        return std::string(mkdtemp(path.data()));
      }()),
      devices_([this](const std::string&) { return Effect(); }),
      drivers_([this](const std::string&) { return Effect(); }) {
  spdlog::set_level(spdlog::level::off);
}

TestNode::~TestNode() {
  StopAgent();
  std::filesystem::remove_all(directory_);
}

absl::Status TestNode::Effect() {
  if (effects_left_ < 0) return absl::OkStatus();
  if (effects_left_ == 0) {
    crashed_ = true;
    return absl::InternalError("the agent is dead");
  }
  --effects_left_;
  return absl::OkStatus();
}

absl::Status TestNode::StartAgent(bool finish) {
  StopAgent();
  ASSIGN_OR_RETURN(auto store, SqliteStore::Open(directory_ + "/diskd.db"));
  store_ = std::make_unique<CountingStore>(this, std::move(store));
  locks_ = std::make_unique<VolumeLocks>();
  long_calls_ = std::make_unique<LongCalls>();
  stoppable_calls_ = std::make_unique<StoppableCalls>();
  secrets_ = std::make_unique<Secrets>(directory_ + "/secrets");
  Environment environment{.store = store_.get(),
                          .devices = &devices_,
                          .launcher = &drivers_,
                          .catalog = drivers_.catalog(),
                          .locks = locks_.get(),
                          .long_calls = long_calls_.get(),
                          .stoppable_calls = stoppable_calls_.get(),
                          .secrets = secrets_.get(),
                          .state_dir = directory_,
                          .run_dir = directory_,
                          .boot_id = boot_id_};
  environment.limits.ping_interval = absl::Milliseconds(5);
  environment.limits.ping_limit = absl::Milliseconds(50);
  environment.limits.restart.first_delay = absl::Milliseconds(1);
  environment.limits.restart.longest_delay = absl::Milliseconds(2);
  attachments_ = std::make_unique<Attachments>(environment);
  features_ = std::make_unique<Features>(environment, attachments_.get());
  volumes_ = std::make_unique<Volumes>(environment, attachments_.get(), features_.get());
  volumes_->DropStraySecrets();
  RETURN_IF_ERROR(attachments_->Restore());
  if (finish) volumes_->FinishInterrupted();
  return absl::OkStatus();
}

void TestNode::StopAgent() {
  volumes_.reset();
  features_.reset();
  attachments_.reset();
  stoppable_calls_.reset();
  long_calls_.reset();
  locks_.reset();
  store_.reset();
}

void TestNode::Reboot() {
  StopAgent();
  for (const std::string& id : drivers_.List()) drivers_.KillProcess(id);
  const auto devices = devices_.List();
  for (const auto& [id, transport] : *devices) devices_.Vanish(id);
  std::filesystem::remove_all(directory_ + "/secrets");  // a tmpfs
  boot_id_ += "+";
}

diskd::v1::CreateVolumeRequest TestNode::CreateRequest(const std::string& name) {
  diskd::v1::CreateVolumeRequest request;
  request.set_name(name);
  request.set_driver("memory");
  request.set_size_bytes(1 << 20);
  return request;
}

diskd::v1::AttachVolumeRequest TestNode::AttachRequest(const std::string& volume) {
  diskd::v1::AttachVolumeRequest request;
  request.set_volume(volume);
  return request;
}

diskd::v1::DetachVolumeRequest TestNode::DetachRequest(const std::string& volume, bool force) {
  diskd::v1::DetachVolumeRequest request;
  request.set_volume(volume);
  request.set_force(force);
  return request;
}

diskd::v1::Volume TestNode::MakeVolume(const std::string& name) {
  return *volumes_->Create(CreateRequest(name));
}

diskd::v1::Volume TestNode::MakeAttachedVolume(const std::string& name) {
  MakeVolume(name);
  (void)*attachments_->Attach(AttachRequest(name));
  return *volumes_->Get(name);
}

diskd::v1::Attachment TestNode::Await(const std::string& volume, diskd::v1::AttachmentState state) {
  for (;;) {
    const auto found = volumes_->Get(volume);
    if (found.ok() && found->attachment().state() == state) return found->attachment();
    absl::SleepFor(absl::Milliseconds(1));
  }
}

std::string TestNode::Leftovers() {
  std::string all;
  if (devices_.count() != 0) absl::StrAppend(&all, devices_.count(), " devices ");
  if (!drivers_.List().empty()) absl::StrAppend(&all, drivers_.List().size(), " processes ");
  if (!devices_.links().empty()) absl::StrAppend(&all, devices_.links().size(), " links ");
  const auto attachments = store_->ListAttachments();
  if (!attachments->empty()) absl::StrAppend(&all, attachments->size(), " records ");
  return all;
}

}  // namespace diskd::agent
