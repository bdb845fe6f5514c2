// The steps of machine.hpp: attempts to get a lease, what answers them, and keeping the lease.
#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "pkg/types/error.hpp"
#include "plugins/ipam/dhcp/v4/machine.hpp"
#include "plugins/ipam/dhcp/v4/options.hpp"
#include "plugins/ipam/dhcp/v4/outgoing.hpp"

namespace cni::dhcp::v4 {
namespace {

// A bridge drops what arrives before it has noticed that the new port is there, so that the first
// DISCOVER of a container that has just been attached may be lost. These come after it, and are not
// counted.
constexpr std::array<Time, 2> kEarlyRepeats{Time{100}, Time{400}};

std::string refusal(const Message& nak, const Ip& server) {
  std::string out = cat("DHCP server ", server.to_string(), " refused it (NAK)");
  if (const auto text = text_of(nak, option::kMessage)) out += cat(": ", quote(*text));
  return out;
}

}  // namespace

std::uint16_t Machine::seconds_tried(Time now) const {
  const auto seconds = (now - exchange_.began).count() / 1000;
  constexpr Time::rep kMost = std::numeric_limits<std::uint16_t>::max();
  return static_cast<std::uint16_t>(std::clamp<Time::rep>(seconds, 0, kMost));
}

void Machine::reset_attempts(Time now, Time give_up_at) {
  started_ = now;
  give_up_at_ = give_up_at;
  failures_ = 0;
  conflicts_ = 0;
  tally_ = {};
}

void Machine::begin_attempt(Time now, Actions& out) {
  state_ = State::kSelecting;
  offer_.reset();
  exchange_ = {.xid = pace_.random(), .began = now};
  const bool is_first = failures_ == 0 && conflicts_ == 0;
  // Without an end to the attempts there was a lease before: the way to the servers is open.
  if (!is_first || give_up_at_ == kNever) exchange_.early_repeats = kEarlyRepeats.size();
  send_discover(now, out);
}

void Machine::send_discover(Time now, Actions& out) {
  exchange_.secs = seconds_tried(now);
  out.push_back(SendBroadcast{discover(settings_, {exchange_.xid, exchange_.secs})});
  ++tally_.discovers;
  if (exchange_.early_repeats == kEarlyRepeats.size()) return count_send(now);
  exchange_.last_sent = now;
  next_ = now + std::min(kEarlyRepeats[exchange_.early_repeats++], pace_.timeout(0));
}

// With the DISCOVER's `secs`, so that relays forward it to the same servers (RFC 2131 3.1 (3)).
void Machine::send_request(Time now, Actions& out) {
  out.push_back(SendBroadcast{
      request(settings_, {exchange_.xid, exchange_.secs}, offer_->address, offer_->server)});
  ++tally_.requests;
  count_send(now);
}

void Machine::count_send(Time now) {
  exchange_.last_sent = now;
  next_ = now + pace_.timeout(exchange_.sends++);
}

void Machine::fail(Time now, std::string reason) {
  tally_.last_failure = std::move(reason);
  offer_.reset();
  wait(now, pace_.pause(++failures_));
}

void Machine::wait(Time now, Time pause) {
  state_ = State::kWaiting;
  next_ = now + pause;
}

void Machine::give_up(Time now, Actions& out) {
  const Tally& tally = tally_;
  std::string reason =
      cat("no more tries: in ", (now - started_).count() / 1000, " s ", tally.discovers,
          " DISCOVER and ", tally.requests, " REQUEST were sent, and ", tally.offers, " OFFER, ",
          tally.acks, " ACK and ", tally.naks, " NAK came back");
  if (tally.last_failure.empty()) {
    reason += "; give the DHCP server more time, or check that there is one on the network";
  } else {
    reason += cat("; at last: ", tally.last_failure);
  }
  out.push_back(GaveUp{std::move(reason)});
  forget();
}

void Machine::offered(Time now, const Message& message, const Ip& server, Actions& out) {
  if (!is_unicast(message.yiaddr)) return;
  ++tally_.offers;
  state_ = State::kRequesting;
  offer_ = Offer{message.yiaddr, server};
  exchange_.sends = 0;
  send_request(now, out);
  // While the server thinks: the probe then costs no time of its own.
  probe(now, out);
}

void Machine::answered(Time now, const Message& message, MessageType type, Actions& out) {
  if (type == MessageType::kNak) {
    ++tally_.naks;
    fail(now, refusal(message, offer_->server));
  } else if (type == MessageType::kAck) {
    ++tally_.acks;
    acknowledged(now, message, out);
  }
}

void Machine::acknowledged(Time now, const Message& ack, Actions& out) {
  Lease4 lease;
  try {
    // A lease runs from when it was asked for (RFC 2131 4.4.1).
    lease = read_lease(ack, exchange_.last_sent);
  } catch (const Error& error) {
    fail(now, error.msg);
    return;
  }
  if (lease.address.address != offer_->address) {
    offer_->address = lease.address.address;
    probe(now, out);
  }
  if (settings_.patience.probe_time <= Time{0} || now >= probe_ends_) {
    grant(now, std::move(lease), out);
    return;
  }
  state_ = State::kProbing;
  probed_ = std::move(lease);
  next_ = probe_ends_;
}

// The server has granted what turned out to be in use: it has to know, or it offers that again.
void Machine::answered_too_late(const Message& message, MessageType type, const Ip& server,
                                Actions& out) {
  if (!offer_ || type != MessageType::kAck || server != offer_->server ||
      message.yiaddr != offer_->address) {
    return;
  }
  ++tally_.acks;
  out.push_back(SendBroadcast{decline(settings_, pace_.random(), message.yiaddr, server)});
  offer_.reset();
}

void Machine::probe(Time now, Actions& out) {
  if (settings_.patience.probe_time <= Time{0}) return;
  out.push_back(Probe{offer_->address});
  probe_ends_ = later(now, settings_.patience.probe_time);
}

void Machine::grant(Time now, Lease4 lease, Actions& out) {
  std::optional<Lease4> before = std::exchange(lease_, std::move(lease));
  state_ = State::kBound;
  next_ = pace_.renewal(now, lease_->timing);
  offer_.reset();
  out.push_back(Granted{*lease_, std::move(before)});
}

void Machine::lose(Time now, std::string reason, Actions& out) {
  out.push_back(Lost{std::move(*lease_), std::move(reason)});
  lease_.reset();
  reset_attempts(now, kNever);
  begin_attempt(now, out);
}

void Machine::ask_for_more_time(Time now, Actions& out) {
  const Timing& timing = lease_->timing;
  if (now >= timing.expires_at) {
    lose(now, "it expired before a DHCP server prolonged it", out);
    return;
  }
  if (state_ == State::kBound) exchange_ = {.xid = pace_.random(), .began = now};
  // A lease that never ends needs no more time: whoever asked for it all the same gets three tries.
  if (timing.rebind_at == kNever && exchange_.sends == kSends) {
    state_ = State::kBound;
    next_ = pace_.renewal(now, timing);
    return;
  }
  state_ = now < timing.rebind_at ? State::kRenewing : State::kRebinding;
  const Ip address = lease_->address.address;
  Message message = prolong(settings_, {exchange_.xid, seconds_tried(now)}, address);
  if (state_ == State::kRenewing) {
    out.push_back(SendUnicast{std::move(message), address, lease_->server});
  } else {
    out.push_back(SendBroadcast{std::move(message)});
  }
  exchange_.last_sent = now;
  ++exchange_.sends;
  const Time end = state_ == State::kRenewing ? timing.rebind_at : timing.expires_at;
  next_ = std::min(next_request(now, end, timing), end);
}

void Machine::more_time_answered(Time now, const Message& message, MessageType type,
                                 const Ip& server, Actions& out) {
  if (type == MessageType::kNak) {
    lose(now, refusal(message, server), out);
    return;
  }
  if (type != MessageType::kAck) return;
  try {
    grant(now, read_lease(message, exchange_.last_sent), out);
  } catch (const Error&) {
    // An ACK that grants nothing is no answer: the lease runs on, and is asked for again.
  }
}

}  // namespace cni::dhcp::v4
