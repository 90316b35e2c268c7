# How every library and program of the project is compiled: one place for flags, libraries and the include rule.

option(PUSHER_WERROR "Treat warnings as errors" OFF)
set(PUSHER_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize takes them (address,undefined or thread)")
option(PUSHER_COVERAGE "Count covered lines" OFF)
option(PUSHER_FUZZ "Instrument for libFuzzer (clang)" OFF)

find_package(PkgConfig REQUIRED)
pkg_check_modules(ZMQ REQUIRED IMPORTED_TARGET libzmq)
pkg_check_modules(CZMQ REQUIRED IMPORTED_TARGET libczmq)
pkg_check_modules(PROTOBUFC REQUIRED IMPORTED_TARGET libprotobuf-c)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(CARES REQUIRED IMPORTED_TARGET libcares)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto)
pkg_check_modules(NETTLE REQUIRED IMPORTED_TARGET nettle)
pkg_check_modules(GSSAPI REQUIRED IMPORTED_TARGET krb5-gssapi)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(EXPAT REQUIRED IMPORTED_TARGET expat)
pkg_check_modules(CYAML REQUIRED IMPORTED_TARGET libcyaml)

add_library(pusher_flags INTERFACE)
target_compile_definitions(pusher_flags INTERFACE _GNU_SOURCE PUSHER_VERSION="${PROJECT_VERSION}")
target_compile_options(pusher_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
    -Wundef -Wcast-qual -Wpointer-arith -Wwrite-strings -Wformat=2 -Wnull-dereference -Wswitch-enum
    -Wimplicit-fallthrough -fno-common -fstack-protector-strong
    $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation>) # sentences are cut on purpose where they are too long for their field
if(PUSHER_WERROR)
    target_compile_options(pusher_flags INTERFACE -Werror)
endif()
if(PUSHER_SANITIZE)
    target_compile_options(pusher_flags INTERFACE -fsanitize=${PUSHER_SANITIZE}
        -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(pusher_flags INTERFACE -fsanitize=${PUSHER_SANITIZE})
else()
    target_compile_definitions(pusher_flags INTERFACE
        $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2>)
endif()
if(PUSHER_FUZZ)
    target_compile_options(pusher_flags INTERFACE -fsanitize=fuzzer-no-link)
    target_link_options(pusher_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(PUSHER_COVERAGE)
    target_compile_options(pusher_flags INTERFACE --coverage)
    target_link_options(pusher_flags INTERFACE --coverage)
endif()
target_link_options(pusher_flags INTERFACE -Wl,-z,relro -Wl,-z,now)

# pusher_library(NAME SOURCES a.c... [USES lib...] [FOREIGN PkgConfig::X...])
# A static library. Sources include headers by their path from the root ("common/base/err.h").
# USES names the project's libraries it may build on; FOREIGN the libraries whose headers only it may include.
function(pusher_library name)
    cmake_parse_arguments(ARG "" "" "SOURCES;USES;FOREIGN" ${ARGN})
    add_library(${name} STATIC ${ARG_SOURCES})
    target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
    target_link_libraries(${name} PRIVATE pusher_flags ${ARG_FOREIGN})
    if(ARG_USES)
        target_link_libraries(${name} PUBLIC ${ARG_USES})
    endif()
endfunction()

# pusher_program(NAME SOURCES a.c... USES lib... [FOREIGN ...]): a program in build/PRESET/bin.
function(pusher_program name)
    cmake_parse_arguments(ARG "" "" "SOURCES;USES;FOREIGN" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
    target_link_options(${name} PRIVATE -pie)
    target_link_libraries(${name} PRIVATE pusher_flags ${ARG_USES} ${ARG_FOREIGN})
endfunction()
