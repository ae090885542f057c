// SPDX-License-Identifier: Apache-2.0
#include "agent/volume/secret_names.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace diskd::agent {

void RecordSecretNames(const SecretMap& secrets, VolumeRecord& volume) {
  auto& names = *volume.mutable_secrets()->mutable_names();
  names.Clear();
  for (const auto& [name, value] : secrets) *names.Add() = name;
  std::sort(names.begin(), names.end());
}

absl::Status CheckSecretsHere(const VolumeRecord& volume, const SecretMap& here) {
  for (const std::string& name : volume.secrets().names()) {
    if (here.count(name) != 0) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("volume \"", volume.name(), "\" is being made with the secret \"", name,
                     "\", which the agent does not have any more: repeat the create with it, or "
                     "delete the volume"));
  }
  return absl::OkStatus();
}

absl::Status CheckSecretsKnown(const VolumeRecord& volume, const SecretMap& here,
                               const SecretMap& again) {
  if (!volume.has_secrets()) return absl::OkStatus();  // made by an earlier version
  const auto& names = volume.secrets().names();
  for (const auto& [name, value] : again) {
    if (here.count(name) != 0) continue;
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    return absl::AlreadyExistsError(absl::StrCat(
        "volume \"", volume.name(), "\" exists and was made without the secret \"", name, "\""));
  }
  return absl::OkStatus();
}

}  // namespace diskd::agent
