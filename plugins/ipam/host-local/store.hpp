// The reservations of one network, under the lock that every program which shares them takes.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pkg/os/fd.hpp"
#include "pkg/os/lock.hpp"
#include "pkg/types/address.hpp"
#include "plugins/ipam/host-local/config.hpp"
#include "plugins/ipam/host-local/index.hpp"
#include "plugins/ipam/host-local/reservation.hpp"

namespace cni::host_local {

// Holds the lock from construction to destruction, so that what was looked up still holds when it
// is acted on.
class Store {
 public:
  // Makes the network's folder if it is not there. Throws Code::kIoFailure.
  static Store create(const Location& location);
  // Absent if the network has no folder, and so no reservations. Repeatable.
  static std::optional<Store> open(const Location& location);

  // The addresses of an owner. If there are none, those that a release before 0.8 noted for the
  // container without interface.
  std::vector<Ip> held_by(const Owner& owner);
  std::optional<Reservation> find(const Ip& ip) { return read_reservation(folder_->get(), ip); }
  // The first address of the interval that is not reserved.
  std::optional<Ip> next_free(const Ip& first, const Ip& last);
  // Reads all reservations again unless they are known for certain. Returns false if they were.
  bool make_certain();

  // False if the address is reserved. A torn file in its place is replaced.
  bool reserve(const Ip& ip, const Owner& owner);
  // Removes all reservations of the owner. Goes on after a failure and throws at the end.
  void release(const Owner& owner);
  // Removes one reservation if the owner has it.
  void release(const Ip& ip, const Owner& owner);
  // Removes the reservations of all owners but the valid ones, and torn files. What is no
  // container's, such as an administrator's note, stays. Goes on after a failure and throws at the
  // end.
  void release_all_but(const std::vector<Attachment>& valid);

  // Where round robin goes on in a range set; absent if nothing sensible is noted.
  std::optional<Ip> last_reserved(std::size_t range_set) const;
  void set_last_reserved(std::size_t range_set, const Ip& ip);

 private:
  Store(const Location& location, os::Fd folder, std::optional<os::FileLock> lock);

  std::string path_of(const Ip& ip) const;
  std::optional<std::vector<Ip>> find_owned(const std::string& text);
  std::vector<Ip> owned_by(const std::string& text);
  // Runs fn; on a full disk once more after the index has made room.
  template <class Fn>
  auto with_room(Fn fn);
  void remove(const Ip& ip, const std::string& text);
  void remove_torn(const Ip& ip);

  Location location_;
  // Destroyed in reverse: the index is stored while the lock is held. On the heap, so that a Store
  // can be moved.
  std::unique_ptr<os::Fd> folder_;
  std::optional<os::FileLock>
      lock_;  // absent where the file system is read-only and has none: nobody can change anything
  std::unique_ptr<Index> index_;
};

// Throws Code::kIoFailure if reservations cannot be written. Changes nothing, and makes no folder.
void check_writable(const Location& location);

}  // namespace cni::host_local
