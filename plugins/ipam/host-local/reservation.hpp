// The reservation files of a network: one for each address, shared with every other program that
// keeps to their format.
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/types/address.hpp"

namespace cni::host_local {

// Whom an address is reserved for.
struct Owner {
  std::string container_id;
  std::string ifname;

  // What a reservation file holds.
  std::string text() const { return container_id + "\r\n" + ifname; }
};

struct Reservation {
  Ip ip;
  // The file's content without surrounding white space: an owner's text, a container id alone
  // (written by releases before 0.8), or whatever an administrator wrote. Absent if the file could
  // not be read.
  std::optional<std::string> content;
  std::time_t since = 0;

  // True for an empty file and one of NULs or white space only: what a crash in the middle of
  // writing leaves. It reserves nothing.
  bool is_torn() const { return content && content->empty(); }
  // The container and interface of the content; absent if it is neither of the two forms. The
  // interface may be empty.
  std::optional<Owner> owner() const;
  // `container x interface y since TIME`
  std::string describe() const;
};

// The address that a file of that name reserves; absent for other files.
std::optional<Ip> reserved_by_name(std::string_view name);

// One reservation by its address; absent if there is no such file. `folder` is a descriptor.
std::optional<Reservation> read_reservation(int folder, const Ip& ip);

// Every reservation of the folder, by reading every file. Temporary files of interrupted writes are
// removed; the caller has the lock.
std::vector<Reservation> scan_reservations(int folder, const std::string& path);

}  // namespace cni::host_local
