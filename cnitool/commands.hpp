// The commands of the table, by file.
#pragma once

#include "cnitool/report.hpp"
#include "cnitool/session.hpp"

namespace cni::cnitool {

// attach.cpp
Report add(Session& session);
Report check(Session& session);
Report del(Session& session);
Report status(Session& session);

// gc.cpp
Report gc(Session& session);

// reconcile.cpp
Report reconcile(Session& session);

// update.cpp
Report update(Session& session);

// networks.cpp
Report list(Session& session);
// The names of the networks, for completion.
Report network_names(Session& session);

// version.cpp
Report version(Session& session);

// validate.cpp
Report validate(Session& session);

// doctor.cpp
Report doctor(Session& session);

// cache.cpp
Report cache_ls(Session& session);
Report cache_show(Session& session);
Report cache_prune(Session& session);

// completion.cpp, help.cpp and manual.cpp
Report completion(Session& session);
Report help(Session& session);
Report manual(Session& session);

}  // namespace cni::cnitool
