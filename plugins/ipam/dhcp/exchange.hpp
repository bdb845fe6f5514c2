// What plugin and daemon say to each other (docs/dhcp.md): one request and one answer on each
// connection, each a JSON object behind its length in four octets, most significant first.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/types/config.hpp"
#include "pkg/types/error.hpp"
#include "plugins/ipam/dhcp/lease.hpp"

namespace cni::dhcp {

// A daemon answers requests of any version up to its own, and refuses others naming both.
inline constexpr int kExchangeVersion = 1;
// The longest message, without its length.
inline constexpr std::size_t kLongestMessage = 1024 * 1024;

enum class Verb : std::uint8_t {
  kAllocate,  // ADD: the lease, once there is one
  kLook,      // CHECK: the lease as it is; never asks a server
  kRelease,   // DEL: success also if there is none
  kStatus,    // answers at once
  kCollect,   // GC: releases the network's leases whose attachment is not in `valid`
};

struct Call {
  Verb verb = Verb::kStatus;
  LeaseRequest lease;             // kAllocate; of the others only its key
  std::vector<Attachment> valid;  // kCollect
};

struct Answer {
  std::optional<Error> error;
  Lease lease;          // of kAllocate and kLook
  bool is_new = false;  // of kAllocate: there was none before this call
};

std::string to_text(const Call& call);
std::string to_text(const Answer& answer);
// Throw Code::kDecodingFailure for anything that is not one.
Call read_call(std::string_view text);
Answer read_answer(std::string_view text);

// The four octets before a message.
std::string length_prefix(std::size_t size);
// The size that four octets say. Throws Code::kDecodingFailure for 0 and for more than
// kLongestMessage.
std::size_t read_length_prefix(std::string_view octets);

}  // namespace cni::dhcp
