// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/provision.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/errno_status.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "drivers/object/engine/head_keeper.h"
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

constexpr uint8_t kFanoutBits = 8;
// Of calls that must have an end; an open volume's engine never gives up.
constexpr int kTries = 5;
constexpr absl::Duration kPause = absl::Milliseconds(500);

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

absl::StatusOr<Origin> FindOrigin(OfflineVolumes& offline, const ObjectVolume& parent,
                                  const Options& key, const std::string& snapshot,
                                  const sdk::VolumeConfig& config, const char* verb) {
  Origin origin;
  ASSIGN_OR_RETURN(origin.head, offline.Run<absl::StatusOr<Head>>([&](Volumes& volumes, auto done) {
    volumes.Load(parent.id, std::move(done));
  }));
  RETURN_IF_ERROR(CheckKey(origin.head, key));
  ASSIGN_OR_RETURN(origin.snapshot, FindSnapshot(origin.head, snapshot));
  if (origin.snapshot.size_bytes != config.size_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("snapshot \"", snapshot, "\" has ", origin.snapshot.size_bytes, " bytes, not ",
                     config.size_bytes, ": ", verb, " it as it is, then change the size"));
  }
  return origin;
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
  ASSIGN_OR_RETURN(const Origin origin,
                   FindOrigin(*offline, parent, volume.options, snapshot, config, "clone"));
  // Before the store knows of the clone: its removal has to find the source.
  ASSIGN_OR_RETURN(const std::unique_ptr<Store> store, OpenStore(volume.store));
  RETURN_IF_ERROR(MarkAsMade(config, *store, volume, parent.id.Hex()));
  RETURN_IF_ERROR(offline->Run<absl::Status>([&](Volumes& volumes, auto done) {
    volumes.Clone(parent.id, origin.snapshot.id, volume.id, std::move(done));
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
  ASSIGN_OR_RETURN(ObjectVolume volume, ParseWithoutKey(config));
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
