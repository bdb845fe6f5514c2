#include "plugins/ipam/dhcp/daemon/state.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "pkg/os/file.hpp"
#include "pkg/types/error.hpp"
#include "pkg/types/hash.hpp"
#include "pkg/types/json.hpp"
#include "plugins/ipam/dhcp/names.hpp"

namespace cni::dhcp {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kSuffix = ".json";
constexpr off_t kLongestFile = 1024 * 1024;

std::string this_boot() {
  const std::string path = "/proc/sys/kernel/random/boot_id";
  std::string id = os::read_file(path).value_or("");
  while (id.ends_with('\n')) id.pop_back();
  if (id.empty()) throw Error(Code::kIoFailure, cat("read ", path, ": no boot id there"));
  return id;
}

// What can stand in a file's name, cut.
std::string readable(std::string_view text, std::size_t most) {
  std::string out(text.substr(0, most));
  for (char& c : out) {
    if (!is_label_octet(static_cast<std::uint8_t>(c))) c = '_';
  }
  return out;
}

Json to_json(const PortIdentity& identity) {
  return {{"netnsCookie", identity.netns_cookie},
          {"linkIndex", identity.link_index},
          {"mac", identity.mac.to_string()}};
}

PortIdentity read_identity(const Reader& in) {
  PortIdentity out;
  in.required("netnsCookie", out.netns_cookie);
  in.required("linkIndex", out.link_index);
  in.required("mac", out.mac);
  return out;
}

// Reads a regular file of bearable size, whatever stands under that name.
std::string read_state(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) throw system_error("look at it", errno);
  if (!S_ISREG(status.st_mode)) throw Error(Code::kIoFailure, "it is no regular file");
  if (status.st_size > kLongestFile) {
    throw Error(Code::kIoFailure, cat("it has ", status.st_size, " octets"));
  }
  return os::read_file(path).value_or("");
}

}  // namespace

StateFolder::StateFolder(std::string folder) : StateFolder(std::move(folder), this_boot()) {}

StateFolder::StateFolder(std::string folder, std::string boot_id)
    : folder_(std::move(folder)), boot_id_(std::move(boot_id)) {
  os::make_directories(folder_);
  lock_.reset(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock_) throw system_error(cat("open the folder ", folder_), errno, Code::kIoFailure);
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) == 0) return;
  if (errno == EWOULDBLOCK) {
    throw Error(Code::kConflict, cat("another dhcp daemon keeps its leases in ", folder_,
                                     ": choose another -statedir"));
  }
  throw system_error(cat("lock the folder ", folder_), errno, Code::kIoFailure);
}

std::string StateFolder::file_name(const LeaseKey& key) {
  // The octet 0 is in none of the three.
  std::string whole = key.container_id;
  whole += '\0';
  whole += key.network;
  whole += '\0';
  whole += key.ifname;
  return cat(hashed_name("", whole, 32), "-", readable(key.container_id, 12), "-",
             readable(key.ifname, 15), kSuffix);
}

void StateFolder::load_file(const std::string& name, Found& found) {
  const auto document = parse_json(read_state(path_of(name)), "its text");
  if (!document->is_object()) throw Error(Code::kDecodingFailure, "its text is no JSON object");
  const Reader in(*document);
  std::uint32_t version = 0;
  in.required("version", version);
  if (version > kStateVersion) {
    newer_.insert(name);
    throw Error(Code::kIncompatibleVersion,
                cat("its version is ", version, ", and ", kStateVersion, " the newest known here"));
  }
  std::string boot_id;
  in.required("bootId", boot_id);
  if (boot_id != boot_id_) {
    (void)os::remove_file(path_of(name));  // gone already is as well
    return;
  }
  Record record;
  record.request = read_lease_request(in.get("request"));
  record.lease = read_lease(in.get("lease"));
  record.identity = read_identity(in.get("identity"));
  if (file_name(record.request.key) != name) {
    throw Error(Code::kDecodingFailure, "it holds the lease of another name");
  }
  found.records.push_back(std::move(record));
}

StateFolder::Found StateFolder::load() {
  Found found;
  for (const std::string& name : os::list_directory(folder_)) {
    try {
      if (name.starts_with(".cni-tmp-")) {  // what os::replace_file writes to
        (void)os::remove_file(path_of(name));
        continue;
      }
      load_file(name, found);
    } catch (const Error& error) {
      found.warnings.push_back(
          cat(path_of(name),
              " is left alone, it is no lease that can be gone on with: ", error.what()));
    }
  }
  return found;
}

void StateFolder::check_ours(const std::string& name) const {
  if (!newer_.contains(name)) return;
  throw Error(Code::kIoFailure,
              cat(path_of(name), " was written by a newer dhcp daemon and is left alone"));
}

void StateFolder::save(const Record& record) {
  const std::string name = file_name(record.request.key);
  check_ours(name);
  const Json json{{"version", kStateVersion},
                  {"bootId", boot_id_},
                  {"request", to_json(record.request)},
                  {"lease", to_json(record.lease)},
                  {"identity", to_json(record.identity)}};
  // Not flushed: after a crash of the machine nothing of it could be used.
  os::replace_file(path_of(name), json.dump(-1, ' ', false, Json::error_handler_t::replace),
                   os::Flush::kNo);
}

void StateFolder::remove(const LeaseKey& key) {
  const std::string name = file_name(key);
  check_ours(name);
  (void)os::remove_file(path_of(name));
}

}  // namespace cni::dhcp
