// All attachments that have leases, or ask for them, and what can be asked about them.
#pragma once

#include <map>
#include <memory>

#include "plugins/ipam/dhcp/daemon/session.hpp"

namespace cni::dhcp {

class Sessions {
 public:
  explicit Sessions(Shared& shared) : shared_(shared) {}

  // Goes on with the leases on disk whose interfaces are still there, and forgets the others.
  void resume();
  // Answers by Shared::answer, now or later. Throws what the answer is to be otherwise.
  void called(ConnectionId id, const Call& call);
  void gone(ConnectionId id);

  std::size_t size() const { return sessions_.size(); }

 private:
  void resume_one(const Record& record);
  void allocate(ConnectionId id, const LeaseRequest& request);
  Answer look(const LeaseKey& key) const;
  void release(const LeaseKey& key);
  void collect(const Call& call);
  Session& make(const LeaseRequest& request, const Port& port);
  void ended(Session& session);

  Shared& shared_;
  std::map<LeaseKey, std::unique_ptr<Session>> sessions_;
};

}  // namespace cni::dhcp
