// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/packing_parameters.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/errno_status.h"
#include "base/fd.h"
#include "base/status_macros.h"
#include "drivers/object/parameters.h"

namespace diskd::object {
namespace {

constexpr int kDefaultLevel = 3;
constexpr int kMaxLevel = 19;  // above it, each volume would need hundreds of MiB
constexpr size_t kMaxKeyFileBytes = 4096;

absl::StatusOr<int> ParseLevel(const std::string& text) {
  absl::string_view rest = text;
  if (rest.empty() || rest == "none") return 0;
  if (rest == "zstd") return kDefaultLevel;
  int level = 0;
  if (absl::ConsumePrefix(&rest, "zstd:") && absl::SimpleAtoi(rest, &level) && level >= 1 &&
      level <= kMaxLevel) {
    return level;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("parameter compression=", text,
                   ": must be none, zstd or zstd:LEVEL with a level from 1 to ", kMaxLevel));
}

absl::Status NoKey(const std::string& path, absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat(
      "encryption_key_file ", path, ": ", why,
      "; put the volume's key there, 32 bytes or 64 hexadecimal digits, readable by root alone"));
}

absl::StatusOr<std::string> ReadKeyFile(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return NoKey(path, strerror(errno));
  struct stat st {};
  if (fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) return NoKey(path, "it is no file");
  if ((st.st_mode & S_IRWXO) != 0) return NoKey(path, "everybody may use it (chmod o-rwx)");
  std::string text(kMaxKeyFileBytes, '\0');
  const ssize_t got = pread(fd.get(), text.data(), text.size(), 0);
  if (got < 0) return NoKey(path, strerror(errno));
  text.resize(static_cast<size_t>(got));
  return text;
}

}  // namespace

absl::StatusOr<PackingKey> ParseKey(absl::string_view text) {
  PackingKey key;
  std::string raw(text);
  if (raw.size() != key.size()) {
    const absl::string_view digits = absl::StripAsciiWhitespace(text);
    if (digits.size() != 2 * key.size() ||
        !std::all_of(digits.begin(), digits.end(),
                     [](unsigned char c) { return absl::ascii_isxdigit(c); })) {
      return absl::InvalidArgumentError(absl::StrCat(
          "a key has 32 bytes or 64 hexadecimal digits, this has ", text.size(), " characters"));
    }
    raw = absl::HexStringToBytes(digits);
  }
  memcpy(key.data(), raw.data(), key.size());
  if (key == PackingKey{}) return absl::InvalidArgumentError("a key of zeros is none");
  return key;
}

absl::StatusOr<PackingParameters> ParsePacking(const sdk::VolumeConfig& config) {
  PackingParameters packing;
  ASSIGN_OR_RETURN(packing.zstd_level, ParseLevel(Parameter(config, "compression")));
  packing.key_file = Parameter(config, "encryption_key_file");
  const bool secret = config.secrets.count(kKeySecret) > 0;
  if (!packing.key_file.empty() && packing.key_file[0] != '/') {
    return absl::InvalidArgumentError(
        absl::StrCat("parameter encryption_key_file=", packing.key_file,
                     ": must be an absolute path, never the key itself"));
  }
  const std::string encryption = Parameter(config, "encryption");
  packing.plain = encryption == "none";
  packing.encrypted = encryption == "aes-256-gcm" || !packing.key_file.empty() || secret;
  if (!encryption.empty() && !packing.plain && encryption != "aes-256-gcm") {
    return absl::InvalidArgumentError(
        absl::StrCat("parameter encryption=", encryption, ": must be none or aes-256-gcm"));
  }
  if (packing.plain && packing.encrypted) {
    return absl::InvalidArgumentError("encryption=none, and yet there is a key: leave one out");
  }
  return packing;
}

absl::Status SetPacking(const sdk::VolumeConfig& config, const PackingParameters& parameters,
                        Options& options) {
  options.zstd_level = parameters.zstd_level;
  if (!parameters.encrypted) return absl::OkStatus();
  if (const auto secret = config.secrets.find(kKeySecret); secret != config.secrets.end()) {
    const absl::StatusOr<PackingKey> key = ParseKey(secret->second);
    if (!key.ok()) {
      return absl::FailedPreconditionError(
          absl::StrCat("secret ", kKeySecret, ": ", key.status().message()));
    }
    options.key = *key;
    return absl::OkStatus();
  }
  if (parameters.key_file.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "volume ", config.volume_id, " is encrypted and its key is not here: give it as secret ",
        kKeySecret, " (diskctl volume secrets), or name its file in encryption_key_file"));
  }
  ASSIGN_OR_RETURN(const std::string text, ReadKeyFile(parameters.key_file));
  const absl::StatusOr<PackingKey> key = ParseKey(text);
  if (!key.ok()) return NoKey(parameters.key_file, key.status().message());
  options.key = *key;
  return absl::OkStatus();
}

}  // namespace diskd::object
