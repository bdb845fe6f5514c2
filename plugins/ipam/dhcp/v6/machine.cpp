#include "plugins/ipam/dhcp/v6/machine.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "pkg/types/error.hpp"

namespace cni::dhcp::v6 {
namespace {

// After the first usable Advertise, for better ones: RFC 8415 18.2.1 would wait for the whole first
// timeout, a second, which each start of a container would take longer.
constexpr Time kCollectTime{50};
constexpr std::uint8_t kBestPreference = 255;
constexpr Time kShortestPause{1'000};
constexpr Time kLongestPause{60'000};
constexpr unsigned kMostDoublings = 6;
constexpr std::uint32_t kLongestResumeDelay = 1'000;  // milliseconds
// RFC 8415 21.24.
constexpr std::uint32_t kLeastSolMaxRt = 60;
constexpr std::uint32_t kGreatestSolMaxRt = 86'400;

std::string_view name_of(MessageType type) {
  return type == MessageType::kAdvertise ? "Advertise" : "Reply";
}

}  // namespace

std::string_view to_string(State state) {
  static constexpr std::array<std::string_view, 6> kNames{"idle",  "soliciting", "requesting",
                                                          "bound", "renewing",   "rebinding"};
  return kNames.at(static_cast<std::size_t>(state));
}

Machine::Machine(Settings settings, std::function<std::uint32_t()> random)
    : settings_(std::move(settings)),
      random_(std::move(random)),
      client_id_(settings_.client_id),
      iaid_(settings_.iaid) {}

Actions Machine::start(Time now) {
  Actions actions;
  (void)expire(now, actions);  // what has come to an end shows in lease_
  if (lease_) return actions;
  give_up_at_ = now + settings_.give_up_after;
  solicits_ = 0;
  requests_ = 0;
  last_failure_.clear();
  if (state_ == State::kIdle) {
    failures_ = 0;
    solicit(now, Time(0), actions);
  } else if (state_ == State::kSoliciting && next_at_ > now + 2 * kShortestPause) {
    solicit(now, kShortestPause, actions);
  }
  return actions;
}

Actions Machine::resume(Time now, Lease6 lease) {
  Actions actions;
  become_idle();
  if (!lease.client_id.empty()) client_id_ = lease.client_id;
  iaid_ = lease.iaid;
  lease_ = std::move(lease);
  // Not all of a machine's leases at once when the daemon starts.
  const Time delay(random_() % (kLongestResumeDelay + 1));
  enter(State::kBound, std::max(lease_->timing.renew_at, now + delay));
  (void)expire(now, actions);
  return actions;
}

Actions Machine::conflict_found(Time now) {
  Actions actions;
  if (!lease_) return actions;
  Message decline = message(MessageType::kDecline, lease_->address);
  decline.server_id = lease_->server_id;
  decline.transaction = random_() & 0xffffffU;
  decline.elapsed = 0;
  const std::string address = lease_->address.to_string();
  lose(cat("another host uses ", address), actions);
  actions.emplace_back(Send{std::move(decline)});
  solicit_after_failure(now, actions);
  return actions;
}

Actions Machine::renew(Time now) {
  Actions actions;
  if (!expire(now, actions) && state_ == State::kBound) prolong(now, actions);
  return actions;
}

Actions Machine::release(Time) {
  Actions actions;
  // A server that has answered the Request, or is about to, holds the address already.
  const bool is_requested = state_ == State::kRequesting && exchange_.sends != 0;
  if (lease_ || is_requested) {
    Message release = message(MessageType::kRelease, lease_ ? lease_->address : requested_);
    release.server_id = lease_ ? lease_->server_id : server_id_;
    release.transaction = random_() & 0xffffffU;
    release.elapsed = 0;
    actions.emplace_back(Send{std::move(release)});
  }
  become_idle();
  return actions;
}

std::optional<Time> Machine::deadline() const {
  if (state_ == State::kIdle) return std::nullopt;
  Time out = next_at_;
  if (choice_) out = std::min(out, choice_->take_at);
  if (give_up_at_) out = std::min(out, *give_up_at_);
  if (lease_) out = std::min(out, lease_->timing.expires_at);
  if (state_ == State::kRenewing) out = std::min(out, lease_->timing.rebind_at);
  if (out == kNever) return std::nullopt;
  return out;
}

Actions Machine::timer(Time now) {
  Actions actions;
  if (state_ == State::kIdle) return actions;
  (void)expire(now, actions);  // what is asked for now goes on
  if (give_up_at_ && now >= *give_up_at_) {
    give_up(actions);
  } else {
    timer_of_state(now, actions);
  }
  return actions;
}

void Machine::timer_of_state(Time now, Actions& actions) {
  if (choice_ && now >= choice_->take_at) {
    Choice taken = std::move(*choice_);
    return request(now, std::move(taken.server_id), taken.address, actions);
  }
  if (state_ == State::kRenewing && now >= lease_->timing.rebind_at) return prolong(now, actions);
  if (now < next_at_) return;
  if (state_ == State::kBound) return prolong(now, actions);
  if (pace().most_sends != 0 && exchange_.sends >= pace().most_sends) {
    last_failure_ = "the server did not answer a Request for what it had offered";
    return solicit_after_failure(now, actions);
  }
  transmit(now, actions);
}

// What is to be sent

void Machine::enter(State state, Time next_at) {
  state_ = state;
  next_at_ = next_at;
  exchange_ = {};
  choice_.reset();
}

void Machine::solicit(Time now, Time pause, Actions& actions) {
  if (!lease_) {
    client_id_ = settings_.client_id;
    iaid_ = settings_.iaid;
  }
  enter(State::kSoliciting, now + pause);
  if (pause == Time(0)) transmit(now, actions);
}

// A server that offers what it does not grant, or grants what another host has, would be asked as
// fast as it answers.
void Machine::solicit_after_failure(Time now, Actions& actions) {
  const Time pause = std::min(kShortestPause * (1U << failures_), kLongestPause);
  failures_ = std::min(failures_ + 1, kMostDoublings);
  solicit(now, pause, actions);
}

void Machine::request(Time now, Bytes server_id, const Ip& address, Actions& actions) {
  server_id_ = std::move(server_id);
  requested_ = address;
  enter(State::kRequesting, now);
  transmit(now, actions);
}

void Machine::prolong(Time now, Actions& actions) {
  enter(now >= lease_->timing.rebind_at ? State::kRebinding : State::kRenewing, now);
  transmit(now, actions);
}

Pace Machine::pace() const {
  switch (state_) {
    case State::kRequesting:
      return kRequestPace;
    case State::kRenewing:
      return kRenewPace;
    case State::kRebinding:
      return kRebindPace;
    default:
      return solicit_pace(sol_max_rt_);
  }
}

void Machine::transmit(Time now, Actions& actions) {
  const bool is_first = exchange_.sends == 0;
  if (is_first) {
    exchange_.transaction = random_() & 0xffffffU;
    exchange_.began = now;
  }
  exchange_.timeout = is_first && state_ == State::kSoliciting
                          ? first_solicit_timeout(pace(), random_())
                          : next_timeout(pace(), exchange_.timeout, random_());
  next_at_ = now + exchange_.timeout;
  ++exchange_.sends;
  if (state_ == State::kSoliciting) ++solicits_;
  if (state_ == State::kRequesting) ++requests_;
  actions.emplace_back(Send{next_message(now)});
}

// Lifetimes and T1 and T2 stay 0: they are the server's choice (RFC 8415 21.4, 21.6).
Message Machine::message(MessageType type, const std::optional<Ip>& address) const {
  Message out;
  out.type = type;
  out.client_id = client_id_;
  IaNa ia;
  ia.iaid = iaid_;
  if (address) {
    ia.addresses.emplace_back();
    ia.addresses.back().address = *address;
  }
  out.ia_na.push_back(std::move(ia));
  return out;
}

Message Machine::next_message(Time now) const {
  std::optional<Ip> address;
  if (lease_) address = lease_->address;
  MessageType type = MessageType::kSolicit;
  Bytes server_id;
  if (state_ == State::kRequesting) {
    type = MessageType::kRequest;
    address = requested_;
    server_id = server_id_;
  } else if (state_ == State::kRenewing) {
    type = MessageType::kRenew;
    server_id = lease_->server_id;
  } else if (state_ == State::kRebinding) {
    type = MessageType::kRebind;
  }
  Message out = message(type, address);
  out.transaction = exchange_.transaction;
  out.server_id = std::move(server_id);
  out.rapid_commit = type == MessageType::kSolicit;
  out.option_request = {option::kNameservers, option::kSearch, option::kSolMaxRt};
  const auto hundredths = (now - exchange_.began).count() / 10;
  out.elapsed = static_cast<std::uint16_t>(std::clamp<Time::rep>(hundredths, 0, 0xffff));
  return out;
}

// What has come back

Actions Machine::received(Time now, const Message& answer) {
  Actions actions;
  if (expire(now, actions) || !is_ours(answer)) return actions;
  // Also one in an Advertise without an address counts (RFC 8415 18.2.9).
  if (answer.sol_max_rt && *answer.sol_max_rt >= kLeastSolMaxRt &&
      *answer.sol_max_rt <= kGreatestSolMaxRt) {
    sol_max_rt_ = std::chrono::seconds(*answer.sol_max_rt);
  }
  if (answer.type == MessageType::kAdvertise) {
    advertised(now, answer, actions);
  } else if (state_ == State::kSoliciting) {
    replied_to_solicit(now, answer, actions);
  } else if (state_ == State::kRequesting) {
    replied_to_request(now, answer, actions);
  } else {
    replied_to_renewal(now, answer, actions);
  }
  return actions;
}

// RFC 8415 16.3 and 16.10.
bool Machine::is_ours(const Message& answer) const {
  if (exchange_.sends == 0 || answer.transaction != exchange_.transaction) return false;
  if (answer.client_id != client_id_ || answer.server_id.empty()) return false;
  if (answer.type == MessageType::kAdvertise) return state_ == State::kSoliciting;
  if (answer.type != MessageType::kReply) return false;
  if (state_ == State::kSoliciting) return answer.rapid_commit;
  if (state_ == State::kRequesting) return answer.server_id == server_id_;
  return state_ == State::kRebinding || answer.server_id == lease_->server_id;
}

void Machine::note(const Message& answer, const StatusCode& status) {
  last_failure_ = cat("a server's ", name_of(answer.type), " had no usable address");
  if (status.status != Status::kSuccess) last_failure_ += cat(": ", describe(status));
}

Offer Machine::offer_of(const Message& answer) const {
  std::optional<Ip> wanted;
  if (lease_) wanted = lease_->address;
  if (state_ == State::kRequesting) wanted = requested_;
  return read_offer(answer, iaid_, wanted);
}

void Machine::advertised(Time now, const Message& answer, Actions& actions) {
  const Offer offer = offer_of(answer);
  if (offer.address == nullptr) return note(answer, offer.status);
  const std::uint8_t preference = answer.preference.value_or(0);
  if (preference == kBestPreference || exchange_.sends > 1) {
    return request(now, answer.server_id, offer.address->address, actions);
  }
  if (choice_ && choice_->preference >= preference) return;
  const Time take_at = choice_ ? choice_->take_at : std::min(now + kCollectTime, next_at_);
  choice_ = Choice{answer.server_id, offer.address->address, preference, take_at};
}

void Machine::replied_to_solicit(Time now, const Message& answer, Actions& actions) {
  const Offer offer = offer_of(answer);
  if (offer.address == nullptr) return note(answer, offer.status);
  grant(lease_of(answer, offer, now), actions);
}

void Machine::replied_to_request(Time now, const Message& answer, Actions& actions) {
  const Offer offer = offer_of(answer);
  switch (offer.status.status) {
    case Status::kSuccess:
      if (offer.address != nullptr) return grant(lease_of(answer, offer, now), actions);
      break;
    case Status::kNotOnLink:
      if (lease_) lose(cat("the server answered ", describe(offer.status)), actions);
      break;
    case Status::kNoAddrsAvail:
    case Status::kNoBinding:
      break;
    default:
      return note(answer, offer.status);
  }
  note(answer, offer.status);
  solicit_after_failure(now, actions);
}

void Machine::replied_to_renewal(Time now, const Message& answer, Actions& actions) {
  const Offer offer = offer_of(answer);
  if (offer.status.status == Status::kNoBinding) return no_binding(now, actions);
  if (offer.status.status != Status::kSuccess) return note(answer, offer.status);
  if (offer.ia == nullptr) return note(answer, offer.status);
  if (offer.address != nullptr) {
    failures_ = 0;
    return grant(lease_of(answer, offer, now), actions);
  }
  lose("the server does not prolong it", actions);
  solicit(now, Time(0), actions);
}

// A server that has forgotten the lease may well grant the same address again (RFC 8415 18.2.10.1),
// so it is kept until it ends or another one takes its place.
void Machine::no_binding(Time now, Actions& actions) {
  if (state_ == State::kRebinding) return solicit(now, Time(0), actions);
  request(now, lease_->server_id, lease_->address, actions);
}

void Machine::grant(Lease6 lease, Actions& actions) {
  Granted granted{std::move(lease), std::move(lease_)};
  lease_ = granted.lease;
  give_up_at_.reset();
  enter(State::kBound, lease_->timing.renew_at);
  actions.emplace_back(std::move(granted));
}

void Machine::lose(std::string reason, Actions& actions) {
  actions.emplace_back(Lost{std::move(*lease_), std::move(reason)});
  lease_.reset();
}

// True if the lease ended. What is being asked for meanwhile goes on.
bool Machine::expire(Time now, Actions& actions) {
  if (!lease_ || now < lease_->timing.expires_at) return false;
  lose("it has expired and no server prolonged it", actions);
  const bool is_asking = state_ == State::kSoliciting || state_ == State::kRequesting;
  if (!is_asking) solicit(now, Time(0), actions);
  return true;
}

void Machine::give_up(Actions& actions) {
  const auto waited = std::chrono::duration_cast<std::chrono::seconds>(settings_.give_up_after);
  std::string reason = cat("no more tries: ", solicits_, " Solicit and ", requests_,
                           " Request messages sent within ", waited.count(), " s, ");
  reason += last_failure_.empty()
                ? "and no DHCPv6 server answered: check that one serves this network"
                : cat("and the last failure was: ", last_failure_);
  become_idle();
  actions.emplace_back(GaveUp{std::move(reason)});
}

void Machine::become_idle() {
  enter(State::kIdle, kNever);
  lease_.reset();
  give_up_at_.reset();
  client_id_ = settings_.client_id;
  iaid_ = settings_.iaid;
}

}  // namespace cni::dhcp::v6
