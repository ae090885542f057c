// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status_macros.h"
#include "client/diskctl/command.h"
#include "client/diskctl/secrets.h"
#include "client/diskctl/text.h"

namespace diskd::diskctl {
namespace {

struct Options {
  std::string volume;
  std::string transport = "auto";
  bool read_only = false;
  uint32_t queues = 0;
  uint32_t queue_depth = 0;
  std::vector<std::string> secrets;
};

absl::Status Attach(const Options& options, Session& session) {
  v1::AttachVolumeRequest request;
  request.set_volume(options.volume);
  ASSIGN_OR_RETURN(const v1::Transport transport, ParseTransport(options.transport));
  request.set_transport(transport);
  request.set_read_only(options.read_only);
  request.set_queues(options.queues);
  request.set_queue_depth(options.queue_depth);
  RETURN_IF_ERROR(GiveSecrets(session.agent, options.volume, options.secrets));
  ASSIGN_OR_RETURN(const v1::AttachVolumeResponse response, session.agent.AttachVolume(request));
  const v1::Attachment& attachment = response.attachment();
  // An attachment that exists already may be in any state.
  if (attachment.state() != v1::ATTACHMENT_STATE_ATTACHED) {
    session.err << "diskctl: warning: " << attachment.volume_name() << " is "
                << AttachmentStateText(attachment.state()) << ": " << attachment.message() << '\n';
  }
  if (session.options.json()) return session.PrintJson(response);
  session.out << attachment.device_path() << '\n';
  return absl::OkStatus();
}

}  // namespace

void AddAttach(CLI::App& root, Commands& commands) {
  auto options = std::make_shared<Options>();
  CLI::App* command = root.add_subcommand(
      "attach", "Show a volume as a block device and print its path, such as /dev/loop3");
  command->add_option("volume", options->volume, "Name or id")->required()->type_name("VOLUME");
  command->add_option("--transport", options->transport, "auto, buse or fuse; auto: the best one")
      ->check(CLI::IsMember({"auto", "buse", "fuse"}))
      ->type_name("TRANSPORT")
      ->capture_default_str();
  command->add_flag("--read-only", options->read_only, "The device refuses writes");
  command->add_option("--queues", options->queues, "Hardware queues; 0: one per CPU, at most 4")
      ->type_name("N");
  command->add_option("--queue-depth", options->queue_depth, "Requests per queue; 0: 128")
      ->type_name("N");
  AddSecretOption(*command, options->secrets);
  commands.Bind(command, [options](Session& session) { return Attach(*options, session); });
}

}  // namespace diskd::diskctl
