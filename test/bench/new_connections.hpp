// A client and a server at either end of a node that publishes ports or masquerades.
#pragma once

#include <netinet/in.h>

#include <cstdint>

#include "pkg/os/fd.hpp"
#include "test/bench/node.hpp"
#include "test/bench/process.hpp"

namespace bench {

// 200 in the usual 25 rounds: one takes so little that a hiccup is longer.
inline constexpr unsigned kConnectionsInRound = 8;

// The node's container, at 10.93.0.2, and a host beyond the node, at 10.94.0.2. The node is
// 10.93.0.1 to one, 10.94.0.1 to the other, and forwards.
class ClientAndServer {
 public:
  enum class Server { kContainer, kBeyond };

  // The server accepts connections to that port; the other end is the client. At most once for each
  // node, which has to outlive it.
  ClientAndServer(const Node& node, Server server, std::uint16_t server_port);

  // How long connect() takes the client: to that port of the node, or of the server beyond it.
  // Throws if the connection has not arrived at the server, or arrived beyond the node with the
  // container's own address.
  Duration connect(std::uint16_t port) const;

 private:
  bool is_published() const { return server_ == Server::kContainer; }
  void check_source(const sockaddr_in& peer) const;

  const Node& node_;
  Server server_;
  Namespace beyond_;
  cni::os::Fd listener_;
};

}  // namespace bench
