// The table nat of iptables, to look at and to remove from, whichever implementation has it: over
// netlink what is in nf_tables, with its programs what the older one has. Private to this folder.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/netfilter/iptables.hpp"
#include "pkg/netlink/socket.hpp"
#include "pkg/types/address.hpp"

namespace cni::netfilter {

struct NatRule {
  std::uint64_t handle = 0;   // over netlink
  std::string specification;  // as -S prints it, behind the chain's name; with programs
  std::string comment;
  std::string target;                // the chain or extension that it ends in
  std::uint8_t protocol = 0;         // IPPROTO_; 0 without
  std::vector<std::uint16_t> ports;  // of the destination; empty without
  std::optional<Ip> source;          // an address, or the first one of a network
  std::optional<Ip> destination;     // a single address
  std::optional<Ip> dnat_address;    // where DNAT sends
  std::optional<std::uint32_t> mark;
  bool has_more_conditions = false;  // than protocol, ports and comment
};

// What is to be removed together.
struct NatRemoval {
  struct Rule {
    std::string chain;
    NatRule rule;
  };
  std::vector<Rule> rules;
  std::vector<std::string> chains;  // with all that is in them; behind the rules

  bool empty() const { return rules.empty() && chains.empty(); }
};

class NatTable {
 public:
  virtual ~NatTable() = default;

  virtual bool has_chain(std::string_view chain) = 0;
  // The names of the chains that begin with prefix.
  virtual std::vector<std::string> chains(std::string_view prefix) = 0;
  // None without the chain. While others change the table some may be missing: is_complete is
  // false then.
  virtual std::vector<NatRule> rules(std::string_view chain) = 0;
  virtual bool is_complete() const { return true; }
  // Whether any rule ends in the chain.
  virtual bool is_referred_to(std::string_view chain) = 0;
  // Removes all of it or nothing. Throws with ENOENT or EBUSY in sys_errno if others have changed
  // the table since it was read.
  virtual void remove(const NatRemoval& removal, std::string_view operation) = 0;
};

// The socket has to outlive it.
std::unique_ptr<NatTable> nat_table_over_netlink(netlink::Socket& socket, Family family);
// Reads the whole table at once. Throws Code::kDelegateFailed if the program cannot do that.
std::unique_ptr<NatTable> nat_table_by_program(const Iptables& iptables);

// Removes what `plan` finds in the table, and asks it again while others change the table.
// `read` gives the table as it is then.
using ReadNatTable = std::function<std::unique_ptr<NatTable>()>;
using PlanNatRemoval = std::function<NatRemoval(NatTable&)>;
void remove_from_nat_table(const ReadNatTable& read, const PlanNatRemoval& plan,
                           std::string_view operation);

// Runs fn(family, read) for every table that there may be something in. The socket is null on a
// kernel without nf_tables; programs are only run where the older implementation has rules. Goes on
// after a failure, and throws one error at the end.
using OnNatTable = std::function<void(Family, const ReadNatTable&)>;
void for_each_nat_table(netlink::Socket* socket, std::string_view search_path,
                        const OnNatTable& fn);

}  // namespace cni::netfilter
