// SPDX-License-Identifier: Apache-2.0
#include "agent/supervisor/host_driver_catalog.h"

#include <google/protobuf/util/json_util.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "agent/process/command.h"
#include "base/errno_status.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace diskd::agent {
namespace {

namespace fs = std::filesystem;

constexpr char kDriverPrefix[] = "diskd-driver-";
// A driver that hangs must not hold up every call; one on a busy machine must not be lost for good.
constexpr absl::Duration kAskAgainInterval = absl::Seconds(30);

// Empty: the description is in order.
std::string Check(const std::string& name,
                  const diskd::driver::v1::DriverDescription& description) {
  if (description.name() != name) {
    return absl::StrCat("it describes itself as \"", description.name(),
                        "\": name the file diskd-driver-", description.name());
  }
  if (description.protocol_version() != kDriverProtocolVersion) {
    return absl::StrCat("it speaks protocol version ", description.protocol_version(),
                        ", this agent ", kDriverProtocolVersion, ": build both from one release");
  }
  return "";
}

// `conclusive`: asking again would give the same answer.
diskd::v1::DriverInfo AskDriver(const std::string& name, const std::string& path,
                                absl::Duration limit, bool& conclusive) {
  diskd::v1::DriverInfo info;
  info.set_name(name);
  info.set_path(path);
  if (access(path.c_str(), X_OK) != 0) {
    info.set_problem("it is not executable: chmod +x it");
    return info;
  }
  const auto output = RunCommand({path, "describe"}, limit);
  conclusive = !absl::IsDeadlineExceeded(output.status());
  if (!output.ok()) {
    info.set_problem(std::string(output.status().message()));
    return info;
  }
  diskd::driver::v1::DriverDescription description;
  const auto parsed = google::protobuf::util::JsonStringToMessage(*output, &description);
  if (!parsed.ok()) {
    info.set_problem("its answer to \"describe\" is not the JSON of a DriverDescription");
    return info;
  }
  info.set_problem(Check(name, description));
  info.set_description(description.description());
  for (const auto& parameter : description.parameters()) {
    auto* added = info.add_parameters();
    added->set_name(parameter.name());
    added->set_description(parameter.description());
    added->set_own(parameter.own());
  }
  *info.mutable_secrets() = description.secrets();
  return info;
}

bool Same(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

}  // namespace

HostDriverCatalog::HostDriverCatalog(std::vector<std::string> directories,
                                     absl::Duration describe_limit)
    : directories_(std::move(directories)), describe_limit_(describe_limit) {}

std::map<std::string, std::string> HostDriverCatalog::Executables() const {
  std::map<std::string, std::string> paths;
  for (const std::string& directory : directories_) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(directory, error)) {
      const std::string file = entry.path().filename().string();
      absl::string_view name = file;
      if (!absl::ConsumePrefix(&name, kDriverPrefix) || name.empty()) continue;
      paths.emplace(std::string(name), entry.path().string());
    }
  }
  return paths;
}

absl::StatusOr<std::string> HostDriverCatalog::FindExecutable(const std::string& name) {
  const auto paths = Executables();
  const auto found = paths.find(name);
  if (found != paths.end()) return found->second;
  return absl::NotFoundError(absl::StrCat("driver \"", name, "\" is not installed: put ",
                                          kDriverPrefix, name, " into ",
                                          absl::StrJoin(directories_, " or ")));
}

absl::StatusOr<DriverCatalog::Program> HostDriverCatalog::FindProgram(const std::string& name) {
  ASSIGN_OR_RETURN(const std::string path, FindExecutable(name));
  struct stat st {};
  if (stat(path.c_str(), &st) != 0) return ErrnoStatus(errno, absl::StrCat("look at ", path));
  return Program{st.st_dev, st.st_ino};
}

std::vector<diskd::v1::DriverInfo> HostDriverCatalog::List() {
  const auto paths = Executables();
  absl::MutexLock lock(&mutex_);
  std::vector<diskd::v1::DriverInfo> drivers;
  for (const auto& [name, path] : paths) drivers.push_back(Describe(name, path));
  return drivers;
}

const diskd::v1::DriverInfo& HostDriverCatalog::Describe(const std::string& name,
                                                         const std::string& path) {
  struct stat st {};
  stat(path.c_str(), &st);
  Entry& entry = described_[path];
  if (entry.info.name() == name && entry.inode == st.st_ino && Same(entry.modified, st.st_mtim) &&
      absl::Now() < entry.ask_again) {
    return entry.info;
  }
  bool conclusive = true;
  entry = {.modified = st.st_mtim,
           .inode = st.st_ino,
           .info = AskDriver(name, path, describe_limit_, conclusive)};
  if (!conclusive) entry.ask_again = absl::Now() + kAskAgainInterval;
  if (!entry.info.problem().empty()) {
    SPDLOG_WARN("driver {} can't be used: {}", path, entry.info.problem());
  }
  return entry.info;
}

}  // namespace diskd::agent
