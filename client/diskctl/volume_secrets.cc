// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <vector>

#include "base/status_macros.h"
#include "client/diskctl/command.h"
#include "client/diskctl/secrets.h"

namespace diskd::diskctl {
namespace {

struct Options {
  std::string volume;
  std::vector<std::string> secrets;
};

absl::Status Set(const Options& options, Session& session) {
  v1::SetVolumeSecretsRequest request;
  request.set_volume(options.volume);
  RETURN_IF_ERROR(ReadSecrets(options.secrets, *request.mutable_secrets()));
  RETURN_IF_ERROR(session.agent.SetVolumeSecrets(request).status());
  if (session.options.json()) return session.PrintJson(v1::SetVolumeSecretsResponse());
  if (!session.options.quiet) {
    session.out << "volume " << options.volume << " has " << request.secrets().size()
                << " secrets now\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddVolumeSecrets(CLI::App& volume, Commands& commands) {
  auto options = std::make_shared<Options>();
  CLI::App* command = volume.add_subcommand(
      "secrets", "Give a volume's keys again, after a reboot or instead of others; none: forget");
  command->add_option("volume", options->volume, "Name or id")->required()->type_name("VOLUME");
  AddSecretOption(*command, options->secrets);
  commands.Bind(command, [options](Session& session) { return Set(*options, session); });
}

}  // namespace diskd::diskctl
