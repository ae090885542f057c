// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/object_volume.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/errno_status.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "drivers/object/engine/head_keeper.h"
#include "drivers/object/engine/write_log.h"
#include "drivers/object/fencing_parameters.h"
#include "drivers/object/format/claim.h"
#include "drivers/object/format/head.h"
#include "drivers/object/offline_volumes.h"
#include "drivers/object/parameters.h"
#include "drivers/object/runtime/log_file.h"
#include "drivers/object/served_volume.h"
#include "drivers/object/store/blocking.h"
#include "drivers/object/store/probe.h"

namespace diskd::object {
namespace {

constexpr uint64_t kDefaultLogMib = 256;
constexpr uint64_t kMinLogMib = 16;
constexpr uint64_t kMaxLogMib = 1024;  // its index is in memory
constexpr uint64_t kDefaultCacheMib = 256;
constexpr uint64_t kMinCacheMib = 16;
constexpr uint64_t kMaxCacheMib = 4096;  // its index is in memory
constexpr uint8_t kFanoutBits = 8;
// Of calls that must have an end; an open volume's engine never gives up.
constexpr int kTries = 5;
constexpr absl::Duration kPause = absl::Milliseconds(500);

std::optional<Uuid> ParseUuid(const std::string& text) {
  Uuid id;
  bool good = text.size() == 2 * id.bytes.size();
  for (char c : text) good &= absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f');
  if (!good) return std::nullopt;
  const std::string raw = absl::HexStringToBytes(text);
  memcpy(id.bytes.data(), raw.data(), id.bytes.size());
  return id;
}

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

bool Passes(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsAborted(status) || absl::IsDataLoss(status);
}

template <class Call>
auto Retried(Call call) {
  auto result = call();
  for (int i = 1; i < kTries; ++i) {
    absl::Status status;
    if constexpr (std::is_same_v<decltype(result), absl::Status>) {
      status = result;
    } else {
      status = result.status();
    }
    if (!Passes(status)) break;
    absl::SleepFor(kPause);
    result = call();
  }
  return result;
}

absl::StatusOr<Head> ReadHead(Store& store, const Uuid& id) {
  ASSIGN_OR_RETURN(const GetResult got, Retried([&] { return GetNow(store, HeadName(id)); }));
  return ParseHead(got.body);
}

absl::StatusOr<Head> FindHead(Store& store, const ObjectVolume& volume) {
  if (volume.options.fencing == Fencing::kCas) return ReadHead(store, volume.id);
  ASSIGN_OR_RETURN(const auto offline, OfflineVolumes::Open(volume));
  return offline->Run<absl::StatusOr<Head>>(
      [&](Volumes& volumes, auto done) { volumes.Load(volume.id, std::move(done)); });
}

// Says that this node's volume makes, or made, the one in the store: it may find it there again,
// and takes it away with itself.
std::string MarkPath(const sdk::VolumeConfig& config) { return config.state_dir + "/object.made"; }

absl::Status MakeMark(const std::string& path, const std::string& content) {
  const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid() ||
      pwrite(fd.get(), content.data(), content.size(), 0) != static_cast<ssize_t>(content.size()) ||
      fsync(fd.get()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("create ", path));
  }
  return absl::OkStatus();
}

bool IsMissing(const std::string& path) {
  return access(path.c_str(), F_OK) != 0 && errno == ENOENT;
}

bool IsMarked(const sdk::VolumeConfig& config) { return !IsMissing(MarkPath(config)); }

std::optional<Uuid> MarkedOrigin(const sdk::VolumeConfig& config) {
  std::ifstream in(MarkPath(config));
  std::string text;
  std::getline(in, text);
  return ParseUuid(text);
}

absl::Status Taken(const ObjectVolume& volume) {
  return absl::AlreadyExistsError(
      absl::StrCat("the store has a volume ", volume.id.Hex(),
                   " already: use existing=use to take it over with its data"));
}

absl::Status CreateHead(Store& store, const ObjectVolume& volume) {
  if (volume.options.fencing == Fencing::kLease) {
    ASSIGN_OR_RETURN(const auto offline, OfflineVolumes::Open(volume));
    return offline->Run<absl::Status>([&](Volumes& volumes, auto done) {
      volumes.Create(volume.id, volume.size_blocks, std::move(done));
    });
  }
  Head head;
  head.volume = volume.id;
  head.size_blocks = volume.size_blocks;
  head.fanout_bits = kFanoutBits;
  head.packed = volume.options.zstd_level > 0 || volume.options.key.has_value();
  head.encrypted = volume.options.key.has_value();
  if (head.encrypted) head.key_check = CheckOfKey(*volume.options.key);
  const std::string body = EncodeHead(head);
  const auto put =
      Retried([&] { return PutNow(store, HeadName(volume.id), body, PutCondition::IfAbsent()); });
  if (put.ok() || !absl::IsFailedPrecondition(put.status())) return put.status();
  ASSIGN_OR_RETURN(const Head there, ReadHead(store, volume.id));
  if (there == head) return absl::OkStatus();  // an earlier attempt
  return Taken(volume);
}

// A directory that is gone holds no volumes.
bool StoreIsGone(const ObjectVolume& volume) {
  absl::string_view url = volume.store.url;
  return absl::ConsumePrefix(&url, "dir:") && IsMissing(std::string(url));
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

// All but the key of an encrypted volume.
absl::StatusOr<ObjectVolume> ParseAllButKey(const sdk::VolumeConfig& config) {
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

}  // namespace

absl::StatusOr<ObjectVolume> ParseVolume(const sdk::VolumeConfig& config) {
  ASSIGN_OR_RETURN(ObjectVolume volume, ParseAllButKey(config));
  RETURN_IF_ERROR(SetPacking(config, volume.packing, volume.options));
  return volume;
}

namespace {

// A store may be there by several ways, and one of them ignore conditions.
absl::Status CheckConditions(Store& store, const ObjectVolume& volume) {
  const bool relied_on = volume.options.fencing == Fencing::kCas;
  if (!relied_on || !absl::StartsWith(volume.store.url, "s3:")) return absl::OkStatus();
  ASSIGN_OR_RETURN(const ProbeReport report, ProbeConditionalPut(store, volume.id.Hex()));
  return report.FencingByCas();
}

}  // namespace

absl::Status CheckFencing(Store& store, const ObjectVolume& volume) {
  const bool lease = volume.options.fencing == Fencing::kLease;
  const std::string of_other = lease ? HeadName(volume.id) : ClaimName(volume.id);
  const auto other = Retried([&] { return GetNow(store, of_other); });
  if (other.ok()) {
    return absl::AlreadyExistsError(absl::StrCat("the store has a volume ", volume.id.Hex(),
                                                 " already, with fencing=", lease ? "cas" : "lease",
                                                 ": give that, or leave out the parameter volume"));
  }
  if (!absl::IsNotFound(other.status())) return other.status();
  return CheckConditions(store, volume);
}

absl::Status MarkAsMade(const sdk::VolumeConfig& config, Store& store, const ObjectVolume& volume,
                        const std::string& origin) {
  if (!IsMarked(config)) {
    const bool lease = volume.options.fencing == Fencing::kLease;
    const std::string name = lease ? ClaimName(volume.id) : HeadName(volume.id);
    const auto there = Retried([&] { return GetNow(store, name); });
    if (there.ok()) return Taken(volume);
    if (!absl::IsNotFound(there.status())) return there.status();
  }
  return MakeMark(MarkPath(config), origin);
}

absl::Status ProvisionVolume(const sdk::VolumeConfig& config) {
  umask(0);
  ASSIGN_OR_RETURN(ObjectVolume volume, ParseVolume(config));
  volume.store.create = !volume.use_existing;
  ASSIGN_OR_RETURN(const std::unique_ptr<Store> store, OpenStore(volume.store));
  if (volume.use_existing) {
    ASSIGN_OR_RETURN(const Head head, FindHead(*store, volume));
    RETURN_IF_ERROR(CheckKey(head, volume.options));
    if (head.size_blocks != volume.size_blocks) {
      return absl::InvalidArgumentError(
          absl::StrCat("volume ", volume.id.Hex(), " in the store has ",
                       head.size_blocks * kBlockBytes, " bytes, not ", config.size_bytes));
    }
    RETURN_IF_ERROR(CheckConditions(*store, volume));
  } else {
    RETURN_IF_ERROR(CheckFencing(*store, volume));
    const bool begun = IsMarked(config);
    RETURN_IF_ERROR(MarkAsMade(config, *store, volume, ""));
    const absl::Status created = CreateHead(*store, volume);
    if (absl::IsAlreadyExists(created)) {
      // Ours if an earlier attempt may have made it; else somebody was faster.
      if (!begun) {
        RETURN_IF_ERROR(RemoveLogFile(MarkPath(config)));
        return created;
      }
    } else {
      RETURN_IF_ERROR(created);
    }
  }
  return MakeLogFile(volume.log_path, volume.log_bytes);
}

absl::Status CloneVolume(const sdk::VolumeConfig& config, const sdk::VolumeConfig& source,
                         const std::string& snapshot) {
  ASSIGN_OR_RETURN(const ObjectVolume volume, ParseVolume(config));
  ASSIGN_OR_RETURN(const ObjectVolume parent, ParseVolume(source));
  if (volume.use_existing)
    return WrongParameter("existing", "use", "left out: a clone is a new volume");
  if (volume.options.fencing != Fencing::kCas || parent.options.fencing != Fencing::kCas) {
    return absl::UnimplementedError("a volume with fencing=lease can't be cloned");
  }
  if (volume.store.url != parent.store.url || volume.store.endpoint != parent.store.endpoint) {
    return absl::InvalidArgumentError(absl::StrCat("a clone is in the store of its source, ",
                                                   parent.store.url, ", not in ",
                                                   volume.store.url));
  }
  ASSIGN_OR_RETURN(const auto offline, OfflineVolumes::Open(volume));
  ASSIGN_OR_RETURN(const Head head,
                   offline->Run<absl::StatusOr<Head>>([&](Volumes& volumes, auto done) {
                     volumes.Load(parent.id, std::move(done));
                   }));
  RETURN_IF_ERROR(CheckKey(head, volume.options));
  ASSIGN_OR_RETURN(const sdk::Snapshot found, FindSnapshot(head, snapshot));
  if (found.size_bytes != config.size_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("snapshot \"", snapshot, "\" has ", found.size_bytes, " bytes, not ",
                     config.size_bytes, ": clone it as it is, then change the size"));
  }
  // Before the store knows of the clone: its removal has to find the source.
  ASSIGN_OR_RETURN(const std::unique_ptr<Store> store, OpenStore(volume.store));
  RETURN_IF_ERROR(MarkAsMade(config, *store, volume, parent.id.Hex()));
  RETURN_IF_ERROR(offline->Run<absl::Status>([&](Volumes& volumes, auto done) {
    volumes.Clone(parent.id, found.id, volume.id, std::move(done));
  }));
  return MakeLogFile(volume.log_path, volume.log_bytes);
}

namespace {

// Says that a deletion has begun, of which something may still be on its way to the store.
std::string DeletionPath(const sdk::VolumeConfig& config) {
  return config.state_dir + "/object.deleting";
}

absl::Status DeleteInStore(const sdk::VolumeConfig& config, const Uuid& id,
                           OfflineVolumes& offline) {
  Volumes::Deletion deletion{.origin = MarkedOrigin(config)};
  // One that was made of the volume's own id is not used again.
  deletion.id_is_spent = Parameter(config, "volume").empty();
  if (!deletion.id_is_spent) {
    deletion.repeated = access(DeletionPath(config).c_str(), F_OK) == 0;
    RETURN_IF_ERROR(MakeMark(DeletionPath(config), ""));
  }
  return offline.Run<absl::Status>(
      [&](Volumes& volumes, auto done) { volumes.Delete(id, deletion, std::move(done)); });
}

}  // namespace

absl::Status DeprovisionVolume(const sdk::VolumeConfig& config) {
  ASSIGN_OR_RETURN(ObjectVolume volume, ParseAllButKey(config));
  const absl::Status key = SetPacking(config, volume.packing, volume.options);
  if (!key.ok()) {
    SPDLOG_WARN(
        "volume {} is removed without its key; what its clones do not need stays until the "
        "last of them is removed: {}",
        config.volume_id, std::string(key.message()));
  }
  // Without the mark what the store has of that id is somebody else's.
  if (!volume.use_existing && IsMarked(config)) {
    const auto offline = OfflineVolumes::Open(volume);
    const bool lasting =
        absl::IsFailedPrecondition(offline.status()) || absl::IsNotFound(offline.status());
    if (!offline.ok() && !(lasting && StoreIsGone(volume))) return offline.status();
    if (offline.ok()) RETURN_IF_ERROR(DeleteInStore(config, volume.id, **offline));
  }
  RETURN_IF_ERROR(RemoveLogFile(DeletionPath(config)));
  RETURN_IF_ERROR(RemoveLogFile(MarkPath(config)));
  RETURN_IF_ERROR(RemoveLogFile(volume.cache_path));
  RETURN_IF_ERROR(RemoveLogFile(volume.memory_mark_path));
  return RemoveLogFile(volume.log_path);
}

}  // namespace diskd::object
