// What the firewall remembers of each attachment, in files: rules of iptables and sources of
// firewalld do not say whose they are (docs/decisions/0062). Private to this folder.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/netfilter/firewall.hpp"
#include "pkg/os/lock.hpp"

namespace cni::netfilter {

struct FirewallRecord {
  Owner owner;
  std::string backend;  // "iptables" or "firewalld"
  std::vector<Ip> addresses;
  std::string zone;  // of firewalld; empty with another backend
  std::string bridge;
  IngressPolicy policy = IngressPolicy::kOpen;
  std::vector<std::string> host_links;
};

// "open", "same-bridge", "isolated".
std::string_view to_string(IngressPolicy policy);

// The records in /run/cni/firewall. Looking needs no lock; changes are made by who holds one, for
// as long as the rules that go with them are changed too.
class FirewallRecords {
 public:
  // Waits for the lock; creates the folder.
  static os::FileLock lock();

  // Absent without a record; a torn one has what can be read of it.
  static std::optional<FirewallRecord> find(const Owner& owner);
  // Those of the network's attachments that are not in the list.
  static std::vector<FirewallRecord> stale(std::string_view network,
                                           std::span<const Attachment> valid);

  // Adds what the record says to what an earlier ADD of the attachment has left.
  static FirewallRecord write(FirewallRecord record);
  static void remove(const FirewallRecord& record);

  // Whether another attachment has the address.
  static bool is_used_by_others(const Ip& address, const Owner& owner);
  // The other attachments of the bridge.
  static std::vector<FirewallRecord> others_on(std::string_view bridge, const Owner& owner);
};

}  // namespace cni::netfilter
