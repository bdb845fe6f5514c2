// All that limits an attachment: its two queues, and the redirection that leads to one of them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pkg/netlink/link.hpp"
#include "pkg/os/undo.hpp"
#include "plugins/meta/bandwidth/config.hpp"
#include "plugins/meta/bandwidth/ifb.hpp"
#include "plugins/meta/bandwidth/place.hpp"

namespace cni::bandwidth {

// Limits the attachment at that place. What the place's link sends waits in its own queue, what it
// receives in that of an ifb device, which is returned. Throws before anything was touched if the
// link cannot be limited so. `warnings` gets what is not as the configuration has it.
std::optional<netlink::Link> add_limits(Place& place, const Config& config, const Owner& owner,
                                        os::Undo& undo, std::vector<std::string>& warnings);

// UPDATE: the same for an attachment that has limits already, or some of them; those that it is not
// to have any more go. The undo steps take away only what was made anew.
std::optional<netlink::Link> set_limits(Place& place, const Config& config, const Owner& owner,
                                        os::Undo& undo, std::vector<std::string>& warnings);

// CHECK: throws Code::kCheckFailed with the first difference. Takes what the reference plugin makes
// of the same configuration too.
void check_limits(Place& place, const Config& config, const Owner& owner);

// Whether what the place's link receives is redirected to a device.
bool redirects_to(Place& place, const netlink::Link& ifb);

// DEL: takes the queues of ours and the redirection off the place's link. `ifb` may be gone.
void remove_queues(Place& place, const std::optional<netlink::Link>& ifb);

// STATUS: throws Code::kMissingKernelFeature unless the kernel can do what a configuration asks
// for. Tries it in a namespace that nobody sees.
void probe_limits(const Config& config);

}  // namespace cni::bandwidth
