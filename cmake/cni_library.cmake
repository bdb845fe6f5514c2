# cni_library(NAME SOURCES file... [DEPENDS target...]): one folder of pkg/, as the static library cni_NAME.
function(cni_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(cni_${name} STATIC ${arg_SOURCES})
  add_library(cni::${name} ALIAS cni_${name})
  target_include_directories(cni_${name} PUBLIC ${CMAKE_SOURCE_DIR})
  target_link_libraries(cni_${name} PUBLIC ${arg_DEPENDS} PRIVATE cni_options)
endfunction()
