#include "plugins/ipam/dhcp/v6/message.hpp"

#include <algorithm>
#include <string_view>

#include "plugins/ipam/dhcp/names.hpp"

namespace cni::dhcp::v6 {
namespace {

using View = std::span<const std::uint8_t>;

// RFC 8415 21.2 to 21.24, RFC 3646.
enum Option : std::uint16_t {
  kClientId = 1,
  kServerId = 2,
  kIaNa = 3,
  kIaAddress = 5,
  kOptionRequest = 6,
  kPreference = 7,
  kElapsedTime = 8,
  kStatusCode = 13,
  kRapidCommit = 14,
};

constexpr std::size_t kHeaderSize = 4;
constexpr std::size_t kLongestOption = 0xffff;
// RFC 8415 11.1: two octets of type, and between 1 and 128 behind them.
constexpr std::size_t kShortestDuid = 3;
constexpr std::size_t kLongestDuid = 130;
// RFC 1035 2.3.4, with the octets of the lengths.
constexpr std::size_t kLongestLabel = 63;
constexpr std::size_t kLongestName = 255;

std::uint16_t read16(View data) { return static_cast<std::uint16_t>(data[0] << 8U | data[1]); }

std::uint32_t read32(View data) {
  return static_cast<std::uint32_t>(read16(data)) << 16U | read16(data.subspan(2));
}

void put16(Bytes& out, std::size_t value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8U & 0xffU));
  out.push_back(static_cast<std::uint8_t>(value & 0xffU));
}

void put32(Bytes& out, std::uint32_t value) {
  put16(out, value >> 16U);
  put16(out, value & 0xffffU);
}

void put(Bytes& out, View data) { out.insert(out.end(), data.begin(), data.end()); }

void put_option(Bytes& out, std::uint16_t code, View body) {
  if (body.size() > kLongestOption) return;
  put16(out, code);
  put16(out, body.size());
  put(out, body);
}

void put_status(Bytes& out, const std::optional<StatusCode>& status) {
  if (!status) return;
  Bytes body;
  put16(body, static_cast<std::uint16_t>(status->status));
  body.insert(body.end(), status->text.begin(), status->text.end());
  put_option(out, kStatusCode, body);
}

void put_ia_address(Bytes& out, const IaAddress& address) {
  if (address.address.is_ipv4()) return;
  Bytes body;
  put(body, {address.address.data(), address.address.size()});
  put32(body, address.preferred);
  put32(body, address.valid);
  put_status(body, address.status);
  put_option(out, kIaAddress, body);
}

void put_ia_na(Bytes& out, const IaNa& ia) {
  Bytes body;
  put32(body, ia.iaid);
  put32(body, ia.t1);
  put32(body, ia.t2);
  for (const IaAddress& address : ia.addresses) put_ia_address(body, address);
  put_status(body, ia.status);
  put_option(out, kIaNa, body);
}

// The name as RFC 1035 3.1 writes it; empty if it is none.
Bytes encode_name(std::string_view name) {
  Bytes out;
  while (true) {
    const std::string_view label = name.substr(0, name.find('.'));
    if (label.empty() || label.size() > kLongestLabel) return {};
    if (!std::all_of(label.begin(), label.end(),
                     [](char c) { return is_label_octet(static_cast<std::uint8_t>(c)); })) {
      return {};
    }
    out.push_back(static_cast<std::uint8_t>(label.size()));
    out.insert(out.end(), label.begin(), label.end());
    if (label.size() == name.size()) break;
    name.remove_prefix(label.size() + 1);
  }
  out.push_back(0);
  return out.size() <= kLongestName ? out : Bytes{};
}

void put_lists(Bytes& out, const Message& message) {
  Bytes body;
  for (const Ip& server : message.nameservers) {
    if (!server.is_ipv4()) put(body, {server.data(), server.size()});
  }
  if (!body.empty()) put_option(out, option::kNameservers, body);
  body.clear();
  for (const std::string& name : message.search) put(body, encode_name(name));
  if (!body.empty()) put_option(out, option::kSearch, body);
}

