// What one of the compared implementations works on: a host and a container of its own.
#pragma once

#include <string>
#include <vector>

#include "pkg/netlink/socket.hpp"
#include "pkg/ns/netns.hpp"
#include "test/bench/process.hpp"

namespace bench {

// PATH of a host that has everything.
inline constexpr const char* kPrograms = "/usr/sbin:/usr/bin:/sbin:/bin";

// A network namespace that is made for it, with lo up.
class Namespace {
 public:
  Namespace();
  const cni::ns::Netns& netns() const { return netns_; }
  // A path that other processes can open while this object lives.
  std::string path() const;
  // Moves this process into it.
  void enter() const;

 private:
  cni::ns::Netns netns_;
};

// Calls of plugins in one folder, on one host with one container.
class Node {
 public:
  explicit Node(std::string plugin_folder);

  // command: "ADD" and so on. programs: its PATH.
  Call call(const std::string& plugin, const std::string& command, const std::string& config,
            const std::string& programs) const;
  // As time_of, with this node's host around the plugin.
  Duration run(const Call& call, std::string* output = nullptr) const;

  const Namespace& host() const { return host_; }
  const Namespace& container() const { return container_; }
  const std::string& plugin_folder() const { return plugin_folder_; }

 private:
  std::string plugin_folder_;
  Namespace host_;
  Namespace container_;
};

// Load rules into the node's host, in the form that iptables-restore and nft -f read.
void load_iptables(const Node& node, const std::string& rules);
void load_nftables(const Node& node, const std::string& rules);

}  // namespace bench
