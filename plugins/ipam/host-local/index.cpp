#include "plugins/ipam/host-local/index.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"
#include "plugins/ipam/host-local/reservation.hpp"

namespace cni::host_local {
namespace {

constexpr std::uint64_t kHeaderBytes = 4096;
constexpr unsigned kBlockBits = 6;  // a block is the 64 addresses that share all but the last bits
constexpr std::uint64_t kFnvBasis = 0xcbf29ce484222325U;
constexpr std::uint64_t kFnvPrime = 0x100000001b3U;

std::uint64_t fnv(const void* data, std::size_t size, std::uint64_t state) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (std::size_t i = 0; i < size; ++i) state = (state ^ bytes[i]) * kFnvPrime;
  return state;
}

// FNV leaves its upper input bits in the upper output bits; the table takes the lower ones.
std::uint64_t mixed(std::uint64_t value) {
  value = (value ^ (value >> 33U)) * 0xff51afd7ed558ccdU;
  value = (value ^ (value >> 33U)) * 0xc4ceb9fe1a85ec53U;
  return value ^ (value >> 33U);
}

std::optional<std::uint64_t> random_number() {
  std::uint64_t out = 0;
  if (::getrandom(&out, sizeof out, 0) != static_cast<ssize_t>(sizeof out)) return std::nullopt;
  return out;
}

// Empty if the kernel does not tell: then no index is stored.
std::string read_boot_id() {
  try {
    const std::string text = os::read_file("/proc/sys/kernel/random/boot_id").value_or("");
    return text.substr(0, text.find('\n'));
  } catch (const Error&) {
    return {};
  }
}

unsigned bit_of(const Ip& ip) { return ip.data()[ip.size() - 1] & 63U; }

Ip block_of(const Ip& ip) {
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), ip.data(), ip.size());
  bytes[ip.size() - 1] = static_cast<std::uint8_t>(bytes[ip.size() - 1] & ~63U);
  return *Ip::from_bytes(bytes.data(), ip.size());
}

bool same_time(const timespec& one, const timespec& other) {
  return one.tv_sec == other.tv_sec && one.tv_nsec == other.tv_nsec;
}

// A moment of the second before this one: in the past, so that nobody is surprised by a time to
// come, and random to the nanosecond, so that no real change of the folder hits it.
std::optional<timespec> random_moment() {
  const auto random = random_number();
  timespec now{};
  if (!random || ::clock_gettime(CLOCK_REALTIME, &now) != 0) return std::nullopt;
  return timespec{now.tv_sec - 1, static_cast<long>(*random % 1000000000U)};
}

}  // namespace

// As it stands at the start of the file, in the byte order of the machine.
struct Index::Header {
  std::array<char, 16> magic{};
  std::array<char, 40> boot_id{};
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  // The folder's times: the seal, and when it was set, which tells of tools that set modification
  // times back.
  std::int64_t sealed_second = 0;
  std::int64_t sealed_nanosecond = 0;
  std::int64_t changed_second = 0;
  std::int64_t changed_nanosecond = 0;
  std::uint64_t seed = 0;
  std::uint64_t owner_capacity = 0;
  std::uint64_t owner_size = 0;
  std::uint64_t block_capacity = 0;
  std::uint64_t block_size = 0;
  std::uint64_t exact = 0;
  std::uint64_t checksum = 0;

  static constexpr std::array<char, 16> kMagic = {"cni host-local1"};

  std::uint64_t expected_checksum() const {
    return mixed(fnv(this, offsetof(Header, checksum), kFnvBasis));
  }
  void set_folder(const struct stat& status) {
    device = status.st_dev;
    inode = status.st_ino;
    sealed_second = status.st_mtim.tv_sec;
    sealed_nanosecond = status.st_mtim.tv_nsec;
    changed_second = status.st_ctim.tv_sec;
    changed_nanosecond = status.st_ctim.tv_nsec;
  }
  bool is_of(const struct stat& status, const std::string& current_boot) const {
    Header now;
    now.set_folder(status);
    return std::string(boot_id.data(), ::strnlen(boot_id.data(), boot_id.size())) == current_boot &&
           device == now.device && inode == now.inode && sealed_second == now.sealed_second &&
           sealed_nanosecond == now.sealed_nanosecond && changed_second == now.changed_second &&
           changed_nanosecond == now.changed_nanosecond;
  }
  static bool is_capacity(std::uint64_t capacity) {
    return std::has_single_bit(capacity) && capacity >= SlotTable::kPageSlots &&
           capacity <= std::uint64_t{1} << 32U;
  }
  bool is_sound(std::uint64_t file_size) const {
    return magic == kMagic && checksum == expected_checksum() && is_capacity(owner_capacity) &&
           is_capacity(block_capacity) && owner_size < owner_capacity &&
           block_size < block_capacity &&
           file_size == kHeaderBytes + (owner_capacity + block_capacity) * sizeof(Slot);
  }
};

