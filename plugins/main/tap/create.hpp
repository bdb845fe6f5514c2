// Making the tap device in the container.
#pragma once

#include "pkg/ns/netns.hpp"
#include "plugins/main/tap/config.hpp"

namespace cni::tap {

// Makes the device called `name` in the namespace, in the SELinux context that the configuration
// names. Throws `failed to create tap: ...`, or `failed set socket label: ...` for a context that
// cannot be had.
void create(const ns::Netns& netns, const Config& config, const std::string& name);

// The command `tap create NAME FLAGS OWNER GROUP`, by which the plugin makes a device in another
// SELinux context; the exit status.
int create_command(int argc, char** argv);

}  // namespace cni::tap
