#include "plugins/ipam/host-local/index.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <random>

#include "pkg/os/file.hpp"
#include "plugins/ipam/host-local/reservation.hpp"
#include "test/support/catch.hpp"
#include "test/support/temporary_folder.hpp"

namespace cni::host_local {
namespace {

using test::TemporaryFolder;
using test::write_file;

Ip ip(const std::string& text) { return Ip::parse(text).value(); }

// A network's folder without the store around it.
struct Network {
  TemporaryFolder data_dir;
  Location location{data_dir.path(), "net"};
  os::Fd folder;

  Network() {
    os::make_directories(location.folder());
    folder.reset(::open(location.folder().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  std::string file(const Ip& address) const {
    return location.folder() + "/" + address.to_string();
  }
  void reserve(const std::string& address, const std::string& text) const {
    write_file(location.folder() + "/" + address, text);
  }
};

std::vector<Ip> sorted(std::vector<Ip> list) {
  std::sort(list.begin(), list.end());
  return list;
}

TEST_CASE("a slot table finds what was inserted and not what was erased") {
  std::mt19937 random(7);
  SlotTable table(128);
  std::multimap<std::uint64_t, Ip> model;
  const auto found = [&](std::uint64_t hash) {
    std::vector<Ip> out;
    table.probe(hash, [&](std::uint64_t, const Slot& slot) {
      if (slot.value == hash) out.push_back(slot.ip());
      return true;
    });
    return sorted(out);
  };
  for (int step = 0; step < 20000; ++step) {
    // Few homes, near the end of the table, so that runs are long and wrap around.
    const std::uint64_t hash = 100 + random() % 40;
    if (random() % 2 == 0 && table.size() < 110) {
      const Ip address = ip("10.0.0.0").plus(random() % 60000);
      table.insert(make_slot(address, hash, hash));
      model.emplace(hash, address);
    } else if (const auto entry = model.find(hash); entry != model.end()) {
      std::optional<std::uint64_t> at;
      table.probe(hash, [&](std::uint64_t index, const Slot& slot) {
        if (slot.value == hash && slot.is(entry->second)) at = index;
        return !at;
      });
      REQUIRE(at);
      table.erase(*at);
      model.erase(entry);
    }
    REQUIRE(table.size() == model.size());
    std::vector<Ip> expected;
    const auto [begin, end] = model.equal_range(hash);
    for (auto entry = begin; entry != end; ++entry) expected.push_back(entry->second);
    REQUIRE(found(hash) == sorted(expected));
  }
}

TEST_CASE("the index says what the files say through thousands of changes of both kinds") {
  Network network;
  std::mt19937 random(42);
  std::map<Ip, std::string> model;
  const std::vector<std::string> owners = {"a\r\neth0", "a\r\neth1", "a", "b\r\neth0", "c\r\neth0"};
  const auto random_address = [&] {
    return ip(random() % 3 == 0 ? "fd00::ff80" : "10.1.254.200").plus(random() % 400);
  };
  auto index = std::make_unique<Index>(network.location, network.folder.get());
  for (int step = 0; step < 3000; ++step) {
    const Ip address = random_address();
    const auto present = model.find(address);
    // Every now and then somebody else changes the folder while nobody of ours is there.
    const bool foreign = random() % 20 == 0;
    if (foreign) index.reset();
    if (present == model.end()) {
      const std::string& text = owners[random() % owners.size()];
      write_file(network.file(address), text);
      if (index) index->add(address, text);
      model[address] = text;
    } else {
      REQUIRE(os::remove_file(network.file(address)));
      if (index) index->remove(address, present->second);
      model.erase(present);
    }
    if (foreign || random() % 5 == 0) {
      index.reset();
      index = std::make_unique<Index>(network.location, network.folder.get());
    }
    const std::string& asked = owners[random() % owners.size()];
    std::vector<Ip> expected;
    for (const auto& [held, text] : model) {
      if (text == asked) expected.push_back(held);
    }
    REQUIRE(sorted(index->owned_by(asked)) == expected);
    const Ip first = random_address();
    REQUIRE(index->holds(first) == model.contains(first));
    const Ip last = first.plus(random() % 100);
    std::optional<Ip> free;
    for (Ip at = first; !free && at <= last; at = at.next()) {
      if (!model.contains(at)) free = at;
    }
    REQUIRE(index->next_free(first, last) == free);
  }
}

TEST_CASE("a stored index is used without reading the files again") {
  Network network;
  network.reserve("10.1.0.5", "a\r\neth0");
  { Index(network.location, network.folder.get()).rebuild(); }
  // Written in place, so the folder does not change: only who reads the file could know.
  network.reserve("10.1.0.5", "b\r\neth0");
  Index index(network.location, network.folder.get());
  CHECK(index.owned_by("a\r\neth0") == std::vector<Ip>{ip("10.1.0.5")});
}

TEST_CASE("the index notices whatever others do to the folder") {
  Network network;
  network.reserve("10.1.0.5", "a\r\neth0");
  { Index index(network.location, network.folder.get()); }
  const auto owned = [&] {
    Index index(network.location, network.folder.get());
    return sorted(index.owned_by("a\r\neth0"));
  };
  SECTION("a new file") {
    network.reserve("10.1.0.6", "a\r\neth0");
    CHECK(owned() == std::vector<Ip>{ip("10.1.0.5"), ip("10.1.0.6")});
  }
  SECTION("a removed file") {
    REQUIRE(os::remove_file(network.file(ip("10.1.0.5"))));
    CHECK(owned().empty());
  }
  SECTION("a replaced file") {
    os::replace_file(network.file(ip("10.1.0.5")), "b\r\neth0", os::Flush::kNo);
    CHECK(owned().empty());
  }
  SECTION("a new file with the modification time of the folder put back") {
    struct stat before {};
    REQUIRE(::fstat(network.folder.get(), &before) == 0);
    network.reserve("10.1.0.6", "a\r\neth0");
    const timespec times[2] = {before.st_atim, before.st_mtim};
    REQUIRE(::futimens(network.folder.get(), times) == 0);
    CHECK(owned().size() == 2);
  }
  SECTION("another folder in its place") {
    REQUIRE(::rename(network.location.folder().c_str(),
                     (network.location.folder() + "-old").c_str()) == 0);
    os::make_directories(network.location.folder());
    network.reserve("10.1.0.7", "a\r\neth0");
    network.folder.reset(
        ::open(network.location.folder().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    CHECK(owned() == std::vector<Ip>{ip("10.1.0.7")});
  }
}

TEST_CASE("a damaged index is made anew") {
  Network network;
  for (int i = 2; i < 120; ++i) network.reserve("10.1.0." + std::to_string(i), "a\r\neth0");
  { Index index(network.location, network.folder.get()); }
  const std::string path = index_path(network.location);
  const std::string good = test::file_text(path);
  const auto check_right = [&] {
    Index index(network.location, network.folder.get());
    CHECK(index.owned_by("a\r\neth0").size() == 118);
    CHECK(index.next_free(ip("10.1.0.2"), ip("10.1.0.254")) == ip("10.1.0.120"));
  };
  SECTION("gone") { REQUIRE(os::remove_file(path)); }
  SECTION("empty") { write_file(path, ""); }
  SECTION("cut") { write_file(path, good.substr(0, good.size() - 1)); }
  SECTION("longer") { write_file(path, good + "x"); }
  SECTION("something else") { write_file(path, std::string(good.size(), 'x')); }
  SECTION("any octet of the header wrong") {
    for (std::size_t i = 0; i < 160; ++i) {
      std::string bad = test::file_text(path);
      bad[i] = static_cast<char>(bad[i] ^ 0x10);
      write_file(path, bad);
      check_right();
    }
  }
  SECTION("a folder in its place") {
    REQUIRE(os::remove_file(path));
    os::make_directories(path);
  }
  SECTION("a link in its place") {
    REQUIRE(os::remove_file(path));
    REQUIRE(::symlink("/etc/passwd", path.c_str()) == 0);
  }
  check_right();
  check_right();
}

TEST_CASE("the index walks over long held runs") {
  Network network;
  const Ip first = ip("10.1.0.0");
  Index index(network.location, network.folder.get());
  // The index is only told; files would add nothing to this.
  for (unsigned i = 0; i < 60000; ++i)
    index.add(first.plus(i), "c" + std::to_string(i) + "\r\neth0");
  CHECK(index.next_free(first, ip("10.1.255.254")) == first.plus(60000));
  CHECK(index.next_free(first.plus(30000), first.plus(59999)) == std::nullopt);
  index.remove(first.plus(41234), "c41234\r\neth0");
  CHECK(index.next_free(first, ip("10.1.255.254")) == first.plus(41234));
  CHECK(index.owned_by("c59999\r\neth0") == std::vector<Ip>{first.plus(59999)});
}

TEST_CASE("reservation files are read as they were written by whomever") {
  Network network;
  network.reserve("10.1.0.2", "id\r\neth0");
  network.reserve("10.1.0.3", "id\r\neth0\n");
  network.reserve("10.1.0.4", "id");
  network.reserve("10.1.0.5", "");
  network.reserve("10.1.0.6", std::string(64, '\0'));
  network.reserve("10.1.0.7", "kept by hand");
  network.reserve("lock", "id\r\neth0");
  network.reserve("last_reserved_ip.0", "10.1.0.2");
  network.reserve("10.1.0.08", "id\r\neth0");
  network.reserve("fd00:0::1", "id\r\neth0");
  network.reserve(".cni-tmp-0123456789abcdef", "id\r\neth0");
  std::map<std::string, Reservation> found;
  for (auto& reservation : scan_reservations(network.folder.get(), network.location.folder())) {
    found[reservation.ip.to_string()] = reservation;
  }
  REQUIRE(found.size() == 6);
  CHECK(found["10.1.0.2"].content == "id\r\neth0");
  CHECK(found["10.1.0.3"].content == "id\r\neth0");
  CHECK(found["10.1.0.2"].owner()->ifname == "eth0");
  CHECK(found["10.1.0.4"].owner()->ifname.empty());
  CHECK(found["10.1.0.5"].is_torn());
  CHECK(found["10.1.0.6"].is_torn());
  CHECK_FALSE(found["10.1.0.7"].owner());
  CHECK(found["10.1.0.7"].describe().find("\"kept by hand\" since 20") == 0);
  CHECK_FALSE(os::read_file(network.location.folder() + "/.cni-tmp-0123456789abcdef"));
}

}  // namespace
}  // namespace cni::host_local
