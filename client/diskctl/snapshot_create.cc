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

absl::Status Create(const Options& options, Session& session) {
  v1::CreateSnapshotRequest request;
  request.set_volume(options.volume);
  request.set_name(options.name);
  ASSIGN_OR_RETURN(const v1::CreateSnapshotResponse response,
                   session.agent.CreateSnapshot(request));
  if (session.options.json()) return session.PrintJson(response);
  const v1::Snapshot& snapshot = response.snapshot();
  if (session.options.quiet) {
    session.out << snapshot.name() << '\n';
  } else {
    session.out << "volume " << snapshot.volume_name() << " has the snapshot " << snapshot.name()
                << '\n';
  }
  if (response.existed()) {
    session.err << "diskctl: warning: it existed before: nothing was done\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddSnapshotCreate(CLI::App& snapshot, Commands& commands) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      snapshot.add_subcommand("create", "Keep the present state of a volume; I/O goes on");
  command->add_option("volume", options->volume, "Name or id")->required()->type_name("VOLUME");
  command->add_option("name", options->name, "The snapshot's name")->required()->type_name("NAME");
  commands.Bind(command, [options](Session& session) { return Create(*options, session); });
}

}  // namespace diskd::diskctl
