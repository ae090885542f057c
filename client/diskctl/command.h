// SPDX-License-Identifier: Apache-2.0
//
// What a command of diskctl is made of. One command, one file: its Add function puts the command
// and its options into the parser and binds what the command does.
//
// Not thread-safe.
#ifndef DISKD_CLIENT_DISKCTL_COMMAND_H_
#define DISKD_CLIENT_DISKCTL_COMMAND_H_

#include <google/protobuf/message.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/diskctl/host_facts.h"
#include "client/lib/agent.h"

namespace diskd::diskctl {

struct GlobalOptions {
  std::string endpoint;  // unix:///path or the path
  std::string output = "table";
  std::string timeout = "60s";
  bool quiet = false;

  bool json() const { return output == "json"; }
};

// What an action works with. `out` has results alone, `err` everything else.
struct Session {
  client::Agent& agent;
  const GlobalOptions& options;
  const std::function<HostFacts(const std::string& socket_path)>& host_facts;
  std::ostream& out;
  std::ostream& err;

  absl::Status PrintJson(const google::protobuf::Message& message) const;
};

using Action = std::function<absl::Status(Session&)>;

class Commands {
 public:
  void Bind(const CLI::App* command, Action action) { actions_[command] = std::move(action); }
  // Of the innermost command that was parsed below `root`; nullptr: none.
  const Action* Chosen(const CLI::App& root) const;

 private:
  std::map<const CLI::App*, Action> actions_;
};

void AddVolumeCreate(CLI::App& volume, Commands& commands);
void AddVolumeGet(CLI::App& volume, Commands& commands);
void AddVolumeLs(CLI::App& volume, Commands& commands);
void AddVolumeDelete(CLI::App& volume, Commands& commands);
void AddVolumeCopy(CLI::App& volume, Commands& commands);
void AddVolumeClone(CLI::App& volume, Commands& commands);
void AddVolumeResize(CLI::App& volume, Commands& commands);
void AddVolumeCheck(CLI::App& volume, Commands& commands);
void AddVolumeRollback(CLI::App& volume, Commands& commands);
void AddVolumeSecrets(CLI::App& volume, Commands& commands);
void AddVolumeStats(CLI::App& volume, Commands& commands);
void AddSnapshotCreate(CLI::App& snapshot, Commands& commands);
void AddSnapshotLs(CLI::App& snapshot, Commands& commands);
void AddSnapshotDiff(CLI::App& snapshot, Commands& commands);
void AddSnapshotDelete(CLI::App& snapshot, Commands& commands);
void AddAttach(CLI::App& root, Commands& commands);
void AddDetach(CLI::App& root, Commands& commands);
void AddLs(CLI::App& root, Commands& commands);
void AddDriverLs(CLI::App& driver, Commands& commands);
void AddDriverUpgrade(CLI::App& driver, Commands& commands);
void AddDoctor(CLI::App& root, Commands& commands);
void AddVersion(CLI::App& root, Commands& commands);
// Completes what `root` has when the command runs.
void AddCompletionBash(CLI::App& completion, const CLI::App& root, Commands& commands);

}  // namespace diskd::diskctl

#endif  // DISKD_CLIENT_DISKCTL_COMMAND_H_
