// A netlink connection to netfilter that outlives the operations done over it.
#pragma once

#include <optional>

#include "pkg/netlink/socket.hpp"

namespace cni::netfilter {

// Opened in the calling thread's network namespace when it is first needed. To close one takes the
// kernel some 5 to 15 ms if rules or elements were deleted in the namespace just before: it frees
// them first, which has to wait for all CPUs (an RCU grace period). So a DEL that has other work to
// do keeps its connection open meanwhile, and closes it last.
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
