// SPDX-License-Identifier: Apache-2.0
#include "drivers/sdk/control/convert.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"

namespace diskd::sdk {
namespace {

constexpr uint32_t kMinBlock = 512;
constexpr uint32_t kMaxBlock = 4096;
// Offsets travel as signed 64-bit numbers in the kernel.
constexpr uint64_t kMaxSize = uint64_t{1} << 62;

absl::Status CheckParameters(const VolumeConfig& config, const DriverDefinition& definition) {
  for (const auto& given : config.parameters) {
    const std::string& name = given.first;
    const bool known = std::any_of(definition.parameters.begin(), definition.parameters.end(),
                                   [&](const auto& parameter) { return parameter.name == name; });
    if (known) continue;
    const std::string list = absl::StrJoin(
        definition.parameters, ", ",
        [](std::string* out, const ParameterDefinition& p) { absl::StrAppend(out, p.name); });
    return absl::InvalidArgumentError(absl::StrCat("driver ", definition.name,
                                                   " has no parameter \"", name,
                                                   "\"; it has: ", list.empty() ? "none" : list));
  }
  return absl::OkStatus();
}

absl::Status CheckSecrets(const VolumeConfig& config, const DriverDefinition& definition) {
  for (const auto& given : config.secrets) {
    const auto& known = definition.secrets;
    if (std::find(known.begin(), known.end(), given.first) != known.end()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("driver ", definition.name, " takes no secret \"", given.first,
                     "\"; it takes: ", known.empty() ? "none" : absl::StrJoin(known, ", ")));
  }
  return absl::OkStatus();
}

}  // namespace

void ReportProgress(const VolumeConfig& config, uint64_t bytes_done, uint64_t bytes) {
  const std::string path = config.state_dir + "/progress";
  std::ofstream(path + ".new") << bytes_done << " " << bytes << "\n";
  rename((path + ".new").c_str(), path.c_str());
}

driver::v1::DriverDescription ToProto(const DriverDefinition& definition) {
  driver::v1::DriverDescription out;
  out.set_name(definition.name);
  out.set_description(definition.description);
  for (const ParameterDefinition& parameter : definition.parameters) {
    auto* added = out.add_parameters();
    added->set_name(parameter.name);
    added->set_description(parameter.description);
    added->set_own(parameter.own);
  }
  out.set_protocol_version(kControlProtocolVersion);
  for (const std::string& secret : definition.secrets) out.add_secrets(secret);
  return out;
}

driver::v1::Geometry ToProto(const Geometry& geometry) {
  driver::v1::Geometry out;
  out.set_size_bytes(geometry.size_bytes);
  out.set_logical_block_bytes(geometry.logical_block_bytes);
  out.set_physical_block_bytes(geometry.physical_block_bytes);
  out.set_io_opt_bytes(geometry.io_opt_bytes);
  out.set_read_only(geometry.read_only);
  out.set_volatile_cache(geometry.volatile_cache);
  out.set_fua(geometry.fua);
  out.set_discard(geometry.discard);
  out.set_write_zeroes(geometry.write_zeroes);
  out.set_discard_granularity_bytes(geometry.discard_granularity_bytes);
  out.set_no_merging(!geometry.merging);
  return out;
}

void SetStatus(const absl::Status& status, driver::v1::Response& response) {
  response.set_code(static_cast<int>(status.code()));
  response.set_message(std::string(status.message()));
}

absl::StatusOr<VolumeConfig> FromProto(const driver::v1::VolumeConfig& config,
                                       const DriverDefinition& definition) {
  VolumeConfig out;
  out.volume_id = config.volume_id();
  out.size_bytes = config.size_bytes();
  out.logical_block_bytes = config.logical_block_bytes();
  out.read_only = config.read_only();
  out.state_dir = config.state_dir();
  out.memory_dir = config.memory_dir();
  out.parameters = {config.parameters().begin(), config.parameters().end()};
  out.secrets = {config.secrets().begin(), config.secrets().end()};
  if (out.volume_id.empty() || out.volume_id.find('/') != std::string::npos ||
      out.volume_id[0] == '.') {
    return absl::InvalidArgumentError(absl::StrCat(
        "volume id \"", out.volume_id, "\" is empty, has a slash, or starts with a dot"));
  }
  const uint32_t block = out.logical_block_bytes;
  if (block != 0 && (!std::has_single_bit(block) || block < kMinBlock || block > kMaxBlock)) {
    return absl::InvalidArgumentError(
        absl::StrCat("volume ", out.volume_id, ": logical block of ", block,
                     " bytes; 512, 1024, 2048 and 4096 are possible, 0 leaves it to the driver"));
  }
  if (out.size_bytes == 0 || out.size_bytes > kMaxSize ||
      out.size_bytes % std::max(block, kMinBlock) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("volume ", out.volume_id, ": size of ", out.size_bytes,
                     " bytes is not a positive multiple of ", std::max(block, kMinBlock)));
  }
  if (out.state_dir.empty() || out.state_dir[0] != '/') {
    return absl::InvalidArgumentError(absl::StrCat("volume ", out.volume_id, ": state_dir \"",
                                                   out.state_dir, "\" is not an absolute path"));
  }
  if (!out.memory_dir.empty() && out.memory_dir[0] != '/') {
    return absl::InvalidArgumentError(absl::StrCat("volume ", out.volume_id, ": memory_dir \"",
                                                   out.memory_dir, "\" is not an absolute path"));
  }
  RETURN_IF_ERROR(CheckParameters(out, definition));
  RETURN_IF_ERROR(CheckSecrets(out, definition));
  return out;
}

}  // namespace diskd::sdk