std::string index_path(const Location& location) {
  return cat(location.data_dir, "/.cni-index-", location.network);
}

Index::Index(Location location, int folder)
    : location_(std::move(location)), folder_(folder), boot_id_(read_boot_id()) {
  if (!open_stored()) rebuild();
}

Index::~Index() {
  // Without a seal the next call reads all files: slower, never wrong.
  if (changed_ && storable_) (void)(store() && seal());
}

bool Index::give_up_storage() {
  const std::string path = index_path(location_);
  if (::access(path.c_str(), F_OK) != 0) return false;
  try {
    if (file_) move_to_memory();
  } catch (const Error&) {
    rebuild();
  }
  storable_ = false;
  return ::unlink(path.c_str()) == 0;
}

bool Index::open_stored() {
  const std::string path = index_path(location_);
  file_.reset(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!file_) file_.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  Header header;
  struct stat status {};
  struct stat folder_status {};
  if (!file_ || ::fstat(file_.get(), &status) != 0 || ::fstat(folder_, &folder_status) != 0 ||
      ::pread(file_.get(), &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header) ||
      !header.is_sound(static_cast<std::uint64_t>(status.st_size)) || boot_id_.empty() ||
      !header.is_of(folder_status, boot_id_)) {
    file_.reset();
    return false;
  }
  seed_ = header.seed;
  exact_ = header.exact != 0;
  owners_.emplace(file_.get(), kHeaderBytes, header.owner_capacity, header.owner_size);
  blocks_.emplace(file_.get(), kHeaderBytes + owners_->bytes(), header.block_capacity,
                  header.block_size);
  return true;
}

std::uint64_t Index::owner_hash(std::string_view text) const {
  return mixed(fnv(text.data(), text.size(), kFnvBasis ^ seed_));
}

// Neighbouring blocks are neighbours in the table too, so that a walk over a long held run reads
// few pages.
std::uint64_t Index::block_hash(const Ip& block) const {
  constexpr std::size_t kLow = 2;  // the last octets tell the 64 blocks of a group apart
  const std::size_t fixed = block.size() - kLow;
  const unsigned low = static_cast<unsigned>(block.data()[fixed] << 8U) | block.data()[fixed + 1];
  const unsigned lane = (low >> kBlockBits) & 63U;
  const std::uint8_t group = static_cast<std::uint8_t>(low >> 12U);
  return mixed(fnv(&group, 1, fnv(block.data(), fixed, kFnvBasis ^ seed_))) + lane;
}

template <class Fn>
auto Index::guarded(Fn fn) {
  try {
    return fn();
  } catch (const Error&) {
    rebuild();  // now in memory, where nothing fails
    return fn();
  }
}

std::vector<Ip> Index::owned_by(std::string_view text) {
  return guarded([&] {
    std::vector<Ip> out;
    const std::uint64_t hash = owner_hash(text);
    owners_->probe(hash, [&](std::uint64_t, const Slot& slot) {
      if (slot.value == hash) out.push_back(slot.ip());
      return true;
    });
    return out;
  });
}

std::uint64_t Index::held_in_block(const Ip& block) {
  std::uint64_t held = 0;
  blocks_->probe(block_hash(block), [&](std::uint64_t, const Slot& slot) {
    if (!slot.is(block)) return true;
    held = slot.value;
    return false;
  });
  return held;
}

bool Index::holds(const Ip& ip) {
  return guarded([&] { return ((held_in_block(block_of(ip)) >> bit_of(ip)) & 1U) != 0; });
}

std::optional<Ip> Index::next_free(const Ip& first, const Ip& last) {
  return guarded([&]() -> std::optional<Ip> {
    Ip at = first;
    while (true) {
      const Ip block = block_of(at);
      const std::uint64_t free = ~held_in_block(block) >> bit_of(at) << bit_of(at);
      if (free != 0) {
        const Ip found = block.plus(static_cast<unsigned>(std::countr_zero(free)));
        return found <= last ? std::optional(found) : std::nullopt;
      }
      const Ip end_of_block = block.plus(63);
      if (end_of_block >= last) return std::nullopt;
      at = end_of_block.next();
    }
  });
}

void Index::change_block(const Ip& ip, bool held) {
  const Ip block = block_of(ip);
  const std::uint64_t hash = block_hash(block);
  const std::uint64_t bit = std::uint64_t{1} << bit_of(ip);
  std::optional<std::uint64_t> found;
  Slot slot = make_slot(block, 0, hash);
  blocks_->probe(hash, [&](std::uint64_t index, const Slot& candidate) {
    if (!candidate.is(block)) return true;
    found = index;
    slot = candidate;
    return false;
  });
  slot.value = held ? slot.value | bit : slot.value & ~bit;
  if (!found && held) {
    blocks_->insert(slot);
  } else if (found && slot.value == 0) {
    blocks_->erase(*found);
  } else if (found) {
    blocks_->put(*found, slot);
  }
}

