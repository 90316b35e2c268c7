/* An invariant that broke: the first one is kept, with what it says. */
#include <stdarg.h>

#include "tests/sim/trace.h"

void violation(struct world *w, const char *invariant, const char *format, ...)
{
    va_list args;
    if (w->violated != NULL)
        return;
    w->violated = invariant;
    w->violated_ms = w->now_ms;
    va_start(args, format);
    (void)vsnprintf(w->violation, sizeof w->violation, format, args);
    va_end(args);
    TRACE(w, "violation", "%s: %s", w->violated, w->violation);
}
