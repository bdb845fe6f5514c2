// nftables over netlink, without the nft program: tables, chains, sets, maps and rules as data,
// changed in transactions that the kernel applies as a whole or not at all.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "pkg/netlink/socket.hpp"
#include "pkg/types/address.hpp"

namespace cni::netfilter {

// NFPROTO_ values.
enum class NftFamily : std::uint8_t { kInet = 1, kIpv4 = 2, kBridge = 7, kIpv6 = 10 };

struct NftTable {
  NftFamily family = NftFamily::kInet;
  std::string name;

  // "inet cni_plugins_masquerade", as nft writes it.
  std::string to_string() const;
};

// Where a base chain hooks into the kernel. The policy is accept.
struct NftHook {
  std::string type;          // "nat", "filter"
  std::uint32_t number = 0;  // NF_INET_POST_ROUTING, NF_BR_PRE_ROUTING ...
  std::int32_t priority = 0;
};

struct NftChain {
  std::string name;
  std::optional<NftHook> hook;  // a base chain has one
  std::string comment;
};

// What the keys (and data) of sets and maps consist of; a list of several is a concatenation.
enum class NftType : std::uint8_t {
  kIpv4Address = 7,
  kIpv6Address = 8,
  kEtherAddress = 9,
  kInetProtocol = 12,
  kInetService = 13,
  kMark = 19,       // 32 bits in host order
  kLinkIndex = 20,  // the same
  kIfname = 41,
};

struct NftVerdict {
  enum class Kind { kAccept, kDrop, kReturn, kJump, kGoto };
  Kind kind = Kind::kAccept;
  std::string chain;  // of kJump and kGoto

  bool operator==(const NftVerdict& other) const = default;
};

// A set, or with `data` or `is_verdict_map` a map. Kernels check all targets of a verdict map
// whenever one of them is added: a set, or a map to data, is what stays cheap with many elements.
struct NftSet {
  std::string name;
  std::vector<NftType> key;
  std::vector<NftType> data;
  bool is_verdict_map = false;
  std::string comment;
  // Elements are ranges, from key to key_end, in each part of the key. Only for concatenations
  // (Linux 5.6). To add one costs as much as the set is large.
  bool has_ranges = false;
};

// Key and data are the octets as the kernel compares them; NftKey builds them.
struct NftElement {
  std::string key;
  std::string data;
  std::optional<NftVerdict> verdict;
  std::string comment;
  std::string key_end = {};  // of a range
};

// Where an element is.
struct NftPlace {
  std::string set;
  std::string key;
};

// Builds the octets of a key: one part as it is, several padded to multiples of four each.
class NftKey {
 public:
  NftKey& ip(const Ip& ip);
  NftKey& mac(const Mac& mac);
  NftKey& ifname(std::string_view name);
  NftKey& protocol(std::uint8_t number);  // IPPROTO_
  NftKey& port(std::uint16_t port);
  std::string take();

 private:
  NftKey& part(const void* data, std::size_t size);
  std::string bytes_;
  int parts_ = 0;
};

// What rules are made of. Registers are the four of 16 octets, 1 to 4, or the same memory as
// sixteen of 4 octets, 8 to 23: the parts of a concatenated key stand one behind the other.
inline constexpr std::uint32_t kNftFirstSmallRegister = 8;

enum class NftField : std::uint8_t {
  kNfproto,
  kIifname,
  kIpv4Source,
  kIpv4Destination,
  kIpv6Source,
  kIpv6Destination,
  kEtherSource,
  kOifname,
  kL4Protocol,
  kDestinationPort,  // of what has ports: to be loaded after the protocol was compared or looked up
};
struct NftLoad {
  NftField field = NftField::kNfproto;
  std::uint32_t reg = 1;
};
// What connection tracking knows of the packet, into register 1; 32 bits in host order, but for the
// direction, which is one octet: 0 from who opened the connection, 1 to him.
struct NftConnection {
  enum class Key { kState, kStatus, kDirection };
  Key key = Key::kState;
};
// Whether the packet's destination is an address of the host (RTN_LOCAL), one of the network
// (RTN_UNICAST) ..., into register 1; 32 bits in host order.
struct NftDestinationType {};
struct NftCompare {
  std::string value;
  bool equal = true;
};
struct NftMask {  // register 1 and mask
  std::string mask;
};
// Looks register 1 and those behind it up in a set, and goes on with the rule if it is there. In a
// map: puts the data into register 1 and those behind it, or takes the verdict.
struct NftLookup {
  enum class Result { kNone, kData, kVerdict };
  std::string set;
  Result result = Result::kNone;
};
struct NftMasquerade {};
// Drops the packet and tells the sender: ICMP, or ICMPv6, "administratively prohibited".
struct NftReject {};
// Goes on with the packet to the address in register 1 and the port behind it, as NftLookup has put
// them there.
struct NftDestinationNat {
  Family family = Family::kIpv4;
};
using NftExpression =
    std::variant<NftLoad, NftConnection, NftDestinationType, NftCompare, NftMask, NftLookup,
                 NftVerdict, NftMasquerade, NftReject, NftDestinationNat>;

struct NftRule {
  std::vector<NftExpression> expressions;
  std::string comment;
};

// The expressions that test one field: what nft writes as `ip daddr != 10.22.0.0/16`. Tests of an
// IP address include that of the family, which a table of family inet needs.
std::vector<NftExpression> nft_match_network(NftField field, const Prefix& network, bool equal);
// The same without the test of the family, for tables of one family: nft 1.0.6 cannot print it
// there.
std::vector<NftExpression> nft_match_address(NftField field, const Prefix& network, bool equal);

// 32 bits as NftConnection and NftDestinationType load them.
std::string nft_number(std::uint32_t value);
// The name as the kernel compares it: with its padding.
std::string nft_ifname(std::string_view name);

// Joins expressions to one rule.
NftRule nft_rule(std::vector<std::vector<NftExpression>> parts, std::string comment = {});

// Whether an object that exists already is success or fails the transaction with EEXIST.
enum class NftCreate { kIfAbsent, kExclusive };

// Changes of one table, or of several one after the other, applied together. An object may be used
// by later changes of the same transaction.
class NftTransaction {
 public:
  explicit NftTransaction(NftTable table);
  // What follows changes that table.
  NftTransaction& on(NftTable table);
  NftTransaction(NftTransaction&&) noexcept;
  ~NftTransaction();