void Index::insert(const Ip& ip, std::string_view text) {
  if (is_crowded()) move_to_memory();
  const std::uint64_t hash = owner_hash(text);
  owners_->insert(make_slot(ip, hash, hash));
  change_block(ip, true);
}

void Index::add(const Ip& ip, std::string_view text) {
  changed_ = true;
  exact_ = false;
  try {
    insert(ip, text);
  } catch (const Error&) {
    rebuild();  // the file is there already, so this notes it too
  }
}

void Index::remove(const Ip& ip, std::string_view text) {
  changed_ = true;
  exact_ = false;
  try {
    const std::uint64_t hash = owner_hash(text);
    std::optional<std::uint64_t> found;
    owners_->probe(hash, [&](std::uint64_t index, const Slot& slot) {
      if (slot.value == hash && slot.is(ip)) found = index;
      return !found;
    });
    if (found) owners_->erase(*found);
    if (found) change_block(ip, false);
    if (!found) rebuild();
  } catch (const Error&) {
    rebuild();
  }
}

bool Index::is_crowded() const { return owners_->is_crowded(5) || blocks_->is_crowded(3); }

// Into tables that are large enough to go on with; they are stored as a whole later.
void Index::move_to_memory() {
  SlotTable owners(SlotTable::capacity_for(owners_->size() + 1));
  owners_->each([&](const Slot& slot) { owners.insert(slot); });
  // Neighbouring blocks lie side by side, so they need more room not to push each other away.
  SlotTable blocks(SlotTable::capacity_for((blocks_->size() + 1) * 2));
  blocks_->each([&](const Slot& slot) { blocks.insert(slot); });
  owners_ = std::move(owners);
  blocks_ = std::move(blocks);
  file_.reset();
}

void Index::rebuild() {
  const std::vector<Reservation> reservations = scan_reservations(folder_, location_.folder());
  file_.reset();
  seed_ = random_number().value_or(0);
  owners_.emplace(SlotTable::capacity_for(reservations.size()));
  blocks_.emplace(SlotTable::kPageSlots);
  for (const Reservation& reservation : reservations) {
    if (reservation.is_torn()) continue;
    // What cannot be read is held by nobody known.
    if (reservation.content) {
      insert(reservation.ip, *reservation.content);
    } else {
      if (is_crowded()) move_to_memory();
      change_block(reservation.ip, true);
    }
  }
  changed_ = true;
  exact_ = true;
}

bool Index::write_header(const struct stat& folder_status) {
  Header header;
  header.magic = Header::kMagic;
  if (boot_id_.empty() || boot_id_.size() >= header.boot_id.size()) return false;
  std::memcpy(header.boot_id.data(), boot_id_.data(), boot_id_.size());
  header.set_folder(folder_status);
  header.seed = seed_;
  header.owner_capacity = owners_->capacity();
  header.owner_size = owners_->size();
  header.block_capacity = blocks_->capacity();
  header.block_size = blocks_->size();
  header.exact = exact_ ? 1 : 0;
  header.checksum = header.expected_checksum();
  return ::pwrite(file_.get(), &header, sizeof header, 0) == static_cast<ssize_t>(sizeof header);
}

// Puts tables in memory into a new file, which has no valid header yet.
bool Index::store() {
  if (file_) return true;  // written change by change
  const std::string temporary = cat(location_.data_dir, "/.cni-new-index-", location_.network);
  file_.reset(::open(temporary.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file_) return false;
  try {
    owners_->write_to(file_.get(), kHeaderBytes);
    blocks_->write_to(file_.get(), kHeaderBytes + owners_->bytes());
  } catch (const Error&) {
    (void)::unlink(temporary.c_str());  // a full disk: do without
    return false;
  }
  return ::rename(temporary.c_str(), index_path(location_).c_str()) == 0;
}

// Last of all, so that being killed anywhere before leaves a seal that the folder does not bear.
bool Index::seal() {
  const auto moment = random_moment();
  if (!moment) return false;
  const timespec times[2] = {{0, UTIME_OMIT}, *moment};
  struct stat status {};
  if (::futimens(folder_, times) != 0 || ::fstat(folder_, &status) != 0) return false;
  // A file system that keeps coarser times cannot bear a seal.
  if (!same_time(status.st_mtim, *moment)) return false;
  return write_header(status);
}

}  // namespace cni::host_local
