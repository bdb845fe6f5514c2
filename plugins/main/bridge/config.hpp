// The configuration of the bridge plugin.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pkg/skel/request.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/schema.hpp"

namespace cni::bridge {

struct Config {
  std::string bridge = "cni0";
  bool is_gateway = false;
  bool is_default_gateway = false;
  bool force_address = false;
  bool ip_masq = false;
  std::string ip_masq_backend;  // empty: chosen by what the host has
  std::uint32_t mtu = 0;        // 0: the kernel's default
  bool hairpin_mode = false;
  bool promisc_mode = false;
  bool mac_spoof_check = false;
  bool enable_dad = false;
  bool disable_container_interface = false;
  bool port_isolation = false;
  int vlan = 0;
  std::vector<Reader> vlan_trunk;
  bool preserve_default_vlan = false;
  Mac mac;  // of the container's interface; empty: the kernel chooses
};

extern const schema::Description kDescription;

// Reads and validates everything, CNI_ARGS and runtimeConfig included. Throws before anything was
// touched.
Config parse(const skel::Request& request);

}  // namespace cni::bridge
