#include "pkg/netfilter/connection.hpp"

#include <cerrno>

#include "pkg/netfilter/nft.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter {

netlink::Socket* Connection::find() {
  if (socket_) return &*socket_;
  if (is_absent_) return nullptr;
  try {
    netlink::Socket socket = netlink::Socket::open(netlink::Protocol::kNetfilter);
    (void)nft_table_exists(socket, {NftFamily::kInet, "cni_plugins_probe"});
    socket_.emplace(std::move(socket));
    return &*socket_;
  } catch (const Error& error) {
    // EINVAL: netfilter's netlink is there, nf_tables is not.
    if (error.sys_errno != EINVAL && error.sys_errno != EOPNOTSUPP &&
        error.sys_errno != EPROTONOSUPPORT && error.sys_errno != ENOPROTOOPT) {
      throw;
    }
    is_absent_ = true;
    return nullptr;
  }
}

netlink::Socket& Connection::get() {
  if (netlink::Socket* socket = find()) return *socket;
  throw Error(Code::kMissingKernelFeature,
              "this kernel has no nf_tables (CONFIG_NF_TABLES, module nf_tables)");
}

}  // namespace cni::netfilter
