// SPDX-License-Identifier: Apache-2.0
//
// Secrets on the command line: by file only, since everybody sees a command line.
#ifndef DISKD_CLIENT_DISKCTL_SECRETS_H_
#define DISKD_CLIENT_DISKCTL_SECRETS_H_

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/lib/agent.h"

namespace diskd::diskctl {

// --secret NAME=FILE, which may be repeated.
void AddSecretOption(CLI::App& command, std::vector<std::string>& texts);

// What the files have, a line end at the end left out. INVALID_ARGUMENT, NOT_FOUND: names the file.
absl::Status ReadSecrets(const std::vector<std::string>& texts,
                         google::protobuf::Map<std::string, std::string>& secrets);

// Before what needs them; none: nothing happens.
absl::Status GiveSecrets(client::Agent& agent, const std::string& volume,
                         const std::vector<std::string>& texts);

}  // namespace diskd::diskctl

#endif  // DISKD_CLIENT_DISKCTL_SECRETS_H_
