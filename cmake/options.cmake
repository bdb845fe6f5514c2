# Compiler settings that every target shares.
add_library(cni_options INTERFACE)
target_compile_options(cni_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
  -Wno-missing-field-initializers  # designated initialisers leave members at their defaults on purpose
  -fno-plt -ffunction-sections -fdata-sections -fstack-protector-strong)
target_compile_definitions(cni_options INTERFACE _GNU_SOURCE JSON_NO_IO)
target_link_options(cni_options INTERFACE -Wl,--gc-sections)

set(CNI_SANITIZE "" CACHE STRING "Sanitizers, for example address,undefined")
if(CNI_SANITIZE)
  # Sanitizer run times cannot be linked statically.
  set(CNI_STATIC OFF CACHE BOOL "" FORCE)
  target_compile_options(cni_options INTERFACE -fsanitize=${CNI_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(cni_options INTERFACE -fsanitize=${CNI_SANITIZE})
  if(CNI_FUZZ)
    # So that libFuzzer sees which code an input reaches.
    target_compile_options(cni_options INTERFACE -fsanitize=fuzzer-no-link)
  endif()
else()
  target_compile_definitions(cni_options INTERFACE
    $<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:_FORTIFY_SOURCE=2>)
endif()
