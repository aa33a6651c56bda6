/* Internal. Writes the program between passes, as text. */
#ifndef WG_DUMP_H
#define WG_DUMP_H

#include "planner.h"

void wg__dump_after(const wg__planner *p, const char *pass);

#endif
