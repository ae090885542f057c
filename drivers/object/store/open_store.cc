// SPDX-License-Identifier: Apache-2.0
#include "drivers/object/store/open_store.h"

#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "drivers/object/store/dir_store.h"

namespace diskd::object {
namespace {

absl::StatusOr<S3Options::Addressing> ParseAddressing(absl::string_view text) {
  if (text.empty() || text == "auto") return S3Options::Addressing::kAuto;
  if (text == "path") return S3Options::Addressing::kPath;
  if (text == "virtual") return S3Options::Addressing::kVirtualHost;
  return absl::InvalidArgumentError(
      absl::StrCat("addressing \"", text, "\": auto, path or virtual"));
}

std::unique_ptr<CredentialSource> SourceOf(const StoreParameters& parameters) {
  if (parameters.credentials.has_value()) return FixedCredentials(*parameters.credentials);
  if (!parameters.credentials_file.empty()) return FileCredentials(parameters.credentials_file);
  return EnvironmentCredentials();
}

absl::StatusOr<std::unique_ptr<Store>> OpenS3(absl::string_view location,
                                              const StoreParameters& parameters) {
  S3Options options;
  const size_t slash = std::min(location.find('/'), location.size());
  options.bucket = std::string(location.substr(0, slash));
  absl::string_view prefix = location.substr(slash);
  absl::ConsumePrefix(&prefix, "/");
  absl::ConsumeSuffix(&prefix, "/");
  options.prefix = std::string(prefix);
  options.endpoint = parameters.endpoint;
  options.ca_file = parameters.ca_file;
  options.gate = parameters.gate;
  options.idle_timeout = parameters.idle_timeout;
  if (const char* region = std::getenv("AWS_REGION"); !parameters.region.empty()) {
    options.region = parameters.region;
  } else if (region != nullptr) {
    options.region = region;
  }
  ASSIGN_OR_RETURN(options.addressing, ParseAddressing(parameters.addressing));
  return OpenS3Store(options, SourceOf(parameters));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenStore(const StoreParameters& parameters) {
  absl::string_view url = parameters.url;
  if (absl::ConsumePrefix(&url, "dir:")) {
    return OpenDirStore(
        {.path = std::string(url), .create = parameters.create, .gate = parameters.gate});
  }
  if (absl::ConsumePrefix(&url, "s3://")) return OpenS3(url, parameters);
  return absl::InvalidArgumentError(
      absl::StrCat("store \"", url, "\": want dir:/PATH or s3://BUCKET[/PREFIX]"));
}

}  // namespace diskd::object
