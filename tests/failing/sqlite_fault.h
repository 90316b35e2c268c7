/* SQLite's part of fault.h. */
#ifndef PUSHER_TESTS_SQLITE_FAULT_H
#define PUSHER_TESTS_SQLITE_FAULT_H

#include <stdbool.h>

#include "tests/failing/fault.h"

void sqlite_fault_install(void);
/* Whether this call is the one. */
bool fault_now(enum fault_kind kind, const char *where);

#endif
