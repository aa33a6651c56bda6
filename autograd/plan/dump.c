/* Writes the program between passes. */
#include "dump.h"

void wg__dump_after(const wg__planner *p, const char *pass) { (void)p, (void)pass; }
