# cni_plugin(KIND/NAME [SOURCES extra.cpp...] [SYMBOL symbol]): the plugin in plugins/KIND/NAME as a library cni_plugin_NAME, an executable
# bin/NAME (or a link to the multi-call executable) and a line of the generated table. Its namespace, its first source and its
# header are called NAME with _ for -, or SYMBOL where that is no C++ name.
set_property(GLOBAL PROPERTY CNI_PLUGINS "")

function(cni_plugin path)
  cmake_parse_arguments(arg "" "SYMBOL" "SOURCES;DEPENDS" ${ARGN})
  get_filename_component(name ${path} NAME)
  string(REPLACE "-" "_" symbol ${name})
  if(arg_SYMBOL)
    set(symbol ${arg_SYMBOL})
  endif()
  set(sources ${path}/${symbol}.cpp)
  foreach(source ${arg_SOURCES})
    list(APPEND sources ${path}/${source})
  endforeach()

  add_library(cni_plugin_${symbol} STATIC ${sources})
  target_link_libraries(cni_plugin_${symbol} PUBLIC cni::attachment cni::delegate cni::skel ${arg_DEPENDS} PRIVATE cni_options)
  set_property(GLOBAL APPEND PROPERTY CNI_PLUGINS ${path})
  set_property(GLOBAL PROPERTY CNI_PLUGIN_SYMBOL_${path} ${symbol})

  if(NOT CNI_MULTICALL)
    add_executable(cni_${symbol}_exe ${path}/main.cpp)
    set_target_properties(cni_${symbol}_exe PROPERTIES OUTPUT_NAME ${name}
      RUNTIME_OUTPUT_DIRECTORY ${CNI_BIN_DIR})
    target_link_libraries(cni_${symbol}_exe PRIVATE cni_plugin_${symbol} cni_options)
    cni_executable_options(cni_${symbol}_exe)
    install(TARGETS cni_${symbol}_exe DESTINATION ${CNI_PLUGIN_INSTALL_DIR} COMPONENT plugins)
  endif()
endfunction()

# Writes the table of all plugins and, with CNI_MULTICALL, builds bin/cni-plugins and the links to it.
function(cni_plugin_table)
  get_property(paths GLOBAL PROPERTY CNI_PLUGINS)
  set(includes "")
  set(entries "")
  set(libraries "")
  set(names "")
  foreach(path ${paths})
    get_filename_component(name ${path} NAME)
    get_property(symbol GLOBAL PROPERTY CNI_PLUGIN_SYMBOL_${path})
    string(APPEND includes "#include \"plugins/${path}/${symbol}.hpp\"\n")
    string(APPEND entries "    &cni::${symbol}::plugin,\n")
    list(APPEND libraries cni_plugin_${symbol})
    list(APPEND names ${name})
  endforeach()
  set(table ${CMAKE_CURRENT_BINARY_DIR}/plugin_table.cpp)
  file(CONFIGURE OUTPUT ${table} CONTENT [[
// Generated from plugins/CMakeLists.txt.
#include "pkg/skel/plugin.hpp"
@includes@
namespace cni::skel {
namespace {
const Plugin* const kTable[] = {
@entries@};
}  // namespace
std::span<const Plugin* const> all_plugins() { return kTable; }
}  // namespace cni::skel
]] @ONLY)
  add_library(cni_plugin_table STATIC ${table})
  target_link_libraries(cni_plugin_table PUBLIC ${libraries} cni::skel PRIVATE cni_options)

  if(CNI_MULTICALL)
    cni_multicall_executable(cni_plugins_exe ${CNI_BIN_DIR} ${names})
    list(TRANSFORM names PREPEND ${CNI_BIN_DIR}/ OUTPUT_VARIABLE links)
    install(TARGETS cni_plugins_exe DESTINATION ${CNI_PLUGIN_INSTALL_DIR} COMPONENT plugins)
    install(FILES ${links} DESTINATION ${CNI_PLUGIN_INSTALL_DIR} COMPONENT plugins)
  endif()
  if(CNI_TESTS)
    # The other form is always built for the tests, outside the folder that is installed.
    cni_multicall_executable(cni_plugins_for_tests ${CMAKE_BINARY_DIR}/multicall ${names})
  endif()
endfunction()

# cni_multicall_executable(TARGET FOLDER NAME...): the multi-call executable FOLDER/cni-plugins, and a link to it for each plugin.
function(cni_multicall_executable target folder)
  add_executable(${target} ${CMAKE_SOURCE_DIR}/plugins/multicall_main.cpp)
  set_target_properties(${target} PROPERTIES OUTPUT_NAME cni-plugins RUNTIME_OUTPUT_DIRECTORY ${folder})
  target_link_libraries(${target} PRIVATE cni::multicall cni_plugin_table cni_options)
  cni_executable_options(${target})
  foreach(name ${ARGN})
    add_custom_command(TARGET ${target} POST_BUILD
      COMMAND ${CMAKE_COMMAND} -E create_symlink cni-plugins ${folder}/${name} VERBATIM)
  endforeach()
endfunction()
