// Whose a rule or an element is, as its comment says.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/types/config.hpp"

namespace cni::netfilter {

// One attachment of a container to a network.
struct Owner {
  std::string network;
  std::string container_id;
  std::string ifname;

  // "container C (network N, eth0)", for messages.
  std::string to_string() const;
};

// What the comment of everything begins with that belongs to the attachment; unlike the names in
// the comment, never cut.
std::string owner_id(const Owner& owner);

// The same digest as the key of an element: 16 octets. Takes an owner's id.
std::string owner_key(std::string_view id);

// "ID, net: N, if: I, id: C", cut at the 128 octets that nft prints and reads. Without double
// quotes, which nft could not read back.
std::string owner_comment(const Owner& owner);

// Whether a comment is of that attachment.
bool is_owned_by(std::string_view comment, const Owner& owner);

// A comment in the words of Owner::to_string, as far as it can be told; else the comment in quotes.
std::string describe_owner(std::string_view comment);

// Tells which comments of a network are of attachments that are gone.
class StaleOwners {
 public:
  StaleOwners(std::string_view network, std::span<const Attachment> valid);
  // True for a comment of the network, of an attachment that is not valid.
  bool operator()(std::string_view comment) const;

 private:
  std::string prefix_;
  std::vector<std::string> kept_;  // sorted
};

}  // namespace cni::netfilter
