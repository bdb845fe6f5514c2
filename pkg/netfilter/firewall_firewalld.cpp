#include <chrono>
#include <optional>

#include "pkg/dbus/connection.hpp"
#include "pkg/netfilter/firewall_backends.hpp"
#include "pkg/types/error.hpp"

namespace cni::netfilter {
namespace {

constexpr std::string_view kName = "org.fedoraproject.FirewallD1";
constexpr std::string_view kPath = "/org/fedoraproject/FirewallD1";
constexpr std::string_view kZoneInterface = "org.fedoraproject.FirewallD1.zone";
// firewalld changes the kernel's rules before it answers, and reads all of them when it reloads.
constexpr std::chrono::seconds kDeadline{10};

// Absent without a bus that somebody serves.
std::optional<dbus::Connection> connect(std::string_view bus_address) {
  return dbus::Connection::open(bus_address.empty() ? dbus::kSystemBus : bus_address,
                                std::chrono::steady_clock::now() + kDeadline);
}

// Absent unless firewalld has its name on the bus.
std::optional<dbus::Connection> connect_to_firewalld(std::string_view bus_address) {
  auto bus = connect(bus_address);
  if (bus && !bus->has_owner(kName)) bus.reset();
  return bus;
}

dbus::Message call(dbus::Connection& bus, std::string_view method, std::string_view zone,
                   const Ip& address) {
  return bus.call({.destination = std::string(kName),
                   .path = std::string(kPath),
                   .interface = std::string(kZoneInterface),
                   .member = std::string(method),
                   .arguments = {std::string(zone), Prefix::host(address).to_string()}});
}

bool is_error(const dbus::Message& answer) { return answer.type == dbus::Message::Type::kError; }

// firewalld's own errors begin with their name: "UNKNOWN_SOURCE: ...".
bool is_error(const dbus::Message& answer, std::string_view name) {
  return is_error(answer) && answer.text.value_or("").find(name) != std::string::npos;
}

// It left the bus between our question and the call.
bool is_gone(const dbus::Message& answer) {
  return answer.error_name == "org.freedesktop.DBus.Error.ServiceUnknown" ||
         answer.error_name == "org.freedesktop.DBus.Error.NameHasNoOwner" ||
         answer.error_name == "org.freedesktop.DBus.Error.NoReply";
}

std::string reason(const dbus::Message& answer) {
  const std::string text = answer.text.value_or("");
  return text.empty() ? answer.error_name : text;
}

Error not_running() {
  return {Code::kDelegateFailed,
          "firewalld does not run (nobody has the name org.fedoraproject.FirewallD1 on the "
          "system's message bus): start it, or choose another backend"};
}

}  // namespace

bool FirewalldFirewall::is_running(const FirewallSpec& spec) {
  try {
    return connect_to_firewalld(spec.bus_address).has_value();
  } catch (const Error&) {
    return false;  // a bus that cannot be asked has no firewalld for us
  }
}

void FirewalldFirewall::add(const FirewallSpec& spec) {
  auto bus = connect_to_firewalld(spec.bus_address);
  if (!bus) throw not_running();
  for (const Ip& address : spec.addresses) {
    const dbus::Message answer = call(*bus, "addSource", spec.zone, address);
    if (!is_error(answer) || is_error(answer, "ZONE_ALREADY_SET")) continue;
    throw Error(Code::kDelegateFailed,
                cat("failed to add the address ", Prefix::host(address).to_string(), " to ",
                    spec.zone, " zone: ", reason(answer)));
  }
}

void FirewalldFirewall::remove(std::string_view bus_address, std::string_view zone,
                               std::span<const Ip> addresses) {
  if (addresses.empty() || zone.empty()) return;
  auto bus = connect_to_firewalld(bus_address);
  if (!bus) return;
  ErrorList errors;
  for (const Ip& address : addresses) {
    errors.run([&] {
      const dbus::Message answer = call(*bus, "removeSource", zone, address);
      const bool is_absent =
          is_error(answer, "UNKNOWN_SOURCE") || is_error(answer, "INVALID_ZONE") || is_gone(answer);
      if (!is_error(answer) || is_absent) return;
      throw Error(Code::kDelegateFailed,
                  cat("failed to remove the address ", Prefix::host(address).to_string(), " from ",
                      zone, " zone: ", reason(answer)));
    });
  }
  errors.throw_if_any();
}

void FirewalldFirewall::check(const FirewallSpec& spec) {
  auto bus = connect_to_firewalld(spec.bus_address);
  if (!bus) throw Error(Code::kCheckFailed, not_running().msg);
  for (const Ip& address : spec.addresses) {
    const dbus::Message answer = call(*bus, "querySource", spec.zone, address);
    const std::string what =
        cat("the address ", Prefix::host(address).to_string(), " in ", spec.zone, " zone");
    if (is_error(answer)) {
      throw Error(Code::kCheckFailed, cat("failed to find ", what, ": ", reason(answer)));
    }
    if (answer.flag.value_or(false)) continue;
    throw Error(Code::kCheckFailed, cat("failed to find ", what,
                                        " of firewalld, which has been reloaded since ADD, or "
                                        "somebody removed it"));
  }
}

}  // namespace cni::netfilter
