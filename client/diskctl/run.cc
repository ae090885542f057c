// SPDX-License-Identifier: Apache-2.0
#include "client/diskctl/run.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/diskctl/command.h"
#include "client/diskctl/exit_code.h"
#include "client/diskctl/text.h"
#include "client/lib/client.h"

namespace diskd::diskctl {
namespace {

// An agent that restarts is back within a second; somebody waits at the terminal.
constexpr int kRetryLimit = 4;

void AddGlobalOptions(CLI::App& root, GlobalOptions& options) {
  options.endpoint = client::kDefaultEndpoint;
  root.add_option("--socket", options.endpoint, "The agent's Unix socket")
      ->envname("DISKD_SOCKET")
      ->type_name("PATH")
      ->capture_default_str();
  root.add_option("-o,--output", options.output, "Form of the result: table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->type_name("FORM")
      ->capture_default_str();
  root.add_option("--timeout", options.timeout, "How long to wait for the agent, such as 30s or 2m")
      ->type_name("DURATION")
      ->capture_default_str();
  root.add_flag("-q,--quiet", options.quiet, "Print names and device paths only");
}

void AddCommands(CLI::App& root, Commands& commands) {
  CLI::App* volume = root.add_subcommand("volume", "Create, show and delete volumes");
  volume->alias("vol")->require_subcommand(1);
  AddVolumeCreate(*volume, commands);
  AddVolumeGet(*volume, commands);
  AddVolumeLs(*volume, commands);
  AddVolumeDelete(*volume, commands);
  AddVolumeClone(*volume, commands);
  AddVolumeCopy(*volume, commands);
  AddVolumeResize(*volume, commands);
  AddVolumeCheck(*volume, commands);
  AddVolumeRollback(*volume, commands);
  AddVolumeSecrets(*volume, commands);
  AddVolumeStats(*volume, commands);
  CLI::App* snapshot = root.add_subcommand("snapshot", "Create, show and delete snapshots");
  snapshot->alias("snap")->require_subcommand(1);
  AddSnapshotCreate(*snapshot, commands);
  AddSnapshotLs(*snapshot, commands);
  AddSnapshotDelete(*snapshot, commands);
  AddSnapshotDiff(*snapshot, commands);
  AddAttach(root, commands);
  AddDetach(root, commands);
  AddLs(root, commands);
  CLI::App* driver = root.add_subcommand("driver", "Show and upgrade drivers");
  driver->require_subcommand(1);
  AddDriverLs(*driver, commands);
  AddDriverUpgrade(*driver, commands);
  AddDoctor(root, commands);
  AddVersion(root, commands);
  CLI::App* completion = root.add_subcommand("completion", "Print a shell's completion script");
  completion->require_subcommand(1);
  AddCompletionBash(*completion, root, commands);
}

const CLI::App& Innermost(const CLI::App& root) {
  const CLI::App* app = &root;
  while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
  return *app;
}

// "diskctl volume create": what to ask for help.
std::string CommandName(const CLI::App& root) {
  std::string name = "diskctl";
  for (const CLI::App* app = &root; !app->get_subcommands().empty();) {
    app = app->get_subcommands().front();
    absl::StrAppend(&name, " ", app->get_name());
  }
  return name;
}

std::string OneLine(absl::string_view text) {
  std::string line(text);
  while (!line.empty() && line.back() == '\n') line.pop_back();
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

// CLI11 asks for a missing command before it complains about a wrong one.
std::string WhatIsWrong(const CLI::App& root, const CLI::ParseError& error) {
  const std::vector<std::string> unknown = root.remaining(/*recurse=*/true);
  if (!unknown.empty() && !Innermost(root).get_subcommands(nullptr).empty()) {
    return absl::StrCat("no command \"", unknown.front(), "\"");
  }
  return OneLine(error.what());
}

int Report(const absl::Status& status, std::ostream& err) {
  if (!status.ok()) {
    const std::string message = status.message().empty() ? absl::StatusCodeToString(status.code())
                                                         : std::string(status.message());
    err << "diskctl: " << OneLine(message) << '\n';
  }
  return ExitCodeOf(status);
}

absl::Status Execute(const Action& action, const GlobalOptions& options, const World& world,
                     std::ostream& out, std::ostream& err) {
  ASSIGN_OR_RETURN(const absl::Duration timeout, ParseTimeout(options.timeout));
  ASSIGN_OR_RETURN(const std::shared_ptr<client::Agent> agent,
                   world.connect(options.endpoint, timeout));
  Session session{*agent, options, world.host_facts, out, err};
  RETURN_IF_ERROR(action(session));
  out.flush();
  if (!out) return absl::InternalError("the result can't be written to standard output");
  return absl::OkStatus();
}

}  // namespace

absl::Status Session::PrintJson(const google::protobuf::Message& message) const {
  ASSIGN_OR_RETURN(const std::string json, JsonText(message));
  out << json;
  return absl::OkStatus();
}

const Action* Commands::Chosen(const CLI::App& root) const {
  const auto it = actions_.find(&Innermost(root));
  return it == actions_.end() ? nullptr : &it->second;
}

World RealWorld() {
  return World{
      .connect = [](const std::string& endpoint,
                    absl::Duration timeout) -> absl::StatusOr<std::shared_ptr<client::Agent>> {
        client::ClientOptions options;
        options.call_timeout = timeout;
        options.retry_limit = kRetryLimit;
        options.retry_aborted = true;
        return client::Client::Connect(endpoint, options);
      },
      .host_facts = ReadHostFacts,
  };
}

int Run(const std::vector<std::string>& args, const World& world, std::ostream& out,
        std::ostream& err) {
  CLI::App root("diskctl: virtual disks of this node, through the agent diskd", "diskctl");
  root.footer(kExitCodeText);
  root.fallthrough();
  root.require_subcommand(1);
  root.set_version_flag("--version", DISKD_VERSION);
  GlobalOptions options;
  Commands commands;
  AddGlobalOptions(root, options);
  AddCommands(root, commands);
  try {
    std::vector<std::string> reversed(args.rbegin(), args.rend());  // CLI11 pops from the back
    root.parse(std::move(reversed));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
      root.exit(error, out, err);  // --help
      return kExitOk;
    }
    err << "diskctl: " << WhatIsWrong(root, error) << "; try " << CommandName(root) << " --help\n";
    return kExitUsage;
  }
  const Action* action = commands.Chosen(root);
  if (action == nullptr) {
    return Report(absl::InternalError(absl::StrCat(CommandName(root), " does nothing")), err);
  }
  return Report(Execute(*action, options, world, out, err), err);
}

}  // namespace diskd::diskctl
