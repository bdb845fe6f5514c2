// Those who ask the daemon: reads one request from each connection and writes one answer, without
// ever waiting for any of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "pkg/os/fd.hpp"
#include "plugins/ipam/dhcp/daemon/loop.hpp"
#include "plugins/ipam/dhcp/exchange.hpp"

namespace cni::dhcp {

// Never used twice.
using ConnectionId = std::uint64_t;

// Only root is listened to. What is no request, half of one, or closed or reset in between closes
// that connection and has no other effect; a request that can be framed but not understood is
// answered with an error. Closing the sending side alone counts as having gone away.
class Connections {
 public:
  struct Limits {
    std::size_t most = 4096;  // at a time; the oldest that have not asked yet make way
    Time patience{10'000};    // for a whole request, and for taking the answer
  };
  struct Handlers {
    // May answer at once, or later.
    std::function<void(ConnectionId, Call)> called;
    // It went away before its answer.
    std::function<void(ConnectionId)> gone;
  };

  // `listener` is non-blocking, listens and outlives this.
  Connections(Loop& loop, int listener, Handlers handlers, Limits limits);
  Connections(Loop& loop, int listener, Handlers handlers)
      : Connections(loop, listener, std::move(handlers), Limits()) {}

  // Sends the answer and closes. Does nothing for a connection that is gone.
  void answer(ConnectionId id, const Answer& answer);

  std::size_t size() const { return connections_.size(); }

 private:
  enum class Phase : std::uint8_t { kReading, kCalled, kWriting };
  struct Connection {
    os::Fd socket;
    Phase phase = Phase::kReading;
    std::string text;      // what has come so far, or what is to be sent
    std::size_t sent = 0;  // of text
    Loop::Watch watch;     // after the socket, so that it ends first
    Loop::Timer deadline;
  };
  enum class Progress : std::uint8_t { kWhole, kPart, kBroken };

  void accept();
  bool accept_one();
  void admit(os::Fd socket);
  // Closes the oldest that has not sent its request yet; false without one.
  bool drop_oldest();
  void pause();
  void ready(ConnectionId id, std::uint32_t events);
  static Progress read(Connection& connection);
  void call(ConnectionId id, Connection& connection);
  void write(ConnectionId id, Connection& connection);
  void close(ConnectionId id);

  Loop& loop_;
  int listener_;
  Handlers handlers_;
  Limits limits_;
  ConnectionId last_id_ = 0;
  std::map<ConnectionId, Connection> connections_;
  std::set<ConnectionId> reading_;  // the oldest first
  Loop::Watch watch_;
  Loop::Timer resume_;
};

}  // namespace cni::dhcp
