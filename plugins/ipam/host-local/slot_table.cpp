#include "plugins/ipam/host-local/slot_table.hpp"

#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <optional>

#include "pkg/types/error.hpp"

namespace cni::host_local {
namespace {

Error damaged() { return Error(Code::kIoFailure, "the index of reservations is damaged"); }

void read_at(int fd, void* out, std::size_t size, std::uint64_t offset) {
  auto* bytes = static_cast<char*>(out);
  while (size > 0) {
    const ssize_t got = ::pread(fd, bytes, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw system_error("read the index of reservations", errno, Code::kIoFailure);
    if (got == 0) throw damaged();
    bytes += got;
    offset += static_cast<std::uint64_t>(got);
    size -= static_cast<std::size_t>(got);
  }
}

void write_at(int fd, const void* data, std::size_t size, std::uint64_t offset) {
  const auto* bytes = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t put = ::pwrite(fd, bytes, size, static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) throw system_error("write the index of reservations", errno, Code::kIoFailure);
    bytes += put;
    offset += static_cast<std::uint64_t>(put);
    size -= static_cast<std::size_t>(put);
  }
}

}  // namespace

bool Slot::is(const Ip& other) const {
  return octets == other.size() && std::memcmp(address.data(), other.data(), other.size()) == 0;
}

Ip Slot::ip() const {
  const auto out = Ip::from_bytes(address.data(), octets);
  if (!out) throw damaged();
  return *out;
}

Slot make_slot(const Ip& ip, std::uint64_t value, std::uint64_t hash) {
  Slot slot;
  std::memcpy(slot.address.data(), ip.data(), ip.size());
  slot.value = value;
  slot.home = static_cast<std::uint32_t>(hash);
  slot.octets = static_cast<std::uint8_t>(ip.size());
  return slot;
}

SlotTable::SlotTable(std::uint64_t capacity) : memory_(capacity), capacity_(capacity) {}

SlotTable::SlotTable(int fd, std::uint64_t offset, std::uint64_t capacity, std::uint64_t size)
    : fd_(fd), offset_(offset), capacity_(capacity), size_(size) {}

std::uint64_t SlotTable::capacity_for(std::uint64_t size) {
  return std::max(kPageSlots, std::bit_ceil(size * 2));
}

Slot SlotTable::at(std::uint64_t index) {
  if (!memory_.empty()) return memory_[index];
  return page_at(index / kPageSlots)[index % kPageSlots];
}

Slot* SlotTable::page_at(std::uint64_t page) {
  std::unique_ptr<CachedPage>& cached = cache_[page % kCachedPages];
  if (!cached) cached = std::make_unique<CachedPage>();
  if (!cached->valid || cached->number != page) {
    cached->valid = false;
    cached->number = page;
    read_at(fd_, cached->slots.data(), sizeof cached->slots, offset_ + page * sizeof cached->slots);
    cached->valid = true;
  }
  return cached->slots.data();
}

void SlotTable::put(std::uint64_t index, const Slot& slot) {
  if (!memory_.empty()) {
    memory_[index] = slot;
    return;
  }
  page_at(index / kPageSlots)[index % kPageSlots] = slot;
  write_at(fd_, &slot, sizeof slot, offset_ + index * sizeof slot);
}

void SlotTable::insert(const Slot& slot) {
  std::uint64_t index = slot.home & mask();
  for (std::uint64_t steps = 0; at(index).used(); ++steps, index = (index + 1) & mask()) {
    if (steps == capacity_) throw damaged();
  }
  put(index, slot);
  ++size_;
}

void SlotTable::erase(std::uint64_t index) {
  // Entries behind the hole move up unless that would put them before their home.
  std::uint64_t hole = index;
  std::uint64_t next = (hole + 1) & mask();
  for (std::uint64_t steps = 0; steps < capacity_; ++steps, next = (next + 1) & mask()) {
    const Slot slot = at(next);
    if (!slot.used()) break;
    const std::uint64_t distance_from_home = (next - slot.home) & mask();
    const std::uint64_t distance_from_hole = (next - hole) & mask();
    if (distance_from_home < distance_from_hole) continue;
    put(hole, slot);
    hole = next;
  }
  put(hole, Slot{});
  --size_;
}

void SlotTable::write_to(int fd, std::uint64_t offset) const {
  write_at(fd, memory_.data(), bytes(), offset);
}

}  // namespace cni::host_local
