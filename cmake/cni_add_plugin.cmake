# For plugins, inside the suite and, as a part of the installed package, outside of it.
option(CNI_STATIC "Link the plugin executables statically" ON)

# cni_executable_options(TARGET): static, stripped, and without what the linker can leave out.
function(cni_executable_options target)
  target_compile_options(${target} PRIVATE -ffunction-sections -fdata-sections)
  target_link_options(${target} PRIVATE -Wl,--gc-sections $<$<CONFIG:Release,MinSizeRel>:-s>)
  if(CNI_STATIC)
    target_link_options(${target} PRIVATE -static)
  endif()
endfunction()

# cni_add_plugin(NAME source...): a plugin's executable, in the folder of the calling CMakeLists.txt unless
# CMAKE_RUNTIME_OUTPUT_DIRECTORY says otherwise. NAME is what configurations give as its "type".
function(cni_add_plugin name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE cni::plugin)
  cni_executable_options(${name})
endfunction()
