#include "pkg/netfilter/nft.hpp"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
#include <time.h>

#include <array>
#include <cerrno>
#include <utility>

#include "pkg/netfilter/nft_wire.hpp"
#include "pkg/netlink/message.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter {

using netlink::Message;

namespace {

// An attribute has at most 64 KiB; a list of elements is begun anew well before.
constexpr std::size_t kMaxListSize = 32 * 1024;

// EAGAIN, EINTR and EBUSY; with the doubling pause below some 60 ms in all.
constexpr int kMaxAttempts = 6;

// nft's own notes in the userdata of a set: which byte order its keys and data have.
constexpr std::uint8_t kSetKeyByteOrder = 0;
constexpr std::uint8_t kSetDataByteOrder = 1;
constexpr std::uint8_t kSetComment = 7;
constexpr std::uint32_t kHostEndian = 1;
constexpr std::uint32_t kBigEndian = 2;

std::uint32_t size_of(NftType type) {
  switch (type) {
    case NftType::kIpv4Address:
    case NftType::kMark:
    case NftType::kLinkIndex:
      return 4;
    case NftType::kIpv6Address:
      return 16;
    case NftType::kEtherAddress:
      return 6;
    case NftType::kInetProtocol:
      return 1;
    case NftType::kInetService:
      return 2;
    case NftType::kIfname:
      return IFNAMSIZ;
  }
  return 0;
}

// nft numbers a concatenation by its parts, six bits each.
std::uint32_t type_number(const std::vector<NftType>& types) {
  std::uint32_t out = 0;
  for (const NftType type : types) out = out << 6 | static_cast<std::uint32_t>(type);
  return out;
}

void pad(std::string& octets) { octets.resize((octets.size() + 3) / 4 * 4, '\0'); }

std::uint32_t length_of(const std::vector<NftType>& types) {
  if (types.size() == 1) return size_of(types[0]);
  std::uint32_t out = 0;
  for (const NftType type : types) out += (size_of(type) + 3) / 4 * 4;
  return out;
}

std::string byte_order(const std::vector<NftType>& types) {
  const bool is_host_order =
      types.size() == 1 && (types[0] == NftType::kIfname || types[0] == NftType::kMark ||
                            types[0] == NftType::kLinkIndex);
  const std::uint32_t order = types.size() > 1 ? 0 : is_host_order ? kHostEndian : kBigEndian;
  return std::string(reinterpret_cast<const char*>(&order), sizeof order);
}

std::string set_userdata(const NftSet& set) {
  std::string out;
  append_nft_userdata(out, kSetKeyByteOrder, byte_order(set.key));
  if (!set.data.empty()) append_nft_userdata(out, kSetDataByteOrder, byte_order(set.data));
  return out + nft_comment_userdata(set.comment, kSetComment);
}

void put_element(Message& list, const NftElement& element) {
  list.nest(NFTA_LIST_ELEM, [&](Message& out) {
    put_nft_value(out, NFTA_SET_ELEM_KEY, element.key);
    if (!element.key_end.empty()) put_nft_value(out, NFTA_SET_ELEM_KEY_END, element.key_end);
    if (element.verdict) {
      out.nest(NFTA_SET_ELEM_DATA, [&](Message& data) { put_nft_verdict(data, *element.verdict); });
    } else if (!element.data.empty()) {
      put_nft_value(out, NFTA_SET_ELEM_DATA, element.data);
    }
    const std::string userdata = nft_comment_userdata(element.comment);
    if (!userdata.empty()) out.put(NFTA_SET_ELEM_USERDATA, userdata.data(), userdata.size());
  });
}

// Says of a set with ranges how long each part of its key is.
void put_field_lengths(Message& message, const std::vector<NftType>& key) {
  message.nest(NFTA_SET_DESC, [&](Message& description) {
    description.nest(NFTA_SET_DESC_CONCAT, [&](Message& fields) {
      for (const NftType type : key) {
        fields.nest(NFTA_LIST_ELEM,
                    [&](Message& field) { field.put_be32(NFTA_SET_FIELD_LEN, size_of(type)); });
      }
    });
  });
}

Message element_message(const NftTable& table, int type, std::string_view set, int flags) {
  Message out = nft_message(table.family, type, flags);
  out.put_string(NFTA_SET_ELEM_LIST_TABLE, table.name);
  out.put_string(NFTA_SET_ELEM_LIST_SET, set);
  return out;
}

std::size_t size_of(const NftElement& element) {
  constexpr std::size_t kHeaders = 64;
  return kHeaders + element.key.size() + element.key_end.size() + element.data.size() +
         element.comment.size() + (element.verdict ? element.verdict->chain.size() : 0);
}

// Calls fn(start, end) for parts of a list that each fit one message. size(i) is that of one.
template <class Size, class Fn>
void for_each_part(std::size_t count, Size&& size, Fn&& fn) {
  std::size_t start = 0;
  std::size_t octets = 0;
  for (std::size_t i = 0; i < count; ++i) {
    octets += size(i);
    if (octets < kMaxListSize) continue;
    fn(start, i + 1);
    start = i + 1;
    octets = 0;
  }
  if (start < count) fn(start, count);
}

int create_flags(NftCreate create) {
  return NLM_F_CREATE | (create == NftCreate::kExclusive ? NLM_F_EXCL : 0);
}

bool is_transient(int error) { return error == EAGAIN || error == EINTR || error == EBUSY; }

}  // namespace

