#include "plugins/ipam/dhcp/v6/offer.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "pkg/types/error.hpp"

namespace cni::dhcp::v6 {
namespace {

constexpr std::uint32_t kInfinite = 0xffffffff;  // RFC 8415 7.7
constexpr std::size_t kLongestText = 200;

constexpr std::array<std::string_view, 7> kStatusNames{
    "Success",   "UnspecFail",   "NoAddrsAvail",  "NoBinding",
    "NotOnLink", "UseMulticast", "NoPrefixAvail",
};

std::string printable(std::string_view text) {
  std::string out(text.substr(0, kLongestText));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

bool is_success(const std::optional<StatusCode>& status) {
  return !status || status->status == Status::kSuccess;
}

bool can_be_leased(const IaAddress& address) {
  return is_usable(address.address) && address.valid != 0 && address.preferred <= address.valid &&
         is_success(address.status);
}

// RFC 8415 21.4 has an association whose T1 is after its T2 ignored.
const IaNa* find_ia(const Message& message, std::uint32_t iaid) {
  const auto found = std::find_if(message.ia_na.begin(), message.ia_na.end(), [&](const IaNa& ia) {
    return ia.iaid == iaid && (ia.t2 == 0 || ia.t1 <= ia.t2);
  });
  return found == message.ia_na.end() ? nullptr : &*found;
}

// `wanted` if it can be leased, or else the first that can.
const IaAddress* find_address(const IaNa& ia, const std::optional<Ip>& wanted) {
  const IaAddress* out = nullptr;
  for (const IaAddress& address : ia.addresses) {
    if (!can_be_leased(address)) continue;
    if (wanted && address.address == *wanted) return &address;
    if (out == nullptr) out = &address;
  }
  return out;
}

Time end_of(Time received, std::uint32_t seconds) {
  return seconds == kInfinite ? kNever : received + std::chrono::seconds(seconds);
}

// What the server says of T1 or T2, or else so many thousandths of a lifetime.
Time point(Time received, std::uint32_t said, const IaAddress& address, std::int64_t thousandths) {
  if (said != 0 && (said < address.valid || address.valid == kInfinite)) {
    return end_of(received, said);
  }
  const std::uint32_t lifetime = address.preferred != 0 ? address.preferred : address.valid;
  return lifetime == kInfinite ? kNever : received + Time(thousandths * lifetime);
}

}  // namespace

bool is_usable(const Ip& address) {
  return !address.is_ipv4() && address.is_global_unicast() && address.data()[0] != 0;
}

Offer read_offer(const Message& answer, std::uint32_t iaid, const std::optional<Ip>& wanted) {
  Offer out;
  out.ia = find_ia(answer, iaid);
  if (!is_success(answer.status)) {
    out.status = *answer.status;
  } else if (out.ia != nullptr && out.ia->status) {
    out.status = *out.ia->status;
  }
  if (out.ia != nullptr && out.status.status == Status::kSuccess) {
    out.address = find_address(*out.ia, wanted);
  }
  return out;
}

std::string describe(const StatusCode& status) {
  const auto number = static_cast<std::uint16_t>(status.status);
  const std::string name =
      number < kStatusNames.size() ? std::string(kStatusNames[number]) : cat("status ", number);
  return status.text.empty() ? name : cat(name, " ", quote(printable(status.text)));
}

Lease6 lease_of(const Message& reply, const Offer& offer, Time received) {
  const IaNa& ia = *offer.ia;
  const IaAddress& address = *offer.address;
  Lease6 out;
  out.address = address.address;
  out.iaid = ia.iaid;
  out.client_id = reply.client_id;
  out.server_id = reply.server_id;
  // One of the link itself would need the name of the interface with it, which no field can hold.
  std::copy_if(reply.nameservers.begin(), reply.nameservers.end(),
               std::back_inserter(out.nameservers),
               [](const Ip& server) { return is_usable(server); });
  out.search = reply.search;
  out.preferred_until = end_of(received, address.preferred);
  out.timing.expires_at = end_of(received, address.valid);
  out.timing.rebind_at = point(received, ia.t2, address, 800);
  out.timing.renew_at = std::min(point(received, ia.t1, address, 500), out.timing.rebind_at);
  return out;
}

}  // namespace cni::dhcp::v6
