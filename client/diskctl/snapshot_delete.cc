// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>

#include "base/status_macros.h"
#include "client/diskctl/command.h"

namespace diskd::diskctl {
namespace {

struct Options {
  std::string volume;
  std::string name;
};

absl::Status Delete(const Options& options, Session& session) {
  v1::DeleteSnapshotRequest request;
  request.set_volume(options.volume);
  request.set_name(options.name);
  ASSIGN_OR_RETURN(const v1::DeleteSnapshotResponse response,
                   session.agent.DeleteSnapshot(request));
  if (session.options.json()) return session.PrintJson(response);
  if (session.options.quiet) {
    session.out << options.name << '\n';
  } else {
    session.out << "snapshot " << options.name << " does not exist any more\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddSnapshotDelete(CLI::App& snapshot, Commands& commands) {
  auto options = std::make_shared<Options>();
  CLI::App* command = snapshot.add_subcommand("delete", "Give up a snapshot; the volume stays");
  command->alias("rm");
  command->add_option("volume", options->volume, "Name or id")->required()->type_name("VOLUME");
  command->add_option("name", options->name, "The snapshot's name")->required()->type_name("NAME");
  commands.Bind(command, [options](Session& session) { return Delete(*options, session); });
}

}  // namespace diskd::diskctl
