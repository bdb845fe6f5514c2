// The DHCP servers of ISC's Kea, which grant leases of seconds.
#pragma once

#include <memory>
#include <string>

#include "test/support/dhcp_server.hpp"
#include "test/support/json.hpp"

namespace cni::test {

// kea-dhcp4 or kea-dhcp6 on one link of the namespace that the thread is in. Skips the case if it
// is not installed. The link has to be up and to have a carrier; its IPv4 address is what the
// server is known by.
class Kea {
 public:
  enum class Family { kIpv4, kIpv6 };

  // `config`: what Dhcp4 or Dhcp6 has besides interfaces and database (subnets, times).
  Kea(Family family, std::string link, const json& config);

  // Ends it without a word to anybody.
  void kill();
  // Starts it again on the leases that it had.
  void start();
  // The same with another configuration, and without leases but one: another host's of the IPv4
  // address `taken`.
  void start_anew(const json& config, const std::string& taken = {});

  // What it has logged since it was started, a line for each event: DHCP4_LEASE_ALLOC and others.
  std::string log() const;

 private:
  void write_config(const json& config);

  TemporaryFolder folder_;
  Family family_;
  std::string link_;
  std::unique_ptr<BackgroundProgram> program_;
};

}  // namespace cni::test
