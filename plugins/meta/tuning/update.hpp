// UPDATE: the settings of a running attachment become those of an edited configuration.
#pragma once

#include "pkg/skel/update.hpp"

namespace cni::tuning {

extern const skel::LiveUpdate kUpdate;

}  // namespace cni::tuning
