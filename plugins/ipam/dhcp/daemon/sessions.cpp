#include "plugins/ipam/dhcp/daemon/sessions.hpp"

#include <vector>

#include "pkg/types/error.hpp"
#include "plugins/ipam/dhcp/daemon/log.hpp"

namespace cni::dhcp {

Session& Sessions::make(const LeaseRequest& request, const Port& port) {
  auto session =
      std::make_unique<Session>(shared_, request, port, [this](Session& which) { ended(which); });
  return *(sessions_[request.key] = std::move(session));
}

void Sessions::ended(Session& session) {
  const auto at = sessions_.find(session.key());
  if (at == sessions_.end() || at->second.get() != &session) return;
  // It is one of the session's own functions that called this.
  std::shared_ptr<Session> kept = std::move(at->second);
  sessions_.erase(at);
  shared_.loop.later([kept]() mutable { kept.reset(); });
}

void Sessions::resume() {
  const StateFolder::Found found = shared_.state.load();
  for (const std::string& warning : found.warnings) log(warning);
  for (const Record& record : found.records) {
    try {
      resume_one(record);
    } catch (const Error& error) {
      log(record.request.key, error.what());
    }
  }
}

void Sessions::resume_one(const Record& record) {
  const LeaseRequest& request = record.request;
  const std::optional<Port> port =
      Port::find(shared_.flags.hostprefix + request.netns, request.key.ifname);
  if (!port || !port->identity().is_same(record.identity)) {
    log(request.key, "the interface is gone, and its lease is no longer kept");
    shared_.state.remove(request.key);
    return;
  }
  log(request.key, "goes on with the lease of an earlier daemon");
  make(request, *port).resume(record.lease);
}

void Sessions::called(ConnectionId id, const Call& call) {
  Answer done;
  switch (call.verb) {
    case Verb::kAllocate:
      allocate(id, call.lease);
      return;
    case Verb::kLook:
      done = look(call.lease.key);
      break;
    case Verb::kRelease:
      release(call.lease.key);
      break;
    case Verb::kCollect:
      collect(call);
      break;
    case Verb::kStatus:
      break;
  }
  shared_.answer(id, done);
}

void Sessions::gone(ConnectionId id) {
  // Few sessions have anybody who waits, and a session may end by this.
  std::vector<Session*> all;
  all.reserve(sessions_.size());
  for (const auto& [key, session] : sessions_) all.push_back(session.get());
  for (Session* session : all) session->forget(id);
}

void Sessions::allocate(ConnectionId id, const LeaseRequest& request) {
  const Port port = Port::open(shared_.flags.hostprefix + request.netns, request.key.ifname);
  if (const auto at = sessions_.find(request.key); at != sessions_.end()) {
    if (at->second->is_for(request, port.identity())) {
      at->second->update(request);
      at->second->wait(id);
      return;
    }
    // The container was made anew, or wants something else.
    at->second->release();
  }
  port.set_up();
  Session& session = make(request, port);
  session.wait(id);
  session.start();
}

Answer Sessions::look(const LeaseKey& key) const {
  const auto at = sessions_.find(key);
  const std::optional<Lease> lease = at == sessions_.end() ? std::nullopt : at->second->lease();
  if (lease) return Answer{.error = std::nullopt, .lease = *lease};
  throw Error(Code::kCheckFailed,
              cat("there is no lease of container ", key.container_id, " network ", key.network,
                  " ifname ", key.ifname, ", or it has expired: DEL and ADD get a new one"));
}

void Sessions::release(const LeaseKey& key) {
  const auto at = sessions_.find(key);
  if (at == sessions_.end()) {
    shared_.state.remove(key);  // what could not be removed when its session ended
    return;
  }
  at->second->release();
}

void Sessions::collect(const Call& call) {
  std::vector<Session*> stale;
  for (const auto& [key, session] : sessions_) {
    if (key.network != call.lease.key.network) continue;
    if (!is_valid_attachment(call.valid, key.container_id, key.ifname)) {
      stale.push_back(session.get());
    }
  }
  ErrorList errors;
  for (Session* session : stale) {
    errors.run([&] { context(session->key().to_string(), [&] { session->release(); }); });
  }
  errors.throw_if_any();
}

}  // namespace cni::dhcp
