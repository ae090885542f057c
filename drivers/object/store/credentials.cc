// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/credentials.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/errno_status.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace diskd::object {
namespace {

constexpr size_t kFileBytesMax = 64 << 10;
constexpr size_t kKeyBytesMax = 4096;  // session tokens are about 1 KiB

// What is wrong with a key, or nullptr. Keys travel in headers, so no control characters.
const char* Fault(const Credentials& credentials) {
  if (credentials.access_key.empty()) return "there is no access key";
  if (credentials.secret_key.empty()) return "there is no secret key";
  for (const std::string* field :
       {&credentials.access_key, &credentials.secret_key, &credentials.session_token}) {
    if (field->size() > kKeyBytesMax) return "a key is longer than 4096 bytes";
    for (const char c : *field) {
      if (!absl::ascii_isgraph(static_cast<unsigned char>(c))) {
        return "a key has blanks or control characters";
      }
    }
  }
  return nullptr;
}

absl::StatusOr<Credentials> Checked(Credentials credentials, absl::string_view place,
                                    absl::string_view remedy) {
  if (const char* fault = Fault(credentials); fault != nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(place, ": ", fault, "; ", remedy));
  }
  return credentials;
}

class Fixed : public CredentialSource {
 public:
  explicit Fixed(Credentials credentials) : credentials_(std::move(credentials)) {}
  absl::StatusOr<Credentials> Get() override {
    return Checked(credentials_, "credentials of the request", "give access key and secret key");
  }

 private:
  const Credentials credentials_;
};

class Environment : public CredentialSource {
 public:
  absl::StatusOr<Credentials> Get() override {
    const auto variable = [](const char* name) {
      const char* value = std::getenv(name);
      return std::string(value == nullptr ? "" : value);
    };
    return Checked({.access_key = variable("AWS_ACCESS_KEY_ID"),
                    .secret_key = variable("AWS_SECRET_ACCESS_KEY"),
                    .session_token = variable("AWS_SESSION_TOKEN")},
                   "environment", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
  }
};

absl::StatusOr<std::string> ReadBounded(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, absl::StrCat("open credentials file ", path));
  std::string text(kFileBytesMax + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = read(fd.get(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, absl::StrCat("read credentials file ", path));
    if (got == 0) break;
    size += got;
  }
  if (size > kFileBytesMax) {
    return absl::FailedPreconditionError(
        absl::StrCat("credentials file ", path, " is larger than 64 KiB"));
  }
  text.resize(size);
  return text;
}

class File : public CredentialSource {
 public:
  File(std::string path, std::string profile)
      : path_(std::move(path)), profile_(std::move(profile)) {}

  absl::StatusOr<Credentials> Get() override {
    absl::MutexLock lock(&mutex_);
    if (cached_.has_value() && !refused_) return *cached_;
    absl::StatusOr<Credentials> read = Read();
    if (read.ok()) {
      cached_ = *std::move(read);
    } else if (cached_.has_value()) {
      // One object that is refused must not cost the others their keys.
      SPDLOG_WARN("user {} can't read the keys again, using those read before: {}", geteuid(),
                  std::string(read.status().message()));
    } else {
      return read.status();
    }
    refused_ = false;
    return *cached_;
  }

  void Refresh() override {
    absl::MutexLock lock(&mutex_);
    refused_ = true;
  }

 private:
  absl::StatusOr<Credentials> Read() const {
    ASSIGN_OR_RETURN(const std::string text, ReadBounded(path_));
    return ParseCredentials(text, profile_, path_);
  }

  const std::string path_;
  const std::string profile_;
  absl::Mutex mutex_;
  std::optional<Credentials> cached_ ABSL_GUARDED_BY(mutex_);
  bool refused_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

absl::StatusOr<Credentials> ParseCredentials(absl::string_view text, absl::string_view profile,
                                             absl::string_view place) {
  Credentials credentials;
  bool ours = true;  // lines before the first section
  for (const absl::string_view raw : absl::StrSplit(text, '\n')) {
    const absl::string_view line = absl::StripAsciiWhitespace(raw);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line[0] == '[') {
      ours = line.back() == ']' &&
             absl::StripAsciiWhitespace(line.substr(1, line.size() - 2)) == profile;
      continue;
    }
    if (!ours) continue;
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(line, absl::MaxSplits('=', 1));
    const absl::string_view name = absl::StripAsciiWhitespace(pair.first);
    const std::string value(absl::StripAsciiWhitespace(pair.second));
    if (name == "aws_access_key_id") credentials.access_key = value;
    if (name == "aws_secret_access_key") credentials.secret_key = value;
    if (name == "aws_session_token") credentials.session_token = value;
  }
  return Checked(std::move(credentials), absl::StrCat("credentials file ", place),
                 absl::StrCat("it needs aws_access_key_id and aws_secret_access_key in section [",
                              profile, "]"));
}

std::unique_ptr<CredentialSource> FixedCredentials(Credentials credentials) {
  return std::make_unique<Fixed>(std::move(credentials));
}

std::unique_ptr<CredentialSource> EnvironmentCredentials() {
  return std::make_unique<Environment>();
}

std::unique_ptr<CredentialSource> FileCredentials(std::string path, std::string profile) {
  return std::make_unique<File>(std::move(path), std::move(profile));
}

}  // namespace diskd::object