struct NftTransaction::Messages {
  std::vector<Message> list;
};

std::string NftTable::to_string() const {
  const std::string_view word = family == NftFamily::kInet     ? "inet"
                                : family == NftFamily::kIpv4   ? "ip"
                                : family == NftFamily::kBridge ? "bridge"
                                                               : "ip6";
  return cat(word, ' ', name);
}

NftKey& NftKey::part(const void* data, std::size_t size) {
  pad(bytes_);
  bytes_.append(static_cast<const char*>(data), size);
  ++parts_;
  return *this;
}

std::string NftKey::take() {
  if (parts_ > 1) pad(bytes_);
  return std::move(bytes_);
}

NftKey& NftKey::ip(const Ip& ip) { return part(ip.data(), ip.size()); }

NftKey& NftKey::mac(const Mac& mac) { return part(mac.data(), mac.size()); }

NftKey& NftKey::ifname(std::string_view name) {
  const std::string padded = nft_ifname(name);
  return part(padded.data(), padded.size());
}

NftKey& NftKey::protocol(std::uint8_t number) { return part(&number, sizeof number); }

NftKey& NftKey::port(std::uint16_t port) {
  const std::uint16_t value = htons(port);
  return part(&value, sizeof value);
}

NftTransaction::NftTransaction(NftTable table)
    : table_(std::move(table)), messages_(std::make_unique<Messages>()) {}
NftTransaction::NftTransaction(NftTransaction&&) noexcept = default;
NftTransaction::~NftTransaction() = default;

NftTransaction& NftTransaction::on(NftTable table) {
  table_ = std::move(table);
  return *this;
}

bool NftTransaction::empty() const { return messages_->list.empty(); }

NftTransaction& NftTransaction::add_table(std::string_view comment) {
  Message out = nft_message(table_.family, NFT_MSG_NEWTABLE, NLM_F_CREATE);
  out.put_string(NFTA_TABLE_NAME, table_.name).put_be32(NFTA_TABLE_FLAGS, 0);
  const std::string userdata = nft_comment_userdata(comment);
  if (!userdata.empty()) out.put(NFTA_TABLE_USERDATA, userdata.data(), userdata.size());
  messages_->list.push_back(std::move(out));
  return *this;
}

