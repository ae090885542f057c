// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "client/diskctl/command.h"
#include "client/diskctl/text.h"

namespace diskd::diskctl {
namespace {

// An agent that is down is no failure here: the question was about versions.
absl::Status Version(Session& session) {
  const auto info = session.agent.GetNodeInfo({});
  const std::string agent = info.ok() ? info->agent_version() : "";
  if (session.options.json()) {
    session.out << "{\n \"diskctl\": " << JsonQuote(DISKD_VERSION)
                << ",\n \"agent\": " << JsonQuote(agent) << "\n}\n";
    return absl::OkStatus();
  }
  if (session.options.quiet) {
    session.out << DISKD_VERSION << '\n';
    return absl::OkStatus();
  }
  session.out << "diskctl " << DISKD_VERSION << "\nagent   " << (info.ok() ? agent : "unknown")
              << '\n';
  if (!info.ok()) session.err << "diskctl: warning: " << info.status().message() << '\n';
  return absl::OkStatus();
}

}  // namespace

void AddVersion(CLI::App& root, Commands& commands) {
  CLI::App* command = root.add_subcommand("version", "Show the versions of diskctl and the agent");
  commands.Bind(command, Version);
}

}  // namespace diskd::diskctl
