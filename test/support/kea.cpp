#include "test/support/kea.hpp"

#include <signal.h>
#include <time.h>

#include "pkg/types/error.hpp"
#include "test/support/catch.hpp"
#include "test/support/ip_json.hpp"
#include "test/support/netns_fixture.hpp"

namespace cni::test {
namespace {

std::string program_of(Kea::Family family) {
  return family == Kea::Family::kIpv4 ? "kea-dhcp4" : "kea-dhcp6";
}

}  // namespace

Kea::Kea(Family family, std::string link, const json& config)
    : family_(family), link_(std::move(link)) {
  (void)require_program(program_of(family_));
  write_config(config);
  start();
}

void Kea::write_config(const json& config) {
  json all = config;
  all["interfaces-config"] = {{"interfaces", {link_}}};
  // The clean-up of its file would be a process of its own.
  all["lease-database"] = {
      {"type", "memfile"}, {"persist", true}, {"name", folder_ / "leases"}, {"lfc-interval", 0}};
  if (family_ == Family::kIpv6) {
    // Or it keeps one in a folder that there need not be.
    all["server-id"] = {{"type", "EN"}, {"identifier", "0102030405060708"}, {"persist", false}};
  }
  const char* key = family_ == Family::kIpv4 ? "Dhcp4" : "Dhcp6";
  write_file(folder_ / "config", json{{key, std::move(all)}}.dump(2));
}

void Kea::kill() {
  if (program_) program_->end(SIGKILL);
  program_.reset();
}

void Kea::start() {
  kill();
  // The kernel says up to a second late that a link has a carrier, and Kea looks once.
  await_text(
      [this] {
        const auto link = find_link_json("", link_);
        return link ? link->at("operstate").get<std::string>() : std::string();
      },
      "UP");
  const std::string& here = folder_.path();
  // Newer versions take a lease file only from the folder that the third names.
  program_ = std::make_unique<BackgroundProgram>(
      std::vector<std::string>{require_program("env"), cat("KEA_PIDFILE_DIR=", here),
                               cat("KEA_LOCKFILE_DIR=", here), cat("KEA_DHCP_DATA_DIR=", here),
                               require_program(program_of(family_)), "-c", folder_ / "config"},
      folder_ / "log");
  await_text([this] { return log(); },
             family_ == Family::kIpv4 ? "DHCP4_STARTED" : "DHCP6_STARTED");
  const std::string started = log();
  INFO(started);
  REQUIRE(started.find("OPEN_SOCKET_FAIL") == std::string::npos);
}

void Kea::start_anew(const json& config, const std::string& taken) {
  kill();
  std::string leases;
  if (!taken.empty()) {
    leases = cat(
        "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,"
        "user_context\n",
        taken, ",02:00:00:00:00:77,,3600,", ::time(nullptr) + 3600, ",1,0,0,,0,\n");
  }
  write_file(folder_ / "leases", leases);
  write_config(config);
  start();
}

std::string Kea::log() const { return program_ ? program_->output() : std::string(); }

}  // namespace cni::test
