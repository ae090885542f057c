// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>

#include "base/status_macros.h"
#include "client/diskctl/command.h"

namespace diskd::diskctl {
namespace {

struct Options {
  std::string volume;
  std::string snapshot;
};

absl::Status RollBack(const Options& options, Session& session) {
  v1::RollBackVolumeRequest request;
  request.set_volume(options.volume);
  request.set_snapshot(options.snapshot);
  ASSIGN_OR_RETURN(const v1::RollBackVolumeResponse response,
                   session.agent.RollBackVolume(request));
  if (session.options.json()) return session.PrintJson(response);
  if (session.options.quiet) {
    session.out << options.volume << '\n';
  } else {
    session.out << "volume " << options.volume << " is what snapshot " << options.snapshot
                << " is\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddVolumeRollback(CLI::App& volume, Commands& commands) {
  auto options = std::make_shared<Options>();
  CLI::App* command = volume.add_subcommand(
      "rollback", "Go back to a snapshot and lose what was written since; not while attached");
  command->add_option("volume", options->volume, "Name or id")->required()->type_name("VOLUME");
  command->add_option("snapshot", options->snapshot, "The snapshot's name")
      ->required()
      ->type_name("SNAPSHOT");
  commands.Bind(command, [options](Session& session) { return RollBack(*options, session); });
}

}  // namespace diskd::diskctl
