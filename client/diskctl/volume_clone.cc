// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <vector>

#include "base/status_macros.h"
#include "client/diskctl/command.h"
#include "client/diskctl/parameters.h"
#include "client/diskctl/secrets.h"
#include "client/diskctl/text.h"
#include "client/lib/size.h"

namespace diskd::diskctl {
namespace {

struct Options {
  std::string volume;
  std::string snapshot;
  std::string name;
  std::vector<std::string> parameters;
  std::vector<std::string> secrets;
};

absl::Status Clone(const Options& options, Session& session) {
  v1::CreateVolumeRequest request;
  request.set_name(options.name);
  request.mutable_source()->set_volume(options.volume);
  request.mutable_source()->set_snapshot(options.snapshot);
  ASSIGN_OR_RETURN(const auto parameters, ParseParameters(options.parameters));
  request.mutable_parameters()->insert(parameters.begin(), parameters.end());
  RETURN_IF_ERROR(ReadSecrets(options.secrets, *request.mutable_secrets()));
  ASSIGN_OR_RETURN(const v1::CreateVolumeResponse response, session.agent.CreateVolume(request));
  if (session.options.json()) return session.PrintJson(response);
  const v1::Volume& volume = response.volume();
  if (session.options.quiet) {
    session.out << volume.name() << '\n';
  } else {
    session.out << "volume " << volume.name() << " is " << VolumeStateText(volume.state()) << ": "
                << client::FormatSize(volume.size_bytes()) << ", a clone of " << options.volume
                << "'s snapshot " << options.snapshot << ", " << volume.id() << '\n';
  }
  return absl::OkStatus();
}

}  // namespace

void AddVolumeClone(CLI::App& volume, Commands& commands) {
  auto options = std::make_shared<Options>();
  CLI::App* command = volume.add_subcommand(
      "clone", "Make a volume that begins as a snapshot of another one, which may be in use");
  command->add_option("volume", options->volume, "Name or id")->required()->type_name("VOLUME");
  command->add_option("snapshot", options->snapshot, "The snapshot's name")
      ->required()
      ->type_name("SNAPSHOT");
  command->add_option("name", options->name, "Of the new volume")->required()->type_name("NAME");
  AddParameterOption(*command, options->parameters,
                     "A parameter that differs from the source's; may be repeated");
  AddSecretOption(*command, options->secrets);
  commands.Bind(command, [options](Session& session) { return Clone(*options, session); });
}

}  // namespace diskd::diskctl
