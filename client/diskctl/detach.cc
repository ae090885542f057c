// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>

#include "base/status_macros.h"
#include "client/diskctl/command.h"

namespace diskd::diskctl {
namespace {

struct Options {
  std::string volume;
  bool force = false;
};

absl::Status Detach(const Options& options, Session& session) {
  v1::DetachVolumeRequest request;
  request.set_volume(options.volume);
  request.set_force(options.force);
  ASSIGN_OR_RETURN(const v1::DetachVolumeResponse response, session.agent.DetachVolume(request));
  if (session.options.json()) return session.PrintJson(response);
  if (session.options.quiet) {
    session.out << options.volume << '\n';
  } else {
    session.out << "volume " << options.volume << " is not attached any more\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddDetach(CLI::App& root, Commands& commands) {
  auto options = std::make_shared<Options>();
  CLI::App* command = root.add_subcommand("detach", "Take a volume's block device away");
  command->add_option("volume", options->volume, "Name or id")->required()->type_name("VOLUME");
  command->add_flag("--force", options->force,
                    "Even if open or mounted; I/O in flight fails, unwritten data is lost");
  commands.Bind(command, [options](Session& session) { return Detach(*options, session); });
}

}  // namespace diskd::diskctl
