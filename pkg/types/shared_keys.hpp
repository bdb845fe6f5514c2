// The tables of the keys that every plugin shares, and of the objects that stand in many plugins'
// configurations.
#pragma once

#include "pkg/types/config.hpp"
#include "pkg/types/result.hpp"
#include "pkg/types/schema.hpp"

namespace cni {

extern const schema::Table<Dns> kDnsTable;
extern const schema::Table<Route> kRouteTable;

// name and cniVersion, which are read before anything else is known.
extern const schema::Table<NetConf> kIdentityTable;
// The other keys that every plugin decodes.
extern const schema::Table<NetConf> kSharedTable;

}  // namespace cni
