// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/object_volume.h"

#include <openssl/sha.h>

#include <cstring>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "drivers/object/fencing_parameters.h"
#include "drivers/object/parameters.h"

namespace diskd::object {
namespace {

constexpr uint64_t kDefaultLogMib = 256;
constexpr uint64_t kMinLogMib = 16;
constexpr uint64_t kMaxLogMib = 1024;  // its index is in memory
constexpr uint64_t kDefaultCacheMib = 256;
constexpr uint64_t kMinCacheMib = 16;
constexpr uint64_t kMaxCacheMib = 4096;  // its index is in memory

// 32 hexadecimal digits, or the hash of the volume's own id.
absl::StatusOr<Uuid> VolumeUuid(const sdk::VolumeConfig& config) {
  Uuid id;
  const std::string given = Parameter(config, "volume");
  if (given.empty()) {
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256(reinterpret_cast<const uint8_t*>(config.volume_id.data()), config.volume_id.size(),
           digest);
    memcpy(id.bytes.data(), digest, id.bytes.size());
    return id;
  }
  const std::optional<Uuid> parsed = ParseUuid(given);
  if (!parsed.has_value()) return WrongParameter("volume", given, "32 hexadecimal digits");
  return *parsed;
}

absl::Status ParseLog(const sdk::VolumeConfig& config, ObjectVolume& volume) {
  const std::string folder = Parameter(config, "log_dir");
  if (!folder.empty() && folder[0] != '/')
    return WrongParameter("log_dir", folder, "an absolute path");
  volume.log_path = folder.empty() ? absl::StrCat(config.state_dir, "/object.log")
                                   : absl::StrCat(folder, "/diskd-", config.volume_id, ".log");
  uint64_t mib = kDefaultLogMib;
  const std::string size = Parameter(config, "log_mib");
  if (!size.empty() && (!absl::SimpleAtoi(size, &mib) || mib < kMinLogMib || mib > kMaxLogMib)) {
    return WrongParameter("log_mib", size, "a number from 16 to 1024");
  }
  volume.log_bytes = mib << 20;
  if (!config.memory_dir.empty()) volume.memory_path = config.memory_dir + "/object.log-memory";
  volume.memory_mark_path = volume.log_path.substr(0, volume.log_path.size() - 4) + ".memory";
  return absl::OkStatus();
}

absl::Status ParseCache(const sdk::VolumeConfig& config, ObjectVolume& volume) {
  volume.cache_path = volume.log_path.substr(0, volume.log_path.size() - 4) + ".cache";
  uint64_t mib = kDefaultCacheMib;
  const std::string size = Parameter(config, "cache_mib");
  if (!size.empty() &&
      (!absl::SimpleAtoi(size, &mib) || mib > kMaxCacheMib || (mib != 0 && mib < kMinCacheMib))) {
    return WrongParameter("cache_mib", size, "0 or a number from 16 to 4096");
  }
  volume.cache_bytes = mib << 20;
  return absl::OkStatus();
}

// Keys that came with the request.
absl::Status ParseCredentials(const sdk::VolumeConfig& config, StoreParameters& store) {
  const auto secret = [&config](const char* name) {
    const auto it = config.secrets.find(name);
    return it == config.secrets.end() ? std::string() : it->second;
  };
  Credentials keys{secret("access_key_id"), secret("secret_access_key"), secret("session_token")};
  if (keys == Credentials{}) return absl::OkStatus();
  if (keys.access_key.empty() || keys.secret_key.empty()) {
    return absl::InvalidArgumentError(
        "the secrets access_key_id and secret_access_key belong together: give both");
  }
  store.credentials = std::move(keys);
  return absl::OkStatus();
}

}  // namespace

std::optional<Uuid> ParseUuid(const std::string& text) {
  Uuid id;
  bool good = text.size() == 2 * id.bytes.size();
  for (char c : text) good &= absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f');
  if (!good) return std::nullopt;
  const std::string raw = absl::HexStringToBytes(text);
  memcpy(id.bytes.data(), raw.data(), id.bytes.size());
  return id;
}

absl::StatusOr<ObjectVolume> ParseWithoutKey(const sdk::VolumeConfig& config) {
  ObjectVolume volume;
  ASSIGN_OR_RETURN(volume.id, VolumeUuid(config));
  if (config.size_bytes % kBlockBytes != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("the size of ", config.size_bytes, " bytes is not a multiple of 4096"));
  }
  if (config.logical_block_bytes > kBlockBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "object volumes have logical blocks of 4096 bytes, not of ", config.logical_block_bytes));
  }
  volume.size_blocks = config.size_bytes / kBlockBytes;
  volume.store.url = Parameter(config, "store");
  if (volume.store.url.empty()) {
    return absl::InvalidArgumentError("parameter store is missing: dir:PATH or s3://BUCKET/PREFIX");
  }
  volume.store.endpoint = Parameter(config, "endpoint");
  volume.store.region = Parameter(config, "region");
  volume.store.addressing = Parameter(config, "addressing");
  volume.store.ca_file = Parameter(config, "ca_file");
  volume.store.credentials_file = Parameter(config, "credentials_file");
  RETURN_IF_ERROR(ParseCredentials(config, volume.store));
  ASSIGN_OR_RETURN(volume.packing, ParsePacking(config));
  RETURN_IF_ERROR(ParseLog(config, volume));
  RETURN_IF_ERROR(ParseCache(config, volume));
  const std::string durability = Parameter(config, "durability");
  if (durability == "remote") {
    volume.options.durability = Durability::kRemote;
  } else if (!durability.empty() && durability != "local") {
    return WrongParameter("durability", durability, "local or remote");
  }
  RETURN_IF_ERROR(ParseFencing(config, volume.options));
  volume.store.gate = volume.options.gate;
  volume.store.idle_timeout = StoreSilence(volume.options);
  const std::string existing = Parameter(config, "existing");
  volume.use_existing = existing == "use";
  if (!existing.empty() && existing != "use" && existing != "refuse") {
    return WrongParameter("existing", existing, "use or refuse");
  }
  return volume;
}

absl::StatusOr<ObjectVolume> ParseVolume(const sdk::VolumeConfig& config) {
  ASSIGN_OR_RETURN(ObjectVolume volume, ParseWithoutKey(config));
  RETURN_IF_ERROR(SetPacking(config, volume.packing, volume.options));
  return volume;
}

}  // namespace diskd::object
