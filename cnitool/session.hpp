// One run of cnitool: where it runs, what it was asked, and what commands share.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cnitool/command_line.hpp"
#include "cnitool/timing.hpp"
#include "libcni/cancellation.hpp"
#include "libcni/runtime.hpp"

namespace cni::cnitool {

// The process as the rest sees it; main() fills it, and tests.
struct Surroundings {
  std::vector<std::string> environment;
  std::string executable;      // absolute path of cnitool
  std::string current_folder;  // absolute
  int in = 0;
  int out = 1;
  int err = 2;
  const libcni::Cancellation* cancellation = nullptr;
};

class Session {
 public:
  Session(const Surroundings& surroundings, CommandLine line);

  const CommandLine& line() const { return line_; }
  const Surroundings& surroundings() const { return surroundings_; }
  // Empty if it is not set.
  std::string variable(std::string_view name) const;

  // The folder with the networks. If it is the default one, holds nothing, and this is the program
  // of a source tree, then that one's examples, which is said on stderr unless `quietly`.
  const std::string& conf_dir(bool quietly = false);

  // The network of the first argument: a name, or the path of a file (with a slash, or a file that
  // no network is named like).
  libcni::Network network();
  libcni::Network find_network(const std::string& name);

  std::string cache_dir() const;
  const libcni::Runtime& runtime();
  // With the time limit, the cancellation and, if asked for, the timing.
  libcni::CallOptions call_options();
  // The attachment that the second argument and the options describe.
  libcni::ContainerInterface where() const;
  std::string ifname() const;

  // Null unless --timing was given and the runtime was asked for.
  Timing* timing() { return timing_.get(); }

 private:
  std::vector<std::string> plugin_folders() const;

  const Surroundings& surroundings_;
  CommandLine line_;
  std::string conf_dir_;
  std::unique_ptr<Timing> timing_;
  std::optional<libcni::Runtime> runtime_;
};

}  // namespace cni::cnitool
