// A hash table of fixed-size slots (open addressing, linear probing) that lives in memory or in a
// region of a file. In a file only the pages that an operation touches are read, and only the slots
// that it changes are written: its cost does not grow with the number of entries. Plain reads and
// writes rather than a mapping, so that a full disk or a bad block is an error and no signal.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "pkg/types/address.hpp"

namespace cni::host_local {

struct Slot {
  std::array<std::uint8_t, 16> address{};  // IPv4 uses the first four
  std::uint64_t value = 0;
  std::uint32_t home = 0;   // low bits of the hash of the key
  std::uint8_t octets = 0;  // of the address: 4 or 16; 0: the slot is free
  std::array<std::uint8_t, 3> unused{};

  bool used() const { return octets != 0; }
  bool is(const Ip& ip) const;
  // Throws Code::kIoFailure for an address that is none: the table is damaged.
  Ip ip() const;
};
static_assert(sizeof(Slot) == 32);

Slot make_slot(const Ip& ip, std::uint64_t value, std::uint64_t hash);

class SlotTable {
 public:
  // Empty, in memory. The capacity is a power of two, at least kPageSlots.
  explicit SlotTable(std::uint64_t capacity);
  // In a file from `offset` on. The descriptor has to outlive the table.
  SlotTable(int fd, std::uint64_t offset, std::uint64_t capacity, std::uint64_t size);

  static constexpr std::uint64_t kPageSlots = 128;
  // The smallest capacity that `size` entries fill to half or less.
  static std::uint64_t capacity_for(std::uint64_t size);

  std::uint64_t capacity() const { return capacity_; }
  std::uint64_t size() const { return size_; }
  std::uint64_t bytes() const { return capacity_ * sizeof(Slot); }
  // True if one more entry would fill more than so many eighths of the table.
  bool is_crowded(unsigned eighths) const { return (size_ + 1) * 8 > capacity_ * eighths; }

  Slot at(std::uint64_t index);
  void put(std::uint64_t index, const Slot& slot);

  // Calls visit(index, slot) for each entry that may have this hash, until it returns false.
  template <class Visit>
  void probe(std::uint64_t hash, Visit visit) {
    std::uint64_t index = hash & mask();
    for (std::uint64_t steps = 0; steps < capacity_; ++steps, index = (index + 1) & mask()) {
      const Slot slot = at(index);
      if (!slot.used() || !visit(index, slot)) return;
    }
  }
  // Calls visit(slot) for every entry.
  template <class Visit>
  void each(Visit visit) {
    for (std::uint64_t index = 0; index < capacity_; ++index) {
      const Slot slot = at(index);
      if (slot.used()) visit(slot);
    }
  }
  void insert(const Slot& slot);
  void erase(std::uint64_t index);

  // The whole table to a file. Only for tables in memory.
  void write_to(int fd, std::uint64_t offset) const;

 private:
  std::uint64_t mask() const { return capacity_ - 1; }
  // The page in memory, read if it is not there yet.
  Slot* page_at(std::uint64_t page);

  // What a walk over neighbouring blocks goes to and fro between.
  static constexpr std::uint64_t kCachedPages = 4;
  struct CachedPage {
    std::uint64_t number = 0;
    bool valid = false;
    std::array<Slot, kPageSlots> slots{};
  };

  std::vector<Slot> memory_;  // empty for a table in a file
  int fd_ = -1;
  std::uint64_t offset_ = 0;
  std::uint64_t capacity_ = 0;
  std::uint64_t size_ = 0;
  std::array<std::unique_ptr<CachedPage>, kCachedPages> cache_;
};

}  // namespace cni::host_local
