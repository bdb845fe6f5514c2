// What a network's reservation files say, in a form that answers without reading them: which
// addresses an owner has, and which address is the next free one.
//
// The files are the truth; the index is a file beside the folder that may be thrown away at any
// time. It is valid only for one state of the folder. After our last change under the lock the
// folder's modification time is set to a random moment of the last seconds, and that seal is noted
// in the index. Whoever creates or removes a file in the folder breaks the seal, ourselves
// included: a process that is killed in between leaves a broken one. With a broken seal, after a
// reboot (which may have lost pages of either) and in any doubt the index is made anew from all
// files. Where it cannot be stored, it lives in memory for one call.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/os/fd.hpp"
#include "pkg/types/address.hpp"
#include "plugins/ipam/host-local/config.hpp"
#include "plugins/ipam/host-local/slot_table.hpp"

namespace cni::host_local {

// Where the index of a network is: beside its folder, which the reference searches as a whole. No
// network's name starts with a dot.
std::string index_path(const Location& location);

class Index {
 public:
  // `folder` is a descriptor of the network's folder and has to outlive the index, as has the lock
  // that the caller holds.
  Index(Location location, int folder);
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;
  // Seals the folder and stores the index.
  ~Index();

  // The addresses whose file holds this text, in no order.
  std::vector<Ip> owned_by(std::string_view text);
  bool holds(const Ip& ip);
  // The first address of the interval that is not held.
  std::optional<Ip> next_free(const Ip& first, const Ip& last);

  // To be called after the file was created or removed.
  void add(const Ip& ip, std::string_view text);
  void remove(const Ip& ip, std::string_view text);

  // To be called after any other change of the folder.
  void note_other_change() { changed_ = true; }

  // Removes the stored index, to make room on a full disk. False if there is none.
  bool give_up_storage();

  // Reads all files again.
  void rebuild();
  // True if all files were read and nothing was noted since: then it cannot have missed anything.
  bool is_exact() const { return exact_; }

 private:
  struct Header;

  bool open_stored();
  std::uint64_t owner_hash(std::string_view text) const;
  std::uint64_t block_hash(const Ip& block) const;
  std::uint64_t held_in_block(const Ip& block);
  void change_block(const Ip& ip, bool held);
  void insert(const Ip& ip, std::string_view text);
  bool is_crowded() const;
  void move_to_memory();
  bool store();
  bool seal();
  bool write_header(const struct stat& folder_status);
  // Runs a query or change; if the stored index fails, the files are read and `again` is run, if
  // any.
  template <class Fn>
  auto guarded(Fn fn);

  Location location_;
  int folder_;
  std::string boot_id_;
  std::uint64_t seed_ = 0;
  os::Fd file_;                      // of a stored index that is in use
  std::optional<SlotTable> owners_;  // owner -> address
  std::optional<SlotTable> blocks_;  // 64 addresses -> which of them are held
  bool storable_ = true;
  bool changed_ = false;
  bool exact_ = false;
};

}  // namespace cni::host_local