  NftTransaction& add_table(std::string_view comment);
  NftTransaction& add_chain(const NftChain& chain);
  NftTransaction& add_set(const NftSet& set, NftCreate create);
  NftTransaction& append_rule(std::string_view chain, const NftRule& rule);
  NftTransaction& prepend_rule(std::string_view chain, const NftRule& rule);
  NftTransaction& add_element(std::string_view set, const NftElement& element, NftCreate create);
  // Many at once, with as few messages as they need.
  NftTransaction& add_elements(std::string_view set, std::span<const NftElement> elements,
                               NftCreate create);
  // These fail with ENOENT for what is absent.
  NftTransaction& flush_chain(std::string_view chain);
  NftTransaction& delete_chain(std::string_view chain);
  NftTransaction& delete_set(std::string_view set);
  NftTransaction& delete_rule(std::string_view chain, std::uint64_t handle);
  NftTransaction& delete_element(std::string_view set, std::string_view key);
  NftTransaction& delete_elements(std::string_view set, std::span<const std::string> keys);
  // Of several sets: those of one that stand together go together.
  NftTransaction& delete_elements(std::span<const NftPlace> places);
  NftTransaction& delete_table();

  bool empty() const;

  // Applies all changes, or none and throws: sys_errno tells why. A transaction without changes
  // does nothing. EAGAIN, EINTR and EBUSY are retried with a bound and then thrown as
  // Code::kTryAgainLater.
  void commit(netlink::Socket& socket, std::string_view operation);

 private:
  friend bool nft_usable(netlink::Socket& socket);
  struct Messages;
  NftTable table_;
  std::unique_ptr<Messages> messages_;
};

// A rule as far as it says whose it is.
struct NftRuleInfo {
  std::uint64_t handle = 0;
  std::string comment;            // nft's, or that of an iptables comment match
  std::string target;             // the chain that it jumps or goes to; empty without one
  std::vector<std::string> sets;  // that it looks up
  std::string source;   // the octets that the IP source address is compared with; empty without
  std::string iifname;  // the input interface it is for; empty without
  std::vector<std::string> values;  // all octets that it compares something with

  // What iptables' rules have besides. Its extensions are known as it writes them for nf_tables.
  std::uint8_t protocol = 0;          // IPPROTO_; 0 without
  std::vector<std::uint16_t> ports;   // of the destination; empty without
  std::string destination;            // as source
  std::vector<std::string> matches;   // the names of the extensions that it matches with
  std::string extension;              // the name of the extension that it ends in: "DNAT"
  std::optional<Ip> dnat_address;     // where DNAT sends
  std::optional<std::uint32_t> mark;  // that it compares or sets
};

bool nft_table_exists(netlink::Socket& socket, const NftTable& table);
// How many rules the chain has plus how many refer to it; absent without the chain.
std::optional<std::uint32_t> nft_chain_use(netlink::Socket& socket, const NftTable& table,
                                           std::string_view chain);
// The names of the table's chains or sets that begin with prefix. None without the table.
std::vector<std::string> nft_list_chains(netlink::Socket& socket, const NftTable& table,
                                         std::string_view prefix);
std::vector<std::string> nft_list_sets(netlink::Socket& socket, const NftTable& table,
                                       std::string_view prefix);
// None without the table or chain.
std::vector<NftRuleInfo> nft_list_rules(netlink::Socket& socket, const NftTable& table,
                                        std::string_view chain);
// As nft_list_rules, but content with what one look shows: while others change the table it may
// miss rules, and is not complete then. For what finds out otherwise whether it has seen them all.
struct NftRuleGlimpse {
  std::vector<NftRuleInfo> rules;
  bool complete = true;
};
NftRuleGlimpse nft_glimpse_rules(netlink::Socket& socket, const NftTable& table,
                                 std::string_view chain);
// One element, looked up by its key; absent if it, the set or the table is.
std::optional<NftElement> nft_find_element(netlink::Socket& socket, const NftTable& table,
                                           std::string_view set, std::string_view key);
// All elements: their work grows with the set. None without the set.
std::vector<NftElement> nft_list_elements(netlink::Socket& socket, const NftTable& table,
                                          std::string_view set);

// Whether this kernel has nf_tables with NAT and this process may change it. Asks the kernel to
// check a transaction that it then has to refuse; nothing is changed and no program is run.
bool nft_usable(netlink::Socket& socket);

// At most what nft accepts as a comment (128 octets): longer texts are cut and end in "-" and a
// digest of the whole.
std::string nft_comment(std::string_view text);

}  // namespace cni::netfilter
