#include "plugins/ipam/dhcp/daemon/session.hpp"

#include <algorithm>
#include <string_view>

#include "pkg/types/error.hpp"
#include "pkg/types/hash.hpp"
#include "plugins/ipam/dhcp/daemon/log.hpp"

namespace cni::dhcp {
namespace {

v4::Settings settings4(const Flags& flags, const LeaseRequest& request, const Port& port) {
  const std::string name = request.key.to_string();
  Bytes client_id{0};  // type 0: no hardware address (RFC 2132 9.14)
  client_id.insert(client_id.end(), name.begin(), name.end());
  return {.mac = port.mac(),
          .client_id = std::move(client_id),
          .provide = request.provide,
          .request = request.request,
          .broadcast = flags.broadcast || port.shares_mac(),
          .patience = {.first_timeout = flags.timeout,
                       .longest_pause = flags.resendmax,
                       .give_up_after = flags.resendtimeout,
                       .probe_time = flags.probetime}};
}

// Containers that share a MAC address, and so the DUID, differ in the IAID.
std::uint32_t iaid_of(const LeaseKey& key) {
  std::uint32_t out = 0;
  for (const char digit : hashed_name("", key.to_string(), 8)) {
    const int value = digit <= '9' ? digit - '0' : digit - 'a' + 10;
    out = (out << 4) | static_cast<std::uint32_t>(value);
  }
  return out;
}

v6::Settings settings6(const Flags& flags, const LeaseRequest& request, const Port& port) {
  return {.client_id = v6::duid_of(port.mac()),
          .iaid = iaid_of(request.key),
          .give_up_after = flags.resendtimeout};
}

// Whether the interface has to be changed.
bool differ(const Lease4& a, const Lease4& b) {
  return a.address != b.address || a.routers != b.routers || a.routes != b.routes ||
         a.has_classless_routes != b.has_classless_routes;
}

}  // namespace

Session::Session(Shared& shared, LeaseRequest request, const Port& port,
                 std::function<void(Session&)> ended)
    : shared_(shared),
      request_(std::move(request)),
      identity_(port.identity()),
      ended_(std::move(ended)) {
  const auto find_port = [this] { return this->port(); };
  const auto log_line = [this](const std::string& text) { report(text); };
  if (request_.ipv4) {
    ipv4_.emplace(
        shared_.loop, settings4(shared_.flags, request_, port), shared_.random,
        Client4::Owner{
            .port = find_port,
            .granted = [this](const Lease4& lease) { granted4(lease); },
            .lost = [this](const Lease4& lease, const std::string& why) { lost4(lease, why); },
            .gave_up =
                [this](const std::string& why) {
                  gave_up(why, !ipv6_ || ipv6_->is_idle(), [this] { ipv4_->start(); });
                },
            .log = log_line});
  }
  if (request_.ipv6) {
    ipv6_.emplace(
        shared_.loop, settings6(shared_.flags, request_, port), shared_.random,
        Client6::Owner{
            .port = find_port,
            .granted = [this](const Lease6& lease) { granted6(lease); },
            .lost = [this](const Lease6& lease, const std::string& why) { lost6(lease, why); },
            .gave_up =
                [this](const std::string& why) {
                  gave_up(why, !ipv4_ || ipv4_->is_idle(), [this] { ipv6_->start(); });
                },
            .log = log_line});
  }
}

void Session::start() {
  if (ipv4_) ipv4_->start();
  if (ipv6_ && !has_ended_) ipv6_->start();
}

void Session::resume(const Lease& lease) {
  is_established_ = true;
  configured_ = lease;
  is_removed4_ = !lease.ipv4;
  is_removed6_ = !lease.ipv6;
  if (ipv4_ && lease.ipv4) ipv4_->resume(*lease.ipv4);
  if (ipv4_ && !lease.ipv4) ipv4_->start();
  if (has_ended_) return;
  if (ipv6_ && lease.ipv6) ipv6_->resume(*lease.ipv6);
  if (ipv6_ && !lease.ipv6) ipv6_->start();
}

bool Session::is_for(const LeaseRequest& request, const PortIdentity& identity) const {
  LeaseRequest same = request;
  same.netns = request_.netns;
  same.priority = request_.priority;
  return identity.is_same(identity_) && same == request_;
}

void Session::update(const LeaseRequest& request) {
  request_.netns = request.netns;
  request_.priority = request.priority;
}

std::optional<Lease> Session::lease() const {
  Lease out;
  if (ipv4_) out.ipv4 = ipv4_->lease();
  if (ipv6_) out.ipv6 = ipv6_->lease();
  if (request_.ipv4 && (!out.ipv4 || out.ipv4->timing.expires_at <= now())) return std::nullopt;
  if (request_.ipv6 && (!out.ipv6 || out.ipv6->timing.expires_at <= now())) return std::nullopt;
  return out;
}

void Session::wait(ConnectionId id) {
  if (const std::optional<Lease> present = lease()) {
    shared_.answer(id, Answer{.error = std::nullopt, .lease = *present});
    return;
  }
  waiting_.push_back(id);
  if (!is_established_) return;  // the first attempt is limited by itself
  // A lease that was lost is asked for without end; who waits for it is not to wait that long.
  if (ipv4_ && !ipv4_->lease()) ipv4_->start();
  if (ipv6_ && !ipv6_->lease() && !has_ended_) ipv6_->start();
  patience_ = shared_.loop.at(now() + shared_.flags.resendtimeout, [this] {
    answer_all(Answer{.error = Error(Code::kTryAgainLater,
                                     "no more tries: the lease was lost, and there is no new one"),
                      .lease = {}});
  });
}

void Session::forget(ConnectionId id) {
  const auto at = std::find(waiting_.begin(), waiting_.end(), id);
  if (at == waiting_.end()) return;
  waiting_.erase(at);
  if (is_established_ || !waiting_.empty()) return;
  report("nobody waits for the lease any more");
  release();
}

std::optional<Port> Session::port() {
  if (has_ended_) return std::nullopt;
  std::optional<Port> found =
      Port::find(shared_.flags.hostprefix + request_.netns, request_.key.ifname);
  if (found && found->identity().is_same(identity_)) return found;
  if (is_releasing_) return std::nullopt;  // who asked for that knows
  report("the interface is gone, and its lease is no longer kept");
  fail(Error(Code::kInvalidNetns, cat("interface ", request_.key.ifname, " in ", request_.netns,
                                      " went away while a lease was being asked for")));
  return std::nullopt;
}

void Session::granted4(const Lease4& lease) {
  if (has_ended_) return;
  if (is_established_ && (!configured_.ipv4 || is_removed4_ || differ(*configured_.ipv4, lease))) {
    const std::optional<Port> where = port();
    if (!where) return;
    where->replace(configured_.ipv4.value_or(lease), lease, request_.priority);
    report(cat("the address is now ", lease.address.to_string()));
    is_removed4_ = false;
  }
  if (is_established_) configured_.ipv4 = lease;
  progressed();
}

void Session::granted6(const Lease6& lease) {
  if (has_ended_) return;
  const bool is_there = configured_.ipv6 && !is_removed6_;
  if (is_established_ && !(is_there && configured_.ipv6->address == lease.address)) {
    const std::optional<Port> where = port();
    if (!where) return;
    // Without an address to take away the unspecified one stands for it, which no interface has.
    Lease6 before = lease;
    before.address = is_there ? configured_.ipv6->address : Ip::parse("::").value_or(Ip());
    where->replace(before, lease);
    report(cat("the address is now ", lease.address.to_string()));
    is_removed6_ = false;
  }
  if (is_established_) configured_.ipv6 = lease;
  progressed();
}

void Session::progressed() {
  const std::optional<Lease> present = lease();
  if (!present) {
    if (is_established_) save();
    return;
  }
  const bool is_new = !is_established_;
  if (is_new) {
    configured_ = *present;
    is_established_ = true;
  }
  save();
  answer_all(Answer{.error = std::nullopt, .lease = *present, .is_new = is_new});
}

void Session::save() {
  Record record{.request = request_, .lease = {}, .identity = identity_};
  if (ipv4_) record.lease.ipv4 = ipv4_->lease();
  if (ipv6_) record.lease.ipv6 = ipv6_->lease();
  try {
    shared_.state.save(record);
  } catch (const Error& error) {
    // The lease is as good as ever; only another daemon could not go on with it.
    report(
        cat("the lease is not on disk, which is tried again at the next renewal: ", error.what()));
  }
}

void Session::lost4(const Lease4& lease, const std::string& reason) {
  if (has_ended_) return;
  report(cat("lost ", lease.address.to_string(), ": ", reason));
  if (!is_established_) return;
  is_removed4_ = true;
  save();
  // The link stays up: without it no other lease could be had.
  if (const std::optional<Port> where = port()) where->remove_address(lease.address);
}

void Session::lost6(const Lease6& lease, const std::string& reason) {
  if (has_ended_) return;
  report(cat("lost ", lease.address.to_string(), ": ", reason));
  if (!is_established_) return;
  is_removed6_ = true;
  save();
  if (const std::optional<Port> where = port()) where->remove_address(Prefix::host(lease.address));
}

void Session::gave_up(const std::string& reason, bool is_other_idle, std::function<void()> again) {
  if (has_ended_) return;
  report(reason);
  Error error(Code::kTryAgainLater, reason);
  if (!reason.starts_with("no more tries")) error.prepend("no more tries");
  if (!is_established_) {
    give_back();
    fail(error);
    return;
  }
  answer_all(Answer{.error = error, .lease = {}});
  if (!is_other_idle) {
    again_ = shared_.loop.at(now() + shared_.flags.resendmax, std::move(again));
    return;
  }
  // Nothing is left that the interface could be used with.
  if (const std::optional<Port> where = port()) where->set_down();
  if (!has_ended_) end();
}

void Session::give_back() {
  is_releasing_ = true;
  if (ipv4_) ipv4_->release();
  if (ipv6_) ipv6_->release();
}

void Session::release() {
  if (has_ended_) return;
  give_back();
  fail(Error(Code::kTryAgainLater, "the lease was released while it was being asked for"));
}

void Session::answer_all(const Answer& answer) {
  const std::vector<ConnectionId> ids = std::move(waiting_);
  waiting_.clear();
  for (const ConnectionId id : ids) shared_.answer(id, answer);
}

void Session::fail(const Error& error) {
  answer_all(Answer{.error = error, .lease = {}});
  end();
}

void Session::end() {
  if (has_ended_) return;
  has_ended_ = true;
  again_.reset();
  patience_.reset();
  try {
    shared_.state.remove(request_.key);
  } catch (const Error& error) {
    report(error.what());
  }
  ended_(*this);
}

void Session::report(const std::string& text) const { log(request_.key, text); }

}  // namespace cni::dhcp
