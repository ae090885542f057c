// SPDX-License-Identifier: Apache-2.0
#include "client/diskctl/secrets.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/fd.h"
#include "base/status_macros.h"
#include "client/diskctl/text.h"

namespace diskd::diskctl {
namespace {

constexpr size_t kMaxFileBytes = 16 << 10;  // what the agent takes
constexpr size_t kKeyBytes = 32;

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, absl::StrCat("secret file ", path));
  std::string text(kMaxFileBytes + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = read(fd.get(), text.data() + size, text.size() - size);
    if (got < 0) return ErrnoStatus(errno, absl::StrCat("secret file ", path));
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  if (size > kMaxFileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("secret file ", path, " has more than ", kMaxFileBytes, " bytes"));
  }
  text.resize(size);
  // Of text, not of 32 bytes of a key.
  if (size != kKeyBytes && !text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace

void AddSecretOption(CLI::App& command, std::vector<std::string>& texts) {
  command
      .add_option("--secret", texts,
                  "A secret of the driver, from a file, such as encryption_key=/root/key; may be "
                  "repeated")
      ->take_all()
      ->allow_extra_args(false)
      ->type_name("NAME=FILE");
}

absl::Status ReadSecrets(const std::vector<std::string>& texts,
                         google::protobuf::Map<std::string, std::string>& secrets) {
  ASSIGN_OR_RETURN(const auto files, ParseParameters(texts));
  for (const auto& [name, path] : files) {
    ASSIGN_OR_RETURN(secrets[name], ReadFile(path));
  }
  return absl::OkStatus();
}

absl::Status GiveSecrets(client::Agent& agent, const std::string& volume,
                         const std::vector<std::string>& texts) {
  if (texts.empty()) return absl::OkStatus();
  v1::SetVolumeSecretsRequest request;
  request.set_volume(volume);
  RETURN_IF_ERROR(ReadSecrets(texts, *request.mutable_secrets()));
  return agent.SetVolumeSecrets(request).status();
}

}  // namespace diskd::diskctl
