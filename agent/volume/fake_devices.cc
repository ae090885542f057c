// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/fake_devices.h"

#include <fcntl.h>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace diskd::agent {

class FakeDevices::Handle : public Device {
 public:
  Handle(FakeDevices* world, std::string id, diskd::v1::Transport transport, bool survives)
      : world_(world), id_(std::move(id)), transport_(transport), survives_(survives) {}

  diskd::v1::Transport transport() const override { return transport_; }
  int number() const override {
    absl::MutexLock lock(&world_->mutex_);
    const auto found = world_->devices_.find(id_);
    return found == world_->devices_.end() ? -1 : found->second.number;
  }
  std::string path() const override { return absl::StrCat("/dev/loop", number()); }
  bool survives_driver_death() const override { return survives_; }

  absl::StatusOr<std::vector<Fd>> Descriptors() override {
    std::vector<Fd> descriptors;
    descriptors.emplace_back(open("/dev/null", O_RDWR | O_CLOEXEC));
    return descriptors;
  }
  void Hold(std::vector<Fd>) override {}

  absl::Status Publish() override {
    RETURN_IF_ERROR(world_->Effect("publish"));
    absl::MutexLock lock(&world_->mutex_);
    world_->devices_.at(id_).number = world_->next_number_++;
    return absl::OkStatus();
  }
  absl::Status Resize(uint64_t size_bytes) override {
    RETURN_IF_ERROR(world_->Effect("resize"));
    absl::MutexLock lock(&world_->mutex_);
    world_->devices_.at(id_).size_bytes = size_bytes;
    return absl::OkStatus();
  }
  absl::Status Unpublish(bool force) override {
    RETURN_IF_ERROR(world_->Effect("unpublish"));
    absl::MutexLock lock(&world_->mutex_);
    const auto found = world_->devices_.find(id_);
    if (found == world_->devices_.end()) return absl::OkStatus();
    if (found->second.open && !force) {
      return absl::FailedPreconditionError("/dev/loop is mounted on /mnt/a");
    }
    found->second.number = -1;
    return absl::OkStatus();
  }
  bool Lost() override {
    absl::MutexLock lock(&world_->mutex_);
    const auto found = world_->devices_.find(id_);
    return found != world_->devices_.end() && found->second.aborted;
  }
  void Abort() override {
    absl::MutexLock lock(&world_->mutex_);
    const auto found = world_->devices_.find(id_);
    if (found != world_->devices_.end()) found->second.aborted = true;
  }
  absl::Status Destroy() override {
    RETURN_IF_ERROR(world_->Effect("destroy"));
    absl::MutexLock lock(&world_->mutex_);
    world_->devices_.erase(id_);
    return absl::OkStatus();
  }

 private:
  FakeDevices* const world_;
  const std::string id_;
  const diskd::v1::Transport transport_;
  const bool survives_;
};

std::vector<diskd::v1::TransportInfo> FakeDevices::Transports() {
  diskd::v1::TransportInfo buse, fuse;
  buse.set_transport(diskd::v1::TRANSPORT_BUSE);
  buse.set_reason("the module is not loaded");
  fuse.set_transport(diskd::v1::TRANSPORT_FUSE);
  fuse.set_available(true);
  return {buse, fuse};
}

absl::StatusOr<std::unique_ptr<Device>> FakeDevices::Create(diskd::v1::Transport transport,
                                                            const DeviceSpec& spec) {
  RETURN_IF_ERROR(Effect("create"));
  absl::MutexLock lock(&mutex_);
  if (!devices_.emplace(spec.volume_id, Kernel{.transport = transport}).second) {
    return absl::AlreadyExistsError("the device exists");
  }
  return std::make_unique<Handle>(this, spec.volume_id, transport, survives_);
}

absl::StatusOr<std::unique_ptr<Device>> FakeDevices::Find(diskd::v1::Transport transport,
                                                          const std::string& volume_id, int number,
                                                          bool survives_driver_death) {
  absl::MutexLock lock(&mutex_);
  if (devices_.count(volume_id) == 0) return absl::NotFoundError("no device");
  return std::make_unique<Handle>(this, volume_id, transport, survives_driver_death);
}

absl::Status FakeDevices::CheckDisk(diskd::v1::Transport, const std::string& volume_id,
                                    int number) const {
  absl::MutexLock lock(&mutex_);
  const auto found = devices_.find(volume_id);
  if (found != devices_.end() && found->second.number == number) return absl::OkStatus();
  return absl::FailedPreconditionError("its disk was taken away");
}

absl::StatusOr<std::vector<DeviceFactory::Found>> FakeDevices::List() {
  absl::MutexLock lock(&mutex_);
  std::vector<Found> found;
  for (const auto& [id, device] : devices_) found.push_back({id, device.transport});
  return found;
}

void FakeDevices::FailLinks(absl::Status status) {
  absl::MutexLock lock(&mutex_);
  link_failure_ = std::move(status);
}

absl::Status FakeDevices::Link(const std::string& name, const std::string& device_path) {
  RETURN_IF_ERROR(Effect("link"));
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(link_failure_);
  links_[name] = device_path;
  return absl::OkStatus();
}

absl::Status FakeDevices::Unlink(const std::string& name) {
  RETURN_IF_ERROR(Effect("unlink"));
  absl::MutexLock lock(&mutex_);
  links_.erase(name);
  return absl::OkStatus();
}

size_t FakeDevices::count() {
  absl::MutexLock lock(&mutex_);
  return devices_.size();
}

std::map<std::string, std::string> FakeDevices::links() {
  absl::MutexLock lock(&mutex_);
  return links_;
}

void FakeDevices::SetOpen(const std::string& volume_id, bool open) {
  absl::MutexLock lock(&mutex_);
  devices_.at(volume_id).open = open;
}

void FakeDevices::Abort(const std::string& volume_id) {
  absl::MutexLock lock(&mutex_);
  devices_.at(volume_id).aborted = true;
}

bool FakeDevices::Aborted(const std::string& volume_id) {
  absl::MutexLock lock(&mutex_);
  return devices_.at(volume_id).aborted;
}

void FakeDevices::SetSurvives(bool survives) {
  absl::MutexLock lock(&mutex_);
  survives_ = survives;
}

void FakeDevices::Vanish(const std::string& volume_id) {
  absl::MutexLock lock(&mutex_);
  devices_.erase(volume_id);
}

void FakeDevices::LoseDisk(const std::string& volume_id) {
  absl::MutexLock lock(&mutex_);
  next_number_ = devices_.at(volume_id).number;
  devices_.at(volume_id).number = -1;
}

}  // namespace diskd::agent
