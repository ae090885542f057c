// SPDX-License-Identifier: Apache-2.0
//
// Which secrets a volume was made with. The record has their names, never a value: a create that
// goes on after the values were lost must not make another volume, one without encryption, say.
#ifndef DISKD_AGENT_VOLUME_SECRET_NAMES_H_
#define DISKD_AGENT_VOLUME_SECRET_NAMES_H_

#include "absl/status/status.h"
#include "agent/store/store.h"
#include "agent/volume/secrets.h"

namespace diskd::agent {

void RecordSecretNames(const SecretMap& secrets, VolumeRecord& volume);

// FAILED_PRECONDITION: a secret it was made with is not among those that are `here`.
absl::Status CheckSecretsHere(const VolumeRecord& volume, const SecretMap& here);

// Of the same create again. ALREADY_EXISTS: it names a secret that the volume was not made with,
// nor given since.
absl::Status CheckSecretsKnown(const VolumeRecord& volume, const SecretMap& here,
                               const SecretMap& again);

}  // namespace diskd::agent

#endif  // DISKD_AGENT_VOLUME_SECRET_NAMES_H_
