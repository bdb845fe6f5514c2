// The configuration of the bridge plugin.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pkg/netlink/bridge_vlan.hpp"
#include "pkg/skel/request.hpp"
#include "pkg/types/address.hpp"
#include "pkg/types/schema.hpp"

namespace cni::bridge {

// An element of vlanTrunk: a range, one VLAN, or both.
struct TrunkElement {
  std::optional<int> min_id;
  std::optional<int> max_id;
  std::optional<int> id;
};

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
  int vlan = 0;                           // of untagged frames; 0: none given
  std::vector<TrunkElement> vlan_trunk;   // as configured
  std::vector<netlink::VlanRange> trunk;  // the same VLANs: ascending, none twice, all tagged
  bool preserve_default_vlan = false;
  Mac mac;  // of the container's interface; empty: the kernel chooses

  bool uses_vlans() const { return vlan != 0 || !trunk.empty(); }
  bool has_vlan_gateway() const { return is_gateway && vlan != 0; }
};

extern const schema::Description kDescription;

// Reads and validates everything, CNI_ARGS and runtimeConfig included. Throws before anything was
// touched.
Config parse(const skel::Request& request);

// For DEL and GC: each key that can be read and is valid; the others have their defaults. Throws
// nothing.
Config parse_what_is_valid(const skel::Request& request);

// The interface by which the host takes part in a VLAN of a bridge: "cni0.100".
std::string gateway_name(std::string_view bridge, int vlan);

}  // namespace cni::bridge
