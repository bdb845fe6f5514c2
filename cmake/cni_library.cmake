# cni_library(NAME SOURCES file... [DEPENDS target...]): the static library cni_NAME, also called cni::NAME, here and in the
# installed package, which has every such library and the headers of its folder (cni_package.cmake).
set_property(GLOBAL PROPERTY CNI_LIBRARIES "")

function(cni_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(cni_${name} STATIC ${arg_SOURCES})
  add_library(cni::${name} ALIAS cni_${name})
  set_target_properties(cni_${name} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(cni_${name} PUBLIC cxx_std_20)
  target_include_directories(cni_${name} PUBLIC
    $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}> $<INSTALL_INTERFACE:${CNI_INCLUDE_INSTALL_DIR}>)
  # What a static library links to is part of the package, even if private; our warnings are nobody else's business.
  target_link_libraries(cni_${name} PUBLIC ${arg_DEPENDS} PRIVATE $<BUILD_INTERFACE:cni_options>)
  set_property(GLOBAL APPEND PROPERTY CNI_LIBRARIES cni_${name})
endfunction()
