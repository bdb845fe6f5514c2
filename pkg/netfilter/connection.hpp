// A netlink connection to netfilter that outlives the operations done over it.
#pragma once

#include <optional>

#include "pkg/netlink/socket.hpp"

namespace cni::netfilter {

// Opened in the calling thread's network namespace when it is first needed.
class Connection {
 public:
  // Null if this kernel has no nf_tables. Throws if it has, but it cannot be used.
  netlink::Socket* find();
  // Throws if this kernel has no nf_tables.
  netlink::Socket& get();

 private:
  std::optional<netlink::Socket> socket_;
  bool is_absent_ = false;
};

}  // namespace cni::netfilter