// Calls `take` with the code and the body of each option; false if one does not fit, or if `take`
// says so.
template <class Take>
bool each_option(View data, Take&& take) {
  while (!data.empty()) {
    if (data.size() < kHeaderSize) return false;
    const std::uint16_t code = read16(data);
    const std::size_t size = read16(data.subspan(2));
    data = data.subspan(kHeaderSize);
    if (size > data.size() || !take(code, data.first(size))) return false;
    data = data.subspan(size);
  }
  return true;
}

bool take_status(std::optional<StatusCode>& out, View body) {
  if (body.size() < 2) return false;
  if (out) return true;
  const View text = body.subspan(2);
  out = StatusCode{.status = static_cast<Status>(read16(body)),
                   .text = std::string(text.begin(), text.end())};
  return true;
}

bool take_ia_address(IaNa& ia, View body) {
  constexpr std::size_t kFixedSize = 24;
  if (body.size() < kFixedSize) return false;
  IaAddress out{.address = Ip::from_bytes(body.data(), 16).value_or(Ip()),
                .preferred = read32(body.subspan(16)),
                .valid = read32(body.subspan(20)),
                .status = {}};
  const bool is_well_formed =
      each_option(body.subspan(kFixedSize), [&](std::uint16_t code, View inner) {
        return code != kStatusCode || take_status(out.status, inner);
      });
  if (is_well_formed && ia.addresses.size() < kMostAddresses) {
    ia.addresses.push_back(std::move(out));
  }
  return is_well_formed;
}

bool take_ia_na(Message& message, View body) {
  constexpr std::size_t kFixedSize = 12;
  if (body.size() < kFixedSize) return false;
  IaNa out{.iaid = read32(body),
           .t1 = read32(body.subspan(4)),
           .t2 = read32(body.subspan(8)),
           .addresses = {},
           .status = {}};
  const bool is_well_formed =
      each_option(body.subspan(kFixedSize), [&](std::uint16_t code, View inner) {
        if (code == kIaAddress) return take_ia_address(out, inner);
        return code != kStatusCode || take_status(out.status, inner);
      });
  if (is_well_formed && message.ia_na.size() < kMostAssociations) {
    message.ia_na.push_back(std::move(out));
  }
  return is_well_formed;
}

bool take_duid(Bytes& out, View body) {
  if (body.size() < kShortestDuid || body.size() > kLongestDuid) return false;
  if (out.empty()) out.assign(body.begin(), body.end());
  return true;
}

bool take_option_request(Message& message, View body) {
  if (body.size() % 2 != 0) return false;
  if (!message.option_request.empty()) return true;
  const std::size_t size = std::min(body.size(), 2 * kMostRequestedOptions);
  for (std::size_t at = 0; at < size; at += 2) {
    message.option_request.push_back(read16(body.subspan(at)));
  }
  return true;
}

bool take_nameservers(Message& message, View body) {
  if (body.size() % 16 != 0) return false;
  if (!message.nameservers.empty()) return true;
  const std::size_t size = std::min(body.size(), 16 * kMostNameservers);
  for (std::size_t at = 0; at < size; at += 16) {
    message.nameservers.push_back(Ip::from_bytes(body.data() + at, 16).value_or(Ip()));
  }
  return true;
}

// Takes the first name from `data`. False if it is compressed, too long or has no end.
bool take_name(View& data, std::string& name, bool& is_plain) {
  const std::size_t size_before = data.size();
  while (!data.empty()) {
    const std::size_t length = data[0];
    data = data.subspan(1);
    if (length == 0) return size_before - data.size() <= kLongestName;
    if (length > kLongestLabel || length > data.size()) return false;
    const View label = data.first(length);
    data = data.subspan(length);
    is_plain = is_plain && std::all_of(label.begin(), label.end(), is_label_octet);
    if (!name.empty()) name += '.';
    name.append(label.begin(), label.end());
  }
  return false;
}

