/* Internal. Writes the program between passes, as text. docs/planner.md explains the format with an example. */
#ifndef WG_DUMP_H
#define WG_DUMP_H

#include "planner.h"

/* Writes the program to tape->dump.out if dumps after this pass are wanted. */
void wg__dump_after(const wg__planner *p, const char *pass);
/* The next name of a list such as "after-fuse,after-place"; NULL past the end. */
const char *wg__dump_next(const char *list, size_t *length);
/* Whether a name is "all" or "after-" and this pass. */
bool wg__dump_names(const char *name, size_t length, const char *pass);

/* "%5 = matmul %1, none : f32 [2, 8]", without a line end. */
void wg__print_node(const wg_tape *tape, uint32_t id, FILE *out);
const char *wg__node_name(const wg_tape *tape, const wg__node *node); /* the op, the parameter, or "data" */

#endif
