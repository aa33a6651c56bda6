/* Looking at a tape: as text, as a graph, over time. */
#ifndef WG_TRACE_H
#define WG_TRACE_H

#include <stdio.h>

#include "tape.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is recorded, a line a node: id, op, shape, dtype, operands, scope. */
WG_API wg_status wg_dump_text(const wg_tape *tape, FILE *out);
/* The same as a Graphviz digraph, a cluster per scope. */
WG_API wg_status wg_dump_graphviz(const wg_tape *tape, FILE *out);
/* The last plan's instructions: what was fused, merged, packed, where it lies, how many tasks. */
WG_API wg_status wg_dump_plan(const wg_tape *tape, FILE *out);
/* Time per op and scope since the last wg_profile_clear, the largest first (option profile); of products also by size,
 * m x n x k with all that the planner merged, and the arithmetic a second. */
WG_API wg_status wg_dump_profile(const wg_tape *tape, FILE *out);
WG_API void wg_profile_clear(wg_tape *tape);
/* The last profiled run as Chrome trace events (chrome://tracing, Perfetto). */
WG_API wg_status wg_dump_chrome(const wg_tape *tape, FILE *out);

#ifdef __cplusplus
}
#endif
#endif
