// One attachment's leases: those who wait for them, and the interface that has them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "plugins/ipam/dhcp/daemon/client4.hpp"
#include "plugins/ipam/dhcp/daemon/client6.hpp"
#include "plugins/ipam/dhcp/daemon/connection.hpp"
#include "plugins/ipam/dhcp/daemon/flags.hpp"
#include "plugins/ipam/dhcp/daemon/state.hpp"

namespace cni::dhcp {

// What all sessions share; outlives them.
struct Shared {
  Loop& loop;
  const Flags& flags;
  StateFolder& state;
  std::function<std::uint32_t()> random;
  std::function<void(ConnectionId, const Answer&)> answer;
};

// An interface that is gone, or is another one by now, ends the session without a word to servers:
// nobody could send them one.
class Session {
 public:
  // `ended` is called once, when there is nothing left to do; it must not destroy the session while
  // it runs (see Loop::later).
  Session(Shared& shared, LeaseRequest request, const Port& port,
          std::function<void(Session&)> ended);

  // Asks for leases.
  void start();
  // Goes on with leases that an earlier process got, and asks for those that it did not.
  void resume(const Lease& lease);
  // Answers with the leases, at once if all are there.
  void wait(ConnectionId id);
  // The one who waits is gone. A first attempt that nobody waits for any more is ended.
  void forget(ConnectionId id);
  // Gives back what there is, answers those who wait, and ends.
  void release();

  const LeaseKey& key() const { return request_.key; }
  // Whether an attachment that asks now is the one that this is for.
  bool is_for(const LeaseRequest& request, const PortIdentity& identity) const;
  // Takes over what may change without another lease: the namespace's path, the routes' metric.
  void update(const LeaseRequest& request);
  // The leases as they are; absent if one that is asked for is not there, or has expired.
  std::optional<Lease> lease() const;

 private:
  std::optional<Port> port();
  void granted4(const Lease4& lease);
  void granted6(const Lease6& lease);
  void lost4(const Lease4& lease, const std::string& reason);
  void lost6(const Lease6& lease, const std::string& reason);
  void gave_up(const std::string& reason, bool is_other_idle, std::function<void()> again);
  void progressed();
  void save();
  void give_back();
  void answer_all(const Answer& answer);
  void fail(const Error& error);
  void end();
  void report(const std::string& text) const;

  Shared& shared_;
  LeaseRequest request_;
  PortIdentity identity_;
  std::function<void(Session&)> ended_;
  std::vector<ConnectionId> waiting_;
  // Whether ADD has been answered: from then on the interface is the session's to keep right.
  bool is_established_ = false;
  bool is_releasing_ = false;
  bool has_ended_ = false;
  // What the interface has, or had until it was lost.
  Lease configured_;
  bool is_removed4_ = false;
  bool is_removed6_ = false;
  Loop::Timer again_;     // asks again for the one family, while the other has a lease
  Loop::Timer patience_;  // of those who wait for a lease that was lost
  std::optional<Client4> ipv4_;
  std::optional<Client6> ipv6_;
};

}  // namespace cni::dhcp
