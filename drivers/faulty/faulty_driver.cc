// SPDX-License-Identifier: Apache-2.0
#include "drivers/faulty/faulty_driver.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/errno_status.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace diskd::faulty_driver {
namespace {

constexpr int kExitCode = 3;
constexpr int kDefaultDelayMs = 100;
constexpr int kMaxDelayMs = 60'000;
constexpr uint32_t kDefaultBlock = 512;

enum class Mode { kNone, kExit, kHangOpen, kHangIo, kFailIo, kSlow };

struct NamedMode {
  const char* name;
  Mode mode;
};
constexpr NamedMode kModes[] = {{"none", Mode::kNone},          {"exit", Mode::kExit},
                                {"hang-open", Mode::kHangOpen}, {"hang-io", Mode::kHangIo},
                                {"fail-io", Mode::kFailIo},     {"slow", Mode::kSlow}};

[[noreturn]] void HangForEver() {
  for (;;) pause();
}

class FaultyDriver final : public sdk::SyncDriver {
 public:
  FaultyDriver(Fd file, const sdk::Geometry& geometry, Mode mode, absl::Duration delay)
      : file_(std::move(file)), geometry_(geometry), mode_(mode), delay_(delay) {}

  sdk::Geometry geometry() const override { return geometry_; }

  int Read(uint64_t offset, absl::Span<std::byte> into) override {
    if (const int error = Misbehave(); error != 0) return error;
    const ssize_t n = pread(file_.get(), into.data(), into.size(), static_cast<off_t>(offset));
    return Result(n, into.size());
  }
  int Write(uint64_t offset, absl::Span<const std::byte> from, bool) override {
    if (const int error = Misbehave(); error != 0) return error;
    const ssize_t n = pwrite(file_.get(), from.data(), from.size(), static_cast<off_t>(offset));
    return Result(n, from.size());
  }
  int Flush() override {
    if (const int error = Misbehave(); error != 0) return error;
    return fdatasync(file_.get()) == 0 ? 0 : errno;
  }

 private:
  int Misbehave() const {
    switch (mode_) {
      case Mode::kHangIo:
        HangForEver();
      case Mode::kFailIo:
        return EIO;
      case Mode::kSlow:
        absl::SleepFor(delay_);
        return 0;
      default:
        return 0;
    }
  }
  static int Result(ssize_t n, size_t length) {
    if (n < 0) return errno;
    return static_cast<size_t>(n) == length ? 0 : EIO;
  }

  const Fd file_;
  const sdk::Geometry geometry_;
  const Mode mode_;
  const absl::Duration delay_;
};

std::string BackingPath(const sdk::VolumeConfig& config) {
  return absl::StrCat(config.state_dir, "/faulty.img");
}

absl::StatusOr<Mode> ModeOf(const sdk::VolumeConfig& config) {
  const auto parameter = config.parameters.find("mode");
  if (parameter == config.parameters.end()) return Mode::kNone;
  for (const NamedMode& known : kModes) {
    if (parameter->second == known.name) return known.mode;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "mode \"", parameter->second, "\" is none of none, exit, hang-open, hang-io, fail-io, slow"));
}

absl::StatusOr<absl::Duration> DelayOf(const sdk::VolumeConfig& config) {
  const auto parameter = config.parameters.find("delay_ms");
  int milliseconds = kDefaultDelayMs;
  if (parameter != config.parameters.end() &&
      (!absl::SimpleAtoi(parameter->second, &milliseconds) || milliseconds < 0 ||
       milliseconds > kMaxDelayMs)) {
    return absl::InvalidArgumentError(absl::StrCat("delay_ms \"", parameter->second,
                                                   "\" is not a number from 0 to ", kMaxDelayMs));
  }
  return absl::Milliseconds(milliseconds);
}

absl::Status Provision(const sdk::VolumeConfig& config) {
  RETURN_IF_ERROR(ModeOf(config).status());
  RETURN_IF_ERROR(DelayOf(config).status());
  const std::string path = BackingPath(config);
  const Fd file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.valid() || ftruncate(file.get(), static_cast<off_t>(config.size_bytes)) != 0) {
    return ErrnoStatus(errno, absl::StrCat("create ", path));
  }
  return absl::OkStatus();
}

absl::Status Deprovision(const sdk::VolumeConfig& config) {
  const std::string path = BackingPath(config);
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat("remove ", path));
}

absl::StatusOr<std::unique_ptr<sdk::Driver>> Open(const sdk::VolumeConfig& config) {
  ASSIGN_OR_RETURN(const Mode mode, ModeOf(config));
  ASSIGN_OR_RETURN(const absl::Duration delay, DelayOf(config));
  if (mode == Mode::kExit) {
    SPDLOG_INFO("mode=exit: exiting with {}", kExitCode);
    _exit(kExitCode);
  }
  if (mode == Mode::kHangOpen) HangForEver();
  const std::string path = BackingPath(config);
  Fd file(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!file.valid()) return ErrnoStatus(errno, absl::StrCat("open ", path));
  sdk::Geometry geometry;
  geometry.size_bytes = config.size_bytes;
  geometry.logical_block_bytes =
      config.logical_block_bytes == 0 ? kDefaultBlock : config.logical_block_bytes;
  geometry.read_only = config.read_only;
  geometry.volatile_cache = true;
  return std::make_unique<FaultyDriver>(std::move(file), geometry, mode, delay);
}

}  // namespace

const sdk::DriverDefinition& Definition() {
  static const sdk::DriverDefinition definition{
      .name = "faulty",
      .description = "Misbehaves on request; for tests of everything around a driver",
      .parameters = {{"mode", "none (default), exit, hang-open, hang-io, fail-io or slow"},
                     {"delay_ms", "mode=slow: added to each request (default 100)"}},
      .provision = Provision,
      .deprovision = Deprovision,
      .open = Open,
  };
  return definition;
}

}  // namespace diskd::faulty_driver
