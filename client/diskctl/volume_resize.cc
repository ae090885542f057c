// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>

#include "base/status_macros.h"
#include "client/diskctl/command.h"
#include "client/lib/size.h"

namespace diskd::diskctl {
namespace {

struct Options {
  std::string volume;
  std::string size;
};

absl::Status Resize(const Options& options, Session& session) {
  v1::ResizeVolumeRequest request;
  request.set_volume(options.volume);
  ASSIGN_OR_RETURN(const uint64_t size_bytes, client::ParseSize(options.size));
  request.set_size_bytes(size_bytes);
  ASSIGN_OR_RETURN(const v1::ResizeVolumeResponse response, session.agent.ResizeVolume(request));
  if (session.options.json()) return session.PrintJson(response);
  const v1::Volume& volume = response.volume();
  if (session.options.quiet) {
    session.out << volume.name() << '\n';
  } else {
    session.out << "volume " << volume.name() << " has " << client::FormatSize(volume.size_bytes())
                << '\n';
  }
  return absl::OkStatus();
}

}  // namespace

void AddVolumeResize(CLI::App& volume, Commands& commands) {
  auto options = std::make_shared<Options>();
  CLI::App* command = volume.add_subcommand(
      "resize", "Change the size; a smaller one cuts off the end, and not while attached");
  command->add_option("volume", options->volume, "Name or id")->required()->type_name("VOLUME");
  command->add_option("size", options->size, "As with volume create")
      ->required()
      ->type_name("SIZE");
  commands.Bind(command, [options](Session& session) { return Resize(*options, session); });
}

}  // namespace diskd::diskctl
