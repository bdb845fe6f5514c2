#include "plugins/ipam/dhcp/v4/outgoing.hpp"

namespace cni::dhcp::v4 {
namespace {

// An Ethernet packet: what the reference says too.
constexpr std::uint16_t kLongestAnswer = 1500;

Bytes octets(const Ip& address) { return {address.data(), address.data() + address.size()}; }

Bytes octets(std::uint16_t value) {
  return {static_cast<std::uint8_t>(value >> 8U), static_cast<std::uint8_t>(value)};
}

// Of what is provided all but what the protocol itself has to say in a message.
bool is_protocol_option(std::uint8_t code) {
  return code == option::kRequestedAddress || code == option::kOverload ||
         code == option::kMessageType || code == option::kServerId;
}

Message bare(const Settings& settings, MessageType type, Stamp stamp) {
  Message out;
  out.xid = stamp.xid;
  out.secs = stamp.secs;
  out.chaddr = settings.mac;
  if (!settings.client_id.empty()) out.options[option::kClientId] = settings.client_id;
  // The identifier is the same in all messages, or the server does not know whose the lease is.
  for (const ProvidedOption& provided : settings.provide) {
    if (provided.code == option::kClientId) out.options[provided.code] = provided.value;
  }
  out.options[option::kMessageType] = {static_cast<std::uint8_t>(type)};
  return out;
}

Message asking(const Settings& settings, MessageType type, Stamp stamp) {
  Message out = bare(settings, type, stamp);
  out.broadcast = settings.broadcast;
  if (!settings.request.empty()) out.options[option::kParameterRequestList] = settings.request;
  out.options[option::kMaximumMessageSize] = octets(kLongestAnswer);
  for (const ProvidedOption& provided : settings.provide) {
    if (!is_protocol_option(provided.code)) out.options[provided.code] = provided.value;
  }
  return out;
}

}  // namespace

Message discover(const Settings& settings, Stamp stamp) {
  Message out = asking(settings, MessageType::kDiscover, stamp);
  // Which address the client would like: this message alone may carry it as a mere wish.
  for (const ProvidedOption& provided : settings.provide) {
    if (provided.code == option::kRequestedAddress) out.options[provided.code] = provided.value;
  }
  return out;
}

Message request(const Settings& settings, Stamp stamp, const Ip& address, const Ip& server) {
  Message out = asking(settings, MessageType::kRequest, stamp);
  out.options[option::kRequestedAddress] = octets(address);
  out.options[option::kServerId] = octets(server);
  return out;
}

Message prolong(const Settings& settings, Stamp stamp, const Ip& address) {
  Message out = asking(settings, MessageType::kRequest, stamp);
  out.ciaddr = address;
  return out;
}

Message decline(const Settings& settings, std::uint32_t xid, const Ip& address, const Ip& server) {
  Message out = bare(settings, MessageType::kDecline, {.xid = xid});
  out.options[option::kRequestedAddress] = octets(address);
  out.options[option::kServerId] = octets(server);
  return out;
}

Message give_back(const Settings& settings, std::uint32_t xid, const Ip& address,
                  const Ip& server) {
  Message out = bare(settings, MessageType::kRelease, {.xid = xid});
  out.ciaddr = address;
  out.options[option::kServerId] = octets(server);
  return out;
}

}  // namespace cni::dhcp::v4
