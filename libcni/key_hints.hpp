// What may have been meant by a key or text that nobody knows.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libcni/schema_store.hpp"

namespace cni::libcni {

// Without regard to case, as keys match (ASCII letters).
bool same_key(std::string_view a, std::string_view b);

// The number of letters to insert, remove, change or swap with their neighbour to make one text of
// the other, without regard to case.
std::size_t edit_distance(std::string_view a, std::string_view b);

// The known text that is most like the given one; absent if none is like it.
std::optional<std::string> most_similar(std::string_view text,
                                        const std::vector<std::string>& known);

// A hint for an unknown key of an object that has the `known` ones: a similar key, or where else a
// key of that name stands. `plugin` is the type of the plugin it was found in; `path` is the key's.
std::string hint_for_key(SchemaStore& store, std::string_view key,
                         const std::vector<std::string>& known, std::string_view plugin,
                         std::string_view path);

}  // namespace cni::libcni
