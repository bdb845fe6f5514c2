#include "libcni/discovery.hpp"

#include <unistd.h>

#include <cerrno>

#include "libcni/files.hpp"

namespace cni::libcni {
namespace {

void load_into(const std::string& path, Discovery& out) {
  try {
    out.networks.push_back(load_network_file(path));
  } catch (const Error& error) {
    // One that vanished after it was listed was not there.
    if (::access(path.c_str(), F_OK) == 0 || errno != ENOENT) out.broken.push_back({path, error});
  }
}

std::string describe(const std::vector<BrokenFile>& broken) {
  std::string out;
  for (const BrokenFile& file : broken) {
    out += cat(out.empty() ? "broken files: " : "; ", file.error.what());
  }
  return out;
}

}  // namespace

Discovery discover_networks(const std::string& folder) {
  Discovery out;
  for (const std::string& path : files_with_extension(folder, {"conflist"})) load_into(path, out);
  for (const std::string& path : files_with_extension(folder, {"conf", "json"})) {
    load_into(path, out);
  }
  return out;
}

Network find_network(const std::string& folder, std::string_view name) {
  Discovery found = discover_networks(folder);
  for (Network& network : found.networks) {
    if (network.name == name) return std::move(network);
  }
  const bool nothing = found.networks.empty() && found.broken.empty();
  throw Error(Code::kInvalidNetworkConfig,
              nothing ? cat("no net configurations found in ", folder)
                      : cat("no net configuration with name ", quote(name), " in ", folder),
              describe(found.broken));
}

}  // namespace cni::libcni