NftTransaction& NftTransaction::add_chain(const NftChain& chain) {
  Message out = nft_message(table_.family, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
  out.put_string(NFTA_CHAIN_TABLE, table_.name).put_string(NFTA_CHAIN_NAME, chain.name);
  if (chain.hook) {
    out.put_be32(NFTA_CHAIN_POLICY, NF_ACCEPT).put_string(NFTA_CHAIN_TYPE, chain.hook->type);
    out.nest(NFTA_CHAIN_HOOK, [&](Message& hook) {
      hook.put_be32(NFTA_HOOK_HOOKNUM, chain.hook->number);
      hook.put_be32(NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(chain.hook->priority));
    });
  }
  const std::string userdata = nft_comment_userdata(chain.comment);
  if (!userdata.empty()) out.put(NFTA_CHAIN_USERDATA, userdata.data(), userdata.size());
  messages_->list.push_back(std::move(out));
  return *this;
}

NftTransaction& NftTransaction::add_set(const NftSet& set, NftCreate create) {
  Message out = nft_message(table_.family, NFT_MSG_NEWSET, create_flags(create));
  out.put_string(NFTA_SET_TABLE, table_.name).put_string(NFTA_SET_NAME, set.name);
  const bool is_map = set.is_verdict_map || !set.data.empty();
  std::uint32_t flags = is_map ? std::uint32_t{NFT_SET_MAP} : 0;
  if (set.has_ranges) flags |= NFT_SET_INTERVAL | NFT_SET_CONCAT;
  out.put_be32(NFTA_SET_FLAGS, flags);
  out.put_be32(NFTA_SET_KEY_TYPE, type_number(set.key));
  out.put_be32(NFTA_SET_KEY_LEN, length_of(set.key));
  if (is_map) {
    out.put_be32(NFTA_SET_DATA_TYPE,
                 set.is_verdict_map ? std::uint32_t{NFT_DATA_VERDICT} : type_number(set.data));
    if (!set.is_verdict_map) out.put_be32(NFTA_SET_DATA_LEN, length_of(set.data));
  }
  if (set.has_ranges) put_field_lengths(out, set.key);
  // Tells sets of one transaction apart; the kernel wants it always.
  out.put_be32(NFTA_SET_ID, static_cast<std::uint32_t>(messages_->list.size() + 1));
  const std::string userdata = set_userdata(set);
  out.put(NFTA_SET_USERDATA, userdata.data(), userdata.size());
  messages_->list.push_back(std::move(out));
  return *this;
}

NftTransaction& NftTransaction::append_rule(std::string_view chain, const NftRule& rule) {
  messages_->list.push_back(nft_rule_message(table_, chain, rule, NLM_F_APPEND));
  return *this;
}

NftTransaction& NftTransaction::prepend_rule(std::string_view chain, const NftRule& rule) {
  messages_->list.push_back(nft_rule_message(table_, chain, rule, 0));
  return *this;
}

NftTransaction& NftTransaction::add_element(std::string_view set, const NftElement& element,
                                            NftCreate create) {
  return add_elements(set, {&element, 1}, create);
}

NftTransaction& NftTransaction::add_elements(std::string_view set,
                                             std::span<const NftElement> elements,
                                             NftCreate create) {
  const auto add_part = [&](std::size_t start, std::size_t end) {
    Message out = element_message(table_, NFT_MSG_NEWSETELEM, set, create_flags(create));
    out.nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&](Message& list) {
      for (const NftElement& element : elements.subspan(start, end - start)) {
        put_element(list, element);
      }
    });
    messages_->list.push_back(std::move(out));
  };
  for_each_part(
      elements.size(), [&](std::size_t i) { return size_of(elements[i]); }, add_part);
  return *this;
}

NftTransaction& NftTransaction::delete_element(std::string_view set, std::string_view key) {
  const std::string one(key);
  return delete_elements(set, {&one, 1});
}

NftTransaction& NftTransaction::delete_elements(std::string_view set,
                                                std::span<const std::string> keys) {
  const auto delete_part = [&](std::size_t start, std::size_t end) {
    Message out = element_message(table_, NFT_MSG_DELSETELEM, set, 0);
    out.nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&](Message& list) {
      for (const std::string& key : keys.subspan(start, end - start))
        put_element(list, {key, {}, {}, {}});
    });
    messages_->list.push_back(std::move(out));
  };
  for_each_part(
      keys.size(),
      [&](std::size_t i) {
        return size_of(NftElement{keys[i], {}, {}, {}});
      },
      delete_part);
  return *this;
}

