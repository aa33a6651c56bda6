/* Dumps of a tape: as text, as a graph, over time. */
#ifndef WG_TRACE_H
#define WG_TRACE_H

#include <stdio.h>

#include "tape.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The recorded program, one line per node: id, op, operands, dtype, shape, scope. */
WG_API wg_status wg_dump_text(const wg_tape *tape, FILE *out);
/* The same as a Graphviz digraph with one cluster per scope. */
WG_API wg_status wg_dump_graphviz(const wg_tape *tape, FILE *out);
/* The instructions of the plan that ran last: what was fused, merged, packed, and the number of tasks. */
WG_API wg_status wg_dump_plan(const wg_tape *tape, FILE *out);
/* From now on, writes the program to `out` after passes of the planner, whenever a plan is made: "after-fuse,after-place",
 * or "all". NULL: none. A tape starts with the environment's WG_DUMP and stderr. docs/planner.md explains the format. A
 * name that is no pass is an error of the tape. */
WG_API void wg_trace_passes(wg_tape *tape, const char *passes, FILE *out);
/* Time per op and scope since the last wg_profile_clear, largest first (option profile). Products are listed by size,
 * m x n x k including what the planner merged, with their GFLOP/s. */
WG_API wg_status wg_dump_profile(const wg_tape *tape, FILE *out);
WG_API void wg_profile_clear(wg_tape *tape);
/* The last profiled run as Chrome trace events (chrome://tracing, Perfetto). */
WG_API wg_status wg_dump_chrome(const wg_tape *tape, FILE *out);

#ifdef __cplusplus
}
#endif
#endif
