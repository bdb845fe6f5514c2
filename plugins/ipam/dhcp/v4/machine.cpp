#include "plugins/ipam/dhcp/v4/machine.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "pkg/types/error.hpp"
#include "plugins/ipam/dhcp/v4/options.hpp"
#include "plugins/ipam/dhcp/v4/outgoing.hpp"

namespace cni::dhcp::v4 {
namespace {

constexpr std::array<std::pair<State, std::string_view>, 8> kStateNames = {{
    {State::kIdle, "idle"},
    {State::kSelecting, "selecting"},
    {State::kRequesting, "requesting"},
    {State::kProbing, "probing"},
    {State::kWaiting, "waiting"},
    {State::kBound, "bound"},
    {State::kRenewing, "renewing"},
    {State::kRebinding, "rebinding"},
}};

constexpr Time kLeastBetweenRequests{1000};

std::string in_use(const Ip& address, const Ip& server) {
  return cat(address.to_string(), ", which DHCP server ", server.to_string(),
             " offers, is used by another host on the link");
}

// What an earlier process wrote may be anything: differences between times must not overflow, and
// each must come after the one before it.
Timing ordered(Timing timing) {
  if (timing.expires_at == kNever) return {};
  timing.expires_at = std::max(timing.expires_at, Time{0});
  timing.rebind_at = std::clamp(timing.rebind_at, Time{0}, timing.expires_at);
  timing.renew_at = std::clamp(timing.renew_at, Time{0}, timing.rebind_at);
  return timing;
}

}  // namespace

std::string_view to_string(State state) {
  for (const auto& [value, text] : kStateNames) {
    if (value == state) return text;
  }
  return "unknown";
}

Machine::Machine(Settings settings, std::function<std::uint32_t()> random)
    : settings_(std::move(settings)), pace_(settings_.patience, std::move(random)) {}

Actions Machine::start(Time now) {
  Actions out;
  if (state_ != State::kIdle) return out;
  reset_attempts(now, later(now, settings_.patience.give_up_after));
  begin_attempt(now, out);
  return out;
}

Actions Machine::resume(Time now, Lease4 lease) {
  Actions out;
  forget();
  reset_attempts(now, kNever);
  lease.timing = ordered(lease.timing);
  lease_ = std::move(lease);
  state_ = State::kBound;
  if (now >= lease_->timing.expires_at) {
    lose(now, "it expired while nobody renewed it", out);
  } else if (now >= lease_->timing.renew_at) {
    next_ = std::min(pace_.soon(now), lease_->timing.expires_at);
  } else {
    next_ = pace_.renewal(now, lease_->timing);
  }
  return out;
}

Actions Machine::received(Time now, const Message& message) {
  Actions out;
  if (!message.is_reply || message.xid != exchange_.xid || message.chaddr != settings_.mac) {
    return out;
  }
  const auto type = message.type();
  const auto server = server_of(message);
  if (!type || !server) return out;
  switch (state_) {
    case State::kSelecting:
      if (*type == MessageType::kOffer) offered(now, message, *server, out);
      break;
    case State::kRequesting:
      if (*server == offer_->server) answered(now, message, *type, out);
      break;
    case State::kWaiting:
      answered_too_late(message, *type, *server, out);
      break;
    case State::kRenewing:
      if (*server == lease_->server) more_time_answered(now, message, *type, *server, out);
      break;
    case State::kRebinding:
      more_time_answered(now, message, *type, *server, out);
      break;
    case State::kIdle:
    case State::kProbing:
    case State::kBound:
      break;
  }
  return out;
}

Actions Machine::conflict_found(Time now) {
  Actions out;
  if (state_ != State::kRequesting && state_ != State::kProbing) return out;
  tally_.last_failure = in_use(offer_->address, offer_->server);
  if (state_ == State::kProbing) {
    out.push_back(
        SendBroadcast{decline(settings_, pace_.random(), offer_->address, offer_->server)});
    offer_.reset();
  }
  wait(now, Pace::pause_after_conflict(++conflicts_));
  return out;
}

Actions Machine::timer(Time now) {
  Actions out;
  const auto due = deadline();
  if (!due || now < *due) return out;
  if (may_give_up() && now >= give_up_at_) {
    give_up(now, out);
    return out;
  }
  switch (state_) {
    case State::kIdle:
      break;
    case State::kSelecting:
      if (exchange_.sends < kSends) {
        send_discover(now, out);
      } else {
        fail(now, "no DHCP server answered: check that there is one on the interface's network");
      }
      break;
    case State::kRequesting:
      if (exchange_.sends < kSends) {
        send_request(now, out);
      } else {
        fail(now, cat("DHCP server ", offer_->server.to_string(), " offered ",
                      offer_->address.to_string(), " but did not answer the request for it"));
      }
      break;
    case State::kProbing:
      grant(now, std::move(probed_), out);
      break;
    case State::kWaiting:
      begin_attempt(now, out);
      break;
    case State::kBound:
    case State::kRenewing:
    case State::kRebinding:
      ask_for_more_time(now, out);
      break;
  }
  return out;
}

Actions Machine::renew(Time now) {
  Actions out;
  const bool is_asking = state_ == State::kRenewing || state_ == State::kRebinding;
  if (state_ == State::kBound ||
      (is_asking && now - exchange_.last_sent >= kLeastBetweenRequests)) {
    ask_for_more_time(now, out);
  }
  return out;
}

Actions Machine::release(Time /*now*/) {
  Actions out;
  if (lease_) {
    const Ip address = lease_->address.address;
    out.push_back(SendUnicast{give_back(settings_, pace_.random(), address, lease_->server),
                              address, lease_->server});
  }
  forget();
  return out;
}

std::optional<Time> Machine::deadline() const {
  const Time at = may_give_up() ? std::min(next_, give_up_at_) : next_;
  if (state_ == State::kIdle || at == kNever) return std::nullopt;
  return at;
}

bool Machine::is_listening() const {
  switch (state_) {
    case State::kSelecting:
    case State::kRequesting:
    case State::kProbing:
    case State::kRenewing:
    case State::kRebinding:
      return true;
    case State::kWaiting:
      return offer_.has_value();
    case State::kIdle:
    case State::kBound:
      break;
  }
  return false;
}

// A probe takes less than a second, and its address is as good as granted.
bool Machine::may_give_up() const {
  return state_ == State::kSelecting || state_ == State::kRequesting || state_ == State::kWaiting;
}

void Machine::forget() {
  state_ = State::kIdle;
  next_ = kNever;
  lease_.reset();
  offer_.reset();
}

}  // namespace cni::dhcp::v4
