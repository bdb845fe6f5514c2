// DHCP servers and our daemon, in namespaces of the case's own.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "test/support/temporary_folder.hpp"

namespace cni::test {

// A program that runs until the end of its object, in the namespaces of the thread that made it,
// with stdout and stderr in a file.
class BackgroundProgram {
 public:
  BackgroundProgram(const std::vector<std::string>& argv, std::string output_path);
  BackgroundProgram(const BackgroundProgram&) = delete;
  BackgroundProgram& operator=(const BackgroundProgram&) = delete;
  ~BackgroundProgram();  // SIGTERM

  pid_t pid() const { return pid_; }
  // Sends a signal and waits for the end. To be called once at most.
  void end(int signal);
  std::string output() const { return file_text(output_path_); }

 private:
  std::string output_path_;
  pid_t pid_ = -1;
};

// dnsmasq on one link of the namespace that the thread is in. Skips the case if it is not
// installed. Its shortest lease is two minutes.
class Dnsmasq {
 public:
  // `arguments`: at least one --dhcp-range; --dhcp-option and others.
  Dnsmasq(const std::string& link, const std::vector<std::string>& arguments);

  // What it has logged: a line for each message.
  std::string log() const { return program_.output(); }
  // Its lease file: "EXPIRY MAC ADDRESS NAME CLIENT-ID" in each line.
  std::string leases() const;

 private:
  TemporaryFolder folder_;
  BackgroundProgram program_;
};

// `dhcp daemon` with socket and state in a folder of its own.
class DhcpDaemon {
 public:
  explicit DhcpDaemon(std::vector<std::string> flags = {});

  const std::string& socket_path() const { return socket_path_; }
  std::string state_folder() const { return folder_ / "state"; }
  std::string log() const { return program_->output(); }
  pid_t pid() const { return program_->pid(); }
  // Ends it with a signal and starts another on the same folder.
  void restart(int signal);
  void stop();
  void start();  // after stop

 private:
  TemporaryFolder folder_;
  std::string socket_path_;
  std::vector<std::string> flags_;
  std::unique_ptr<BackgroundProgram> program_;
};

// Waits up to half a minute until the text that fn returns contains a part; fails the case
// otherwise.
void await_text(const std::function<std::string()>& fn, const std::string& part);

}  // namespace cni::test
