/* Internal. Writes the program between passes, as text. docs/planner.md explains the format with an example. */
#ifndef WG_DUMP_H
#define WG_DUMP_H

#include "planner.h"

/* Writes the program to tape->dump.out if dumps after this pass are wanted. */
void wg__dump_after(const wg__planner *p, const char *pass);
/* Whether every name in the list is "all" or "after-" and a pass. */
bool wg__dump_is_valid(const char *list);

#endif
