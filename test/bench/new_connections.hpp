// A client and a server at either end of a node that publishes ports.
#pragma once

#include <cstdint>

#include "pkg/os/fd.hpp"
#include "test/bench/node.hpp"
#include "test/bench/process.hpp"

namespace bench {

// The node's container as a server, at 10.93.0.2, and a client beyond the node, at 10.94.0.2. The
// host is 10.93.0.1 to one, 10.94.0.1 to the other, and forwards.
class ClientAndServer {
 public:
  // The server accepts connections to that port. At most once for each node.
  ClientAndServer(const Node& node, std::uint16_t container_port);

  // How long connect() to that port of the host takes the client. Throws if the connection has not
  // arrived at the server.
  Duration connect(std::uint16_t host_port) const;

 private:
  Namespace client_;
  cni::os::Fd listener_;
};

}  // namespace bench
