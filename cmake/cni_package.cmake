# The installed package: find_package(cni) for those who write plugins or runtimes of their own. Included last, when all libraries
# are known. Two components: `plugins`, the executables, and `development`, everything else.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/cni)
get_property(libraries GLOBAL PROPERTY CNI_LIBRARIES)

# What a plugin may use, as one target; cni::multicall is left to those who have a table of plugins.
add_library(cni_plugin INTERFACE)
add_library(cni::plugin ALIAS cni_plugin)
set_target_properties(cni_plugin PROPERTIES EXPORT_NAME plugin)
target_link_libraries(cni_plugin INTERFACE
  cni_attachment cni_delegate cni_skel cni_netfilter cni_netlink cni_ns cni_dbus cni_os cni_types)

install(TARGETS ${libraries} cni_plugin EXPORT cniTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(EXPORT cniTargets NAMESPACE cni:: DESTINATION ${package_dir} COMPONENT development)

# Headers lie below one folder as they do in the tree, so that includes are the same.
file(STRINGS ${CMAKE_SOURCE_DIR}/cmake/private_headers.txt private_headers)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS cmake/private_headers.txt)
set(folders "")
foreach(library ${libraries})
  get_target_property(folder ${library} SOURCE_DIR)
  list(APPEND folders ${folder})
endforeach()
list(REMOVE_DUPLICATES folders)
foreach(folder ${folders})
  file(RELATIVE_PATH relative ${CMAKE_SOURCE_DIR} ${folder})
  file(GLOB headers CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR} ${folder}/*.hpp)
  list(REMOVE_ITEM headers ${private_headers})
  install(FILES ${headers} DESTINATION ${CNI_INCLUDE_INSTALL_DIR}/${relative} COMPONENT development)
endforeach()

set(CNI_NLOHMANN_JSON_VERSION 3.9)
configure_package_config_file(cmake/cniConfig.cmake.in ${CMAKE_BINARY_DIR}/cniConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/cniConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/cniConfig.cmake ${CMAKE_BINARY_DIR}/cniConfigVersion.cmake cmake/cni_add_plugin.cmake
  DESTINATION ${package_dir} COMPONENT development)

# The template to start from.
install(DIRECTORY plugins/sample DESTINATION ${CMAKE_INSTALL_DATADIR}/cni USE_SOURCE_PERMISSIONS
  COMPONENT development)

foreach(component plugins development)
  install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT ${component})
endforeach()
