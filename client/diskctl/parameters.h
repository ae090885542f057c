// SPDX-License-Identifier: Apache-2.0
//
// --param: what a driver is told when a volume is made. Its text is read by ParseParameters().
#ifndef DISKD_CLIENT_DISKCTL_PARAMETERS_H_
#define DISKD_CLIENT_DISKCTL_PARAMETERS_H_

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace diskd::diskctl {

// --param NAME=VALUE, which may be repeated; `about` is its help. And what is said so often that it
// has an option of its own.
inline void AddParameterOption(CLI::App& command, std::vector<std::string>& texts,
                               const std::string& about) {
  command.add_option("--param", texts, about)
      ->take_all()
      ->allow_extra_args(false)
      ->type_name("NAME=VALUE");
  // Behind --param, which replaces what is there.
  command
      .add_option_function<std::string>(
          "--store", [&texts](const std::string& url) { texts.push_back("store=" + url); },
          "Short for --param store=URL: where the driver object keeps the volume")
      ->type_name("URL");
}

}  // namespace diskd::diskctl

#endif  // DISKD_CLIENT_DISKCTL_PARAMETERS_H_