NftTransaction& NftTransaction::delete_elements(std::span<const NftPlace> places) {
  while (!places.empty()) {
    std::size_t count = 0;
    std::vector<std::string> keys;
    for (; count < places.size() && places[count].set == places[0].set; ++count) {
      keys.push_back(places[count].key);
    }
    delete_elements(places[0].set, keys);
    places = places.subspan(count);
  }
  return *this;
}

NftTransaction& NftTransaction::flush_chain(std::string_view chain) {
  Message out = nft_message(table_.family, NFT_MSG_DELRULE, 0);
  out.put_string(NFTA_RULE_TABLE, table_.name).put_string(NFTA_RULE_CHAIN, chain);
  messages_->list.push_back(std::move(out));
  return *this;
}

NftTransaction& NftTransaction::delete_rule(std::string_view chain, std::uint64_t handle) {
  Message out = nft_message(table_.family, NFT_MSG_DELRULE, 0);
  out.put_string(NFTA_RULE_TABLE, table_.name).put_string(NFTA_RULE_CHAIN, chain);
  out.put_be64(NFTA_RULE_HANDLE, handle);
  messages_->list.push_back(std::move(out));
  return *this;
}

NftTransaction& NftTransaction::delete_chain(std::string_view chain) {
  Message out = nft_message(table_.family, NFT_MSG_DELCHAIN, 0);
  out.put_string(NFTA_CHAIN_TABLE, table_.name).put_string(NFTA_CHAIN_NAME, chain);
  messages_->list.push_back(std::move(out));
  return *this;
}

NftTransaction& NftTransaction::delete_set(std::string_view set) {
  Message out = nft_message(table_.family, NFT_MSG_DELSET, 0);
  out.put_string(NFTA_SET_TABLE, table_.name).put_string(NFTA_SET_NAME, set);
  messages_->list.push_back(std::move(out));
  return *this;
}

NftTransaction& NftTransaction::delete_table() {
  Message out = nft_message(table_.family, NFT_MSG_DELTABLE, 0);
  out.put_string(NFTA_TABLE_NAME, table_.name);
  messages_->list.push_back(std::move(out));
  return *this;
}

void NftTransaction::commit(netlink::Socket& socket, std::string_view operation) {
  for (int attempt = 0;; ++attempt) {
    try {
      socket.batch(messages_->list, operation);
      return;
    } catch (Error& error) {
      if (!is_transient(error.sys_errno)) throw;
      if (attempt == kMaxAttempts) {
        error.code = Code::kTryAgainLater;
        throw;
      }
    }
    const timespec duration{0, 500'000L << attempt};
    (void)::nanosleep(&duration, nullptr);  // a shorter pause does no harm
  }
}

bool nft_usable(netlink::Socket& socket) {
  NftTransaction probe({NftFamily::kInet, "cni_plugins_probe"});
  probe.add_table({});
  probe.add_chain({"probe", NftHook{"nat", NF_INET_POST_ROUTING, 100}, {}});
  probe.add_set({"addresses", {NftType::kIpv4Address}, {}, false, {}}, NftCreate::kIfAbsent);
  probe.append_rule("probe", nft_rule({{NftMasquerade{}}}));
  // The kernel looks at every message even after one that it refuses, and then takes all back. This
  // last one is always refused; if it is the first, the others are fine.
  probe.delete_chain("never-made");
  const std::size_t last = probe.messages_->list.size() - 1;
  std::size_t failed = last + 1;
  try {
    socket.batch(probe.messages_->list, "probe nftables", &failed);
  } catch (const Error& error) {
    return failed == last && error.sys_errno == ENOENT;
  }
  return false;
}

}  // namespace cni::netfilter
