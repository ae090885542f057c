// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/diskctl/command.h"

namespace diskd::diskctl {
namespace {

// Words that can follow `app`: its commands, or its options and those of everybody.
std::string WordsOf(const CLI::App& app, const CLI::App& root) {
  std::vector<std::string> words;
  for (const CLI::App* command : app.get_subcommands(nullptr)) words.push_back(command->get_name());
  const auto add_options = [&words](const CLI::App& owner) {
    for (const CLI::Option* option : owner.get_options()) {
      for (const std::string& name : option->get_lnames()) words.push_back("--" + name);
    }
  };
  add_options(app);
  if (&app != &root) add_options(root);
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());  // --help is everybody's
  return absl::StrJoin(words, " ");
}

void AppendCases(const CLI::App& app, const CLI::App& root, const std::string& path,
                 std::string& script) {
  absl::StrAppend(&script, "    \"", path, "\") words=\"", WordsOf(app, root), "\" ;;\n");
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    AppendCases(*command, root,
                path.empty() ? command->get_name() : path + " " + command->get_name(), script);
  }
}

constexpr char kHead[] = R"BASH(# bash completion for diskctl: . <(diskctl completion bash)
_diskctl() {
  local word path= words= i
  word=${COMP_WORDS[COMP_CWORD]}
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      volume | vol) path=volume ;;
      snapshot | snap) path=snapshot ;;
      driver | completion) path=${COMP_WORDS[i]} ;;
      attach | detach | doctor | version) [ -n "$path" ] || path=${COMP_WORDS[i]} ;;
      create | get | delete | upgrade | bash | rollback | stats | clone | copy | resize | check | diff) path="${path:+$path }${COMP_WORDS[i]}" ;;
      rm) path="${path:+$path }delete" ;;
      ls) path="${path:+$path }ls" ;;
    esac
  done
  case ${COMP_WORDS[COMP_CWORD - 1]} in
    -o | --output) COMPREPLY=($(compgen -W "table json" -- "$word")); return ;;
    --transport) COMPREPLY=($(compgen -W "auto buse fuse" -- "$word")); return ;;
    --socket) COMPREPLY=($(compgen -f -- "$word")); return ;;
    --driver)
      COMPREPLY=($(compgen -W "$(diskctl --quiet driver ls 2>/dev/null)" -- "$word"))
      return ;;
  esac
  case $path in
)BASH";

constexpr char kTail[] = R"BASH(  esac
  case $path in
    attach | "volume get" | "volume delete" | "volume rollback" | "volume clone" | "volume copy" | "volume resize" | "volume check" | snapshot\ *)
      words+=" $(diskctl --quiet volume ls 2>/dev/null)" ;;
    detach | "volume stats") words+=" $(diskctl --quiet ls 2>/dev/null)" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _diskctl diskctl
)BASH";

}  // namespace

void AddCompletionBash(CLI::App& completion, const CLI::App& root, Commands& commands) {
  CLI::App* command = completion.add_subcommand("bash", "For bash: . <(diskctl completion bash)");
  commands.Bind(command, [&root](Session& session) {
    std::string script = kHead;
    AppendCases(root, root, "", script);
    session.out << script << kTail;
    return absl::OkStatus();
  });
}

}  // namespace diskd::diskctl