bool take_search(Message& message, View body) {
  const bool is_first = message.search.empty();
  while (!body.empty()) {
    std::string name;
    bool is_plain = true;
    if (!take_name(body, name, is_plain)) return false;
    const bool is_wanted = is_plain && !name.empty() && message.search.size() < kMostSearchNames;
    if (is_first && is_wanted) message.search.push_back(std::move(name));
  }
  return true;
}

template <class Value>
bool take_number(std::optional<Value>& out, View body) {
  if (body.size() != sizeof(Value)) return false;
  if (out) return true;
  Value value = 0;
  for (const std::uint8_t octet : body) {
    value = static_cast<Value>(static_cast<std::uint64_t>(value) << 8U | octet);
  }
  out = value;
  return true;
}

bool take_option(Message& message, std::uint16_t code, View body) {
  switch (code) {
    case kClientId:
      return take_duid(message.client_id, body);
    case kServerId:
      return take_duid(message.server_id, body);
    case kIaNa:
      return take_ia_na(message, body);
    case kOptionRequest:
      return take_option_request(message, body);
    case kPreference:
      return take_number(message.preference, body);
    case kElapsedTime:
      return take_number(message.elapsed, body);
    case kStatusCode:
      return take_status(message.status, body);
    case kRapidCommit:
      message.rapid_commit = true;
      return body.empty();
    case option::kNameservers:
      return take_nameservers(message, body);
    case option::kSearch:
      return take_search(message, body);
    case option::kSolMaxRt:
      return take_number(message.sol_max_rt, body);
    default:
      return true;
  }
}

}  // namespace

Bytes encode(const Message& message) {
  Bytes out;
  put32(out, static_cast<std::uint32_t>(message.type) << 24U | (message.transaction & 0xffffffU));
  if (!message.client_id.empty()) put_option(out, kClientId, message.client_id);
  if (!message.server_id.empty()) put_option(out, kServerId, message.server_id);
  for (const IaNa& ia : message.ia_na) put_ia_na(out, ia);
  if (!message.option_request.empty()) {
    Bytes body;
    for (const std::uint16_t code : message.option_request) put16(body, code);
    put_option(out, kOptionRequest, body);
  }
  if (message.preference) put_option(out, kPreference, {&*message.preference, 1});
  if (message.elapsed) {
    Bytes body;
    put16(body, *message.elapsed);
    put_option(out, kElapsedTime, body);
  }
  put_status(out, message.status);
  if (message.rapid_commit) put_option(out, kRapidCommit, {});
  put_lists(out, message);
  if (message.sol_max_rt) {
    Bytes body;
    put32(body, *message.sol_max_rt);
    put_option(out, option::kSolMaxRt, body);
  }
  return out;
}

std::optional<Message> decode(std::span<const std::uint8_t> data) {
  if (data.size() < kHeaderSize) return std::nullopt;
  // 12 and 13 are the relays', which are laid out otherwise.
  const bool is_known = data[0] >= static_cast<std::uint8_t>(MessageType::kSolicit) &&
                        data[0] <= static_cast<std::uint8_t>(MessageType::kInformationRequest);
  if (!is_known) return std::nullopt;
  Message out;
  out.type = static_cast<MessageType>(data[0]);
  out.transaction = read32(data) & 0xffffffU;
  const bool is_well_formed =
      each_option(data.subspan(kHeaderSize),
                  [&](std::uint16_t code, View body) { return take_option(out, code, body); });
  if (!is_well_formed) return std::nullopt;
  return out;
}

Bytes duid_of(const Mac& mac) {
  // DUID-LL is type 3, Ethernet hardware type 1.
  Bytes out{0, 3, 0, 1};
  put(out, {mac.data(), mac.size()});
  return out;
}

}  // namespace cni::dhcp::v6
