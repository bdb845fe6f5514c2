// A host and containers of a case's own: fresh network namespaces below a private mount namespace.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "pkg/ns/netns.hpp"
#include "test/support/temporary_folder.hpp"

namespace cni::test {

// From construction on the process is in a fresh "host" network namespace with lo up, and sees
// private, empty /run, /var/lib and /sys, so that nothing it does reaches the machine. When not
// root, it gets a user namespace first. Any number of them one after the other, not two at a time.
// Construct it before starting threads.
class Namespaces {
 public:
  Namespaces();
  Namespaces(const Namespaces&) = delete;
  Namespaces& operator=(const Namespaces&) = delete;
  ~Namespaces();

  // The host's namespace, which is the process's.
  const ns::Netns& host() const { return *host_; }
  // Makes a fresh namespace, bound to /run/netns/NAME so that `ip -n NAME` works, and returns that
  // path. Its lo is down.
  std::string container(const std::string& name);
  // Takes the namespace away as a runtime does: unmounts and removes /run/netns/NAME.
  void remove_container(const std::string& name);
  // A folder for configs and state, empty at the start, gone at the end.
  const std::string& folder() const { return folder_->path(); }

 private:
  std::optional<ns::Netns> host_;
  std::unique_ptr<TemporaryFolder> folder_;
};

// Whether NAME is a namespace below /run/netns.
bool namespace_exists(const std::string& name);

// Waits until the kernel has destroyed the namespaces that nobody holds any more, with the links in
// them: it does so in the background, and the host's ends of veth pairs are seen until then.
void settle();

// Skips the case unless it is run by root.
void require_root_or_skip();

// Skips the case if the kernel lacks a link type ("macvlan").
void require_kind(std::string_view kind);
// Whether it has it.
bool has_kind(std::string_view kind);

// Whether bridges of this kernel can keep VLANs apart (CONFIG_BRIDGE_VLAN_FILTERING).
bool has_bridge_vlans();
// Skips the case if they cannot.
void require_bridge_vlans();

// Skips the case if a program is not installed; returns its path.
std::string require_program(std::string_view name);

// Runs fn on a thread inside a namespace that ends with it.
void in_fresh_netns(const std::function<void()>& fn);

}  // namespace cni::test
