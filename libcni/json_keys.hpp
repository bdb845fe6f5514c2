// What a JSON text has that its parsed form does not show: keys that stand twice in an object.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cni::libcni {

// The paths of keys that an earlier key of the same object has too, in the order of the text. The
// text has to be JSON; nothing is found in one that is not.
std::vector<std::string> repeated_keys(std::string_view text);

}  // namespace cni::libcni
