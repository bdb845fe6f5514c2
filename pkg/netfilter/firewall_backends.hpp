// The backends of firewall.hpp; private to this folder.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/netfilter/firewall.hpp"
#include "pkg/netlink/socket.hpp"

namespace cni::netfilter {

// Table, sets and elements of nftables. Each of these does its work in one transaction, repeated
// when others changed what it was built on.
struct NftFirewall {
  // Returns what an earlier ADD of the attachment needed and this one perhaps not: for sweep.
  static std::vector<std::string> add(netlink::Socket& socket, const FirewallSpec& spec);
  // Removes what of it nobody needs any more.
  static void sweep(netlink::Socket& socket, const std::vector<std::string>& former);
  static void remove(netlink::Socket& socket, const FirewallSpec& spec);
  static void check(netlink::Socket& socket, const FirewallSpec& spec);
  static void gc(netlink::Socket& socket, std::string_view network,
                 std::span<const Attachment> valid);
};

// Chains and rules of iptables' table filter. What iptables keeps in nf_tables (all of it, unless
// it is the older implementation) is read and removed over netlink; programs are run to add.
// A null socket stands for a kernel without nf_tables.
struct IptablesFirewall {
  // What is made for the addresses, and what for the policy: with firewalld only the latter.
  enum class Part { kAll, kPolicy };

  // What is to go. Nothing but the rules of these addresses and policies, and the policies' chains
  // once no bridge needs them.
  struct Removal {
    std::vector<Ip> addresses;
    std::string bridge;
    std::vector<IngressPolicy> policies;  // of the bridge
    bool is_bridge_free = false;          // no attachment of the bridge has any policy
    std::string search_path;
  };

  // Throws if iptables refuses it; one family may have been done then. Only families that have
  // an address are touched. The caller holds the lock of the records, or two that add at once
  // could make a rule twice.
  static void add(netlink::Socket* socket, const FirewallSpec& spec, Part part);
  static void remove(netlink::Socket* socket, const Removal& what);
  static void check(netlink::Socket* socket, const FirewallSpec& spec, Part part);
  // The bridges that have a policy, in either family or implementation.
  static std::vector<std::string> bridges_with_policy(netlink::Socket* socket,
                                                      std::string_view search_path);
  // Whether the chain of the containers' rules is there, as far as netlink and /proc tell.
  static bool has_rules(netlink::Socket* socket, Family family);
};

// Sources of firewalld's zones, over the system's message bus. Nothing outlasts a reload or restart
// of firewalld.
struct FirewalldFirewall {
  // False also if there is no message bus, or it does not let us in.
  static bool is_running(const FirewallSpec& spec);
  // Throws if firewalld does not run or refuses.
  static void add(const FirewallSpec& spec);
  // What is not there is success, firewalld included.
  static void remove(std::string_view bus_address, std::string_view zone,
                     std::span<const Ip> addresses);
  static void check(const FirewallSpec& spec);
};

// The addresses of one family.
std::vector<Ip> addresses_of(const FirewallSpec& spec, Family family);

}  // namespace cni::netfilter
